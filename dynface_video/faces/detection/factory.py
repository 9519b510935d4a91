"""The detector that the settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dynface_video.errors import ModelError
from dynface_video.faces.detection.confirmed import ConfirmedDetector
from dynface_video.faces.detection.detector import FaceDetector, FaceLocator
from dynface_video.faces.detection.retinaface import RetinaFaceDetector
from dynface_video.faces.detection.yunet import YuNetDetector

if TYPE_CHECKING:
    import torch

    from dynface_video.config import DetectionSettings

PROPOSAL_SCORE = 0.15
"""RetinaFace's boxes below this score are not shown to the landmark network."""
SMALLEST_SHARE = 0.75
"""Faces are detected down to this share of the minimum size, so that a growing face is tracked from its start."""
COUNTED_SIZE = 24.0
"""Faces of this height in pixels are looked for even if only larger ones are restored, to be counted as skipped."""


def make_detector(
    settings: DetectionSettings,
    *,
    models: Path,
    locator: FaceLocator,
    device: torch.device | str = "cpu",
    weights: Path | None = None,
) -> FaceDetector:
    """Build the detector of the settings.

    Args:
        settings: of detection.
        models: folder of the preset's models, of which RetinaFace's is "detector".
        locator: confirms RetinaFace's proposals.
        device: of the networks; YuNet always runs on the CPU.
        weights: file of a public detector: of "retinaface-r50", and of "yunet" unless the settings name one.

    Raises:
        ModelError: weights are missing or damaged.
    """
    working_size, minimum_score = settings.working_size, settings.minimum_score
    minimum_size = SMALLEST_SHARE * min(settings.minimum_size, COUNTED_SIZE)
    if settings.detector == "yunet":
        return YuNetDetector(
            _given(settings.yunet_model or weights, settings.detector),
            working_size=working_size,
            minimum_size=minimum_size,
            minimum_score=minimum_score,
        )
    if settings.detector == "retinaface-r50":
        # Trained on many times the data of the embedded landmark network, which has nothing to say about its scores.
        return RetinaFaceDetector.from_pretrained(
            _given(weights, settings.detector),
            device,
            working_size=working_size,
            minimum_size=minimum_size,
            minimum_score=minimum_score,
        )
    proposer = RetinaFaceDetector.from_pretrained(
        models / "detector",
        device,
        working_size=working_size,
        minimum_size=minimum_size,
        minimum_score=min(PROPOSAL_SCORE, minimum_score),
    )
    return ConfirmedDetector(proposer, locator, minimum_score=minimum_score)


def _given(weights: Path | None, detector: str) -> Path:
    if weights is None:
        raise ModelError(f"the detector {detector} needs its file: get it with `dynface-video models fetch {detector}`")
    return weights
