"""Faces larger than the models' crop, as a video has them: reduced, restored, and pasted back over the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dynface_video.faces.align import TWICE, compose, extract_crop
from dynface_video.faces.paste import paste_face
from evaluation.faces import DegradedFace

if TYPE_CHECKING:
    from dynface_video.diffusion.noise import NoiseKey
    from evaluation.methods import Restorer


def to_crop(size: int, resolution: int) -> np.ndarray:
    """The transform (2, 3) from an aligned face of `size` pixels to one of `resolution`."""
    scale = resolution / size
    return np.array([[scale, 0.0, (scale - 1) / 2], [0.0, scale, (scale - 1) / 2]])


def crops_of(faces: Sequence[DegradedFace], resolution: int) -> np.ndarray:
    """The crops that the models see of degraded faces, (B, R, R, 3)."""
    size = faces[0].image.shape[0]
    if size == resolution:
        return np.stack([face.image for face in faces])
    transform = to_crop(size, resolution)
    return np.stack([np.clip(extract_crop(face.image, transform, resolution), 0, 1) for face in faces])


def put_back(
    restorer: Restorer,
    faces: Sequence[DegradedFace],
    restored: np.ndarray,
    levels: np.ndarray,
    keys: Sequence[NoiseKey],
) -> tuple[np.ndarray, int]:
    """Restored crops (B, R, R, 3) at the size of the faces, and what the second stage spent on them.

    levels: (B,), by which the source keeps its finer detail; keys: of the second stage's noise, none for no such stage
    """
    size, crops = faces[0].image.shape[0], crops_of(faces, restorer.resolution)
    if size == restorer.resolution:
        return restored, 0
    transform, evaluations = to_crop(size, restorer.resolution), 0
    everywhere = np.ones(restored.shape[1:3], np.float32)
    shares = [0.0] * len(faces)
    if keys:
        twice, side = compose(TWICE, transform), 2 * restorer.resolution
        sources = [np.clip(extract_crop(face.image, twice, side), 0, 1) for face in faces]
        scale = float(transform[0, 0])
        shares = [restorer.detail_weight(float(s), scale, source) for s, source in zip(levels, sources, strict=True)]
    details: dict[int, np.ndarray] = {}
    large = [i for i, share in enumerate(shares) if share > 0]
    if large:
        drawn, evaluations = restorer.detail(restored[large], [keys[i] for i in large])
        details = dict(zip(large, drawn, strict=True))
    pasted = [
        paste_face(
            face.image,
            crops[i],
            restored[i],
            transform,
            mask=everywhere,
            source_detail_weight=float(restorer.source_detail_weight(levels[i : i + 1])[0]),
            detail=details.get(i),
            detail_weight=shares[i],
        )[0]
        for i, face in enumerate(faces)
    ]
    return np.stack(pasted), evaluations
