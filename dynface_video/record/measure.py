"""Measures of a restored face against its source over a run of consecutive frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynface_video.faces.align import align_transform, extract_crop, template, transform_scale
from dynface_video.faces.detection.detector import FaceLocator
from dynface_video.faces.identity import FaceIdentifier
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.faces.paste import face_mask
from dynface_video.metrics.invention import invented_share
from dynface_video.metrics.temporal import flow_warped_errors

SMALL, LARGE = 128, 256
"""Sides of the crops that are measured, pixels: the larger one where the face has that many."""


@dataclass(frozen=True)
class FaceReaders:
    """The networks that measure faces.

    Attributes:
        locator: Finds landmarks.
        identifier: Tells people apart; None if the models have no such network.
    """

    locator: FaceLocator
    identifier: FaceIdentifier | None = None


@dataclass(frozen=True)
class RunMeasures:
    """Measures of one face over a run of frames; pairs are (source, output).

    Attributes:
        track: Number of its track.
        start: First frame.
        stop: One past the last.
        invented: Share of the restored face's detail that does not follow from the source (`invented_share`), mean.
        flicker: Change from frame to frame beyond the motion, levels of 255 (`flow_warped_error`).
        landmark_motion: Mean distance that located landmarks move in the aligned crop from frame to frame, percent of
            the distance between the eyes; the motion of the head is taken out by the alignment.
        identity: Cosine similarity of source and output in the middle of the run by the identity network; None
            without such a network.
    """

    track: int
    start: int
    stop: int
    invented: float
    flicker: tuple[float, float]
    landmark_motion: tuple[float, float]
    identity: float | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "track": self.track,
            "start": self.start,
            "stop": self.stop,
            "invented": round(self.invented, 4),
            "flicker": [round(value, 3) for value in self.flicker],
            "landmark_motion": [round(value, 3) for value in self.landmark_motion],
            "identity": None if self.identity is None else round(self.identity, 4),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> RunMeasures:
        """Read what `to_json` gave."""
        identity = raw.get("identity")
        return cls(
            int(raw["track"]),
            int(raw["start"]),
            int(raw["stop"]),
            float(raw["invented"]),
            (float(raw["flicker"][0]), float(raw["flicker"][1])),
            (float(raw["landmark_motion"][0]), float(raw["landmark_motion"][1])),
            None if identity is None else float(identity),
        )


@dataclass
class RunCrops:
    """Crops of one face of consecutive frames, collected until they are measured."""

    size: int
    source: list[np.ndarray] = field(default_factory=list)
    output: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, landmarks: np.ndarray) -> RunCrops:
        """For a face with these landmarks, (5, 2)."""
        side = SMALL / transform_scale(align_transform(landmarks, SMALL))
        return cls(LARGE if side >= LARGE else SMALL)

    def add(self, source: np.ndarray, output: np.ndarray, landmarks: np.ndarray) -> None:
        """Add the crops of the next frame.

        Args:
            source: (H, W, 3) uint8, as displayed.
            output: The same frame of the output.
            landmarks: (5, 2) of the face.
        """
        transform = align_transform(landmarks, self.size)
        self.source.append(extract_crop(source, transform, self.size))
        self.output.append(extract_crop(output, transform, self.size))


def measure_run(track: int, start: int, crops: RunCrops, readers: FaceReaders) -> RunMeasures:
    """Measure a face over a run of frames.

    Args:
        track: Number of its track.
        start: First frame of the run.
        crops: At least two frames.
        readers: Of the faces in crops.
    """
    source, output = np.stack(crops.source), np.stack(crops.output)
    mask, middle = face_mask(crops.size), len(source) // 2
    shares = [invented_share(ours, theirs) for ours, theirs in zip(output, source, strict=True)]
    before, after = flow_warped_errors([source, output], source, mask)
    return RunMeasures(
        track,
        start,
        start + len(source),
        float(np.mean(shares)),
        (before, after),
        (landmark_motion(source, readers.locator), landmark_motion(output, readers.locator)),
        identity_similarity(source[middle], output[middle], readers.identifier),
    )


def landmark_motion(crops: np.ndarray, locator: FaceLocator) -> float:
    """Mean distance that located landmarks move from crop to crop, percent of the distance between the eyes.

    Args:
        crops: (T, R, R, 3) floats in [0, 1], T at least 2.
        locator: Finds landmarks.
    """
    expected = template(crops.shape[1])
    box = box_from_landmarks(expected)[None]
    pictures = (255 * crops).round().astype(np.uint8)
    points = np.stack([locator.locate(picture, box).points[0] for picture in pictures]).astype(np.float64)
    eyes = float(np.linalg.norm(expected[1] - expected[0]))
    return 100 * float(np.linalg.norm(np.diff(points, axis=0), axis=2).mean()) / eyes


def identity_similarity(source: np.ndarray, output: np.ndarray, identifier: FaceIdentifier | None) -> float | None:
    """Cosine similarity of the vectors of two aligned crops, (R, R, 3) floats in [0, 1]; None without a network."""
    if identifier is None:
        return None
    landmarks = [template(len(source)).astype(np.float32)]
    ours, theirs = (identifier.embed((255 * crop).round().astype(np.uint8), landmarks)[0] for crop in (output, source))
    return float(ours @ theirs)
