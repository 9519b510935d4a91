"""Aligned training faces: a tar of WebP crops and its CSV, decoded once into a memory-mapped array."""

from __future__ import annotations

import csv
import hashlib
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dynface_video.errors import InputError
from dynface_video.faces.colour import LUMINANCE

HELD_OUT_PERCENT = 4
SOFT_DETAIL = 6.0
NATIVE = 256
DECODED_TOGETHER = 256


@dataclass(frozen=True)
class FaceSet:
    """Decoded aligned crops with what training needs to know about each.

    images:    (N, S, S, 3) uint8 RGB, memory-mapped; S is 256 but for the sets of 512 pixels
    corners:   (N, 4, 2) float32, the source picture's corners in crop pixels; outside lies mirrored filling
    landmarks: (N, 5, 2) float32, crop pixels
    detail:    (N,) float32, percent of contrast in the top octave of the face; `SOFT_DETAIL` and less is soft
    scale:     (N,) float32, crop pixels per source pixel; above 1 the crop was enlarged
    held_out:  (N,) bool, by a hash of the original picture
    """

    images: np.ndarray
    corners: np.ndarray
    landmarks: np.ndarray
    detail: np.ndarray
    scale: np.ndarray
    held_out: np.ndarray

    def indices(self, *, held_out: bool, largest_scale: float = np.inf) -> np.ndarray:
        """Positions of the training (or held-out) crops; soft ones are left out, they would teach blur.

        largest_scale: leaves out those that were enlarged by more, which lack their finest detail
        """
        sharp = (self.detail > SOFT_DETAIL) & (self.scale <= largest_scale)
        return np.flatnonzero((self.held_out == held_out) & sharp)


def is_held_out(original: str) -> bool:
    """Whether a picture belongs to the validation part: the same answer in every run and for every crop of it."""
    return int(hashlib.sha256(original.encode()).hexdigest()[:8], 16) % 100 < HELD_OUT_PERCENT


def load_faces(root: Path, sets: tuple[str, ...], cache: Path, *, native: int = NATIVE) -> FaceSet:
    """Read `<set>.tar` and `<set>.csv` for each set under `root`; decoded pixels are kept in `cache`.

    native: side of the crops of all these sets
    """
    parts = [_load_set(root, name, cache, native) for name in sets]
    images = [p.images for p in parts]
    return FaceSet(
        images=images[0] if len(images) == 1 else _concatenate(images, cache / ("-".join(sets) + ".npy")),
        corners=np.concatenate([p.corners for p in parts]),
        landmarks=np.concatenate([p.landmarks for p in parts]),
        detail=np.concatenate([p.detail for p in parts]),
        scale=np.concatenate([p.scale for p in parts]),
        held_out=np.concatenate([p.held_out for p in parts]),
    )


def _load_set(root: Path, name: str, cache: Path, native: int) -> FaceSet:
    with open(root / f"{name}.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    array = cache / f"{name}.npy"
    if not array.exists():
        _decode(root / f"{name}.tar", [row["name"] for row in rows], array, native)

    def points(prefix: str, count: int) -> np.ndarray:
        return np.array(
            [[[float(r[f"{prefix}{i}x"]), float(r[f"{prefix}{i}y"])] for i in range(count)] for r in rows], np.float32
        )

    return FaceSet(
        images=np.load(array, mmap_mode="r"),
        corners=points("c", 4),
        landmarks=points("lm", 5),
        detail=np.array([float(r["detail"] or 0.0) for r in rows], np.float32),
        scale=np.array([float(r["native_scale"] or np.inf) for r in rows], np.float32),
        held_out=np.array([is_held_out(r["original"]) for r in rows]),
    )


def _decode(archive: Path, names: list[str], target: Path, native: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(names), native, native, 3))
    with tarfile.open(archive) as tar, ThreadPoolExecutor(os.cpu_count()) as pool:
        members = {Path(m.name).name: m for m in tar.getmembers() if m.isfile()}

        def decode(place: int, data: bytes) -> None:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            if decoded is None:
                raise InputError(f"{archive}: {names[place]} cannot be read as a picture")
            out[place] = decoded[:, :, ::-1]

        for first in range(0, len(names), DECODED_TOGETHER):
            places = range(first, min(first + DECODED_TOGETHER, len(names)))
            files = [tar.extractfile(members[names[place]]) for place in places]
            list(pool.map(decode, places, [file.read() for file in files if file is not None]))
    out.flush()
    os.replace(temporary, target)


def _concatenate(parts: list[np.ndarray], target: Path) -> np.ndarray:
    if not target.exists():
        temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        out = np.lib.format.open_memmap(temporary, "w+", np.uint8, (sum(map(len, parts)), *parts[0].shape[1:]))
        start = 0
        for part in parts:
            out[start : start + len(part)] = part
            start += len(part)
        out.flush()
        os.replace(temporary, target)
    return np.load(target, mmap_mode="r")


def sample_crop(faces: FaceSet, index: int, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One clean crop under mild geometric and colour jitter.

    Returns (size, size, 3) float32 in [0, 1] and a (size, size) float32 mask, 0 where the picture was mirrored.
    """
    matrix = jitter_matrix(rng, size)
    image = shrinkable(faces.images[index], size)
    crop = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    mask = picture_mask(faces, index, matrix, size)
    if rng.random() < 0.5:
        crop, mask = crop[:, ::-1], mask[:, ::-1]
    return jitter_colour(crop.astype(np.float32) / 255, rng), np.ascontiguousarray(mask)


def shrinkable(image: np.ndarray, size: int) -> np.ndarray:
    """A native crop, (256, 256, 3) uint8, low-passed for sampling at `size` pixels: it would alias otherwise."""
    scale = NATIVE / size
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.5 * np.sqrt(scale**2 - 1))) if scale > 1 else image


def picture_mask(faces: FaceSet, index: int, matrix: np.ndarray, size: int) -> np.ndarray:
    """1 where a crop shows the picture and 0 where it was mirrored, (size, size) float32; matrix: native to crop."""
    corners = faces.corners[index] @ matrix[:, :2].T + matrix[:, 2]
    mask = np.zeros((size, size), np.float32)
    cv2.fillConvexPoly(mask, np.round(corners).astype(np.int32), 1.0)
    return mask


def plain_crop(faces: FaceSet, index: int, size: int) -> np.ndarray:
    """One clean crop without jitter, (size, size, 3) float32 in [0, 1]."""
    return cv2.resize(faces.images[index], (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def jitter_matrix(rng: np.random.Generator, size: int) -> np.ndarray:
    """A random similarity from native to crop pixels, (2, 3): a few degrees, per cent and pixels."""
    angle, zoom = rng.normal(0, 3), size / NATIVE * np.exp(rng.normal(0, 0.05))
    centre = (NATIVE - 1) / 2
    matrix = np.asarray(cv2.getRotationMatrix2D((centre, centre), angle, zoom), np.float64)
    matrix[:, 2] += (size - 1) / 2 - centre + rng.normal(0, 0.02 * size, 2)
    return matrix


def jitter_colour(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Random grey, tint, contrast and gains, one for all of (..., 3) float32 in [0, 1]."""
    if rng.random() < 0.12:
        grey = crop @ LUMINANCE
        crop = np.repeat(grey[..., None], 3, axis=-1)
        if rng.random() < 0.4:  # sepia and other single tints
            crop = crop * rng.uniform([0.95, 0.82, 0.6], [1.0, 0.97, 0.9]).astype(np.float32)
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.03, 3))
    crop = np.clip(crop, 0, 1) ** np.float32(np.exp(rng.normal(0, 0.12)))
    return np.clip(crop * gain.astype(np.float32), 0, 1).astype(np.float32)
