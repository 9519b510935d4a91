"""Clips whose clean version is known: cut around the face, degraded by a codec or afresh in each frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from dynface_video.errors import InputError
from dynface_video.faces.align import align_transform, apply_transform, sample, transform_scale
from dynface_video.faces.detection.detector import FaceDetector, FaceLocator
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.pixels.display import to_display
from dynface_video.tracking.smoothing import smooth_landmarks
from training.clips import JPEG_WAVER
from training.degradation import Degradation, codec_clip, degrade_small, enlarge

if TYPE_CHECKING:
    from av import VideoFrame

MARGIN = 1.4
"""Side of a clip's pictures, in sides of the aligned crop."""
CODEC = "libx264"


@dataclass(frozen=True)
class Damage:
    """shrink: factor; noise: std at the small size, levels of 255; quantiser: of H.264 over the small clip."""

    shrink: float
    noise: float
    quantiser: int


DAMAGES = {"mild": Damage(1.5, 2.0, 26), "medium": Damage(2.5, 4.0, 28), "severe": Damage(4.0, 6.0, 30)}
SLIGHT = {"shrunk": Damage(2.5, 0.0, 10), "coded": Damage(1.0, 0.0, 22)}
"""Part of the medium damage alone, to see how little of it a measure tells from none."""
FRESH = Degradation(blur_x=3.0, blur_y=3.0, angle=0.0, downscale=10.0, noise=10.0, jpeg=60)
"""Of the still clip, lengths in pixels at 512: anew in each frame, as in old film scanned frame by frame."""


@dataclass(frozen=True, eq=False)
class CleanClip:
    """frames: (T, S, S, 3) uint8 RGB with one face; landmarks: (T, 5, 2) float64, smoothed, pixels of the frames."""

    name: str
    frames: np.ndarray
    landmarks: np.ndarray


def load_clean_clip(
    path: Path, detector: FaceDetector, locator: FaceLocator, *, frames: int | None, crop: int
) -> CleanClip:
    """The first frames of a clip, a square around its largest face, at the size at which an aligned crop has `crop`.

    A face that is larger than the models' crop would come down to it anyway, and the damage with it.
    Raises InputError when the clip's first frame shows no face, or the clip has one frame only.
    """
    info = probe(path)
    pictures = [to_display(frame.rgb(), info.display) for frame in islice(read_frames(info), frames)]
    found = detector.detect(pictures[0])
    if not found or len(pictures) < 2:
        raise InputError(f"{path}: a clean clip needs two frames and a face in the first one")
    points = follow(pictures, max(found, key=lambda face: float(np.ptp(face.box[1::2]))).landmarks, locator)
    points = smooth_landmarks(points, np.ones(points.shape[:2]), np.ones(len(points), bool), smoothing=1.0)
    scale = float(np.median([transform_scale(align_transform(face, crop)) for face in points]))
    side = 2 * round(MARGIN * crop / 2)
    centre = np.median(points.mean(axis=1), axis=0) * scale
    to_square = np.array([[scale, 0, side / 2 - centre[0]], [0, scale, side / 2 - centre[1]]])
    return CleanClip(
        path.stem, np.stack([_square(p, to_square, side) for p in pictures]), apply_transform(to_square, points)
    )


def follow(pictures: list[np.ndarray] | np.ndarray, first: np.ndarray, locator: FaceLocator) -> np.ndarray:
    """Landmarks (T, 5, 2) of a face in each picture, looked for where it was before; first: (5, 2) in the first one."""
    points, before = [], first
    for picture in pictures:
        before = locator.locate(picture, box_from_landmarks(before)[None]).points[0]
        points.append(before)
    return np.asarray(points, np.float64)


def _square(picture: np.ndarray, to_square: np.ndarray, side: int) -> np.ndarray:
    inverse = cv2.invertAffineTransform(to_square)
    square = sample(picture.astype(np.float32), inverse, (side, side), cv2.BORDER_REPLICATE)
    return np.rint(np.clip(square, 0, 255)).astype(np.uint8)


def still_clip(clip: CleanClip) -> CleanClip:
    """The clip's first frame, for as long."""
    return CleanClip(
        f"{clip.name}, still",
        np.repeat(clip.frames[:1], len(clip.frames), axis=0),
        np.repeat(clip.landmarks[:1], len(clip.frames), axis=0),
    )


def through_codec(frames: np.ndarray, damage: Damage, rng: np.random.Generator) -> np.ndarray:
    """Shrunk, with noise of each frame's own, coded with prediction between frames; (T, S, S, 3) uint8 to the same."""
    side = frames.shape[1]
    small = 2 * round(side / damage.shrink / 2)
    shrunk = np.stack([cv2.resize(frame, (small, small), interpolation=cv2.INTER_AREA) for frame in frames])
    noisy = np.clip(np.rint(shrunk + damage.noise * rng.standard_normal(shrunk.shape)), 0, 255).astype(np.uint8)
    coded = codec_clip(noisy, CODEC, damage.quantiser)
    return np.stack([cv2.resize(frame, (side, side), interpolation=cv2.INTER_CUBIC) for frame in coded])


def afresh(frames: np.ndarray, rng: np.random.Generator, *, crop: int) -> np.ndarray:
    """Every frame degraded by itself, with a wavering quality; (T, S, S, 3) uint8 to the same.

    crop: side of the face's aligned crop, in pixels of the frames
    """
    side = frames.shape[1]
    # Degradations are stated for a crop of 512 and scaled by the picture's side.
    unit = crop / side
    degraded = []
    for frame in frames:
        quality = cast(int, FRESH.jpeg) + int(rng.integers(-JPEG_WAVER, JPEG_WAVER + 1))
        here = Degradation(
            FRESH.blur_x * unit, FRESH.blur_y * unit, 0.0, FRESH.downscale * unit, FRESH.noise, jpeg=quality
        )
        small = degrade_small(frame.astype(np.float32) / 255, here, rng)
        degraded.append(np.rint(enlarge(small, side) * 255))
    return np.clip(degraded, 0, 255).astype(np.uint8)


def write_lossless(path: Path, frames: np.ndarray) -> None:
    """A clip (T, S, S, 3) uint8 RGB in a codec that keeps every RGB sample."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffvhuff", rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "gbrp"
        for frame in _as_frames(frames):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _as_frames(frames: np.ndarray) -> Iterator[VideoFrame]:
    import av

    for number, picture in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="gbrp")
        frame.pts = number
        yield frame
