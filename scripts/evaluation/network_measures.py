"""Measures that read a face with a network: perceptual distance, identity distance, landmark error.

The first two need the teachers' weights, which are not part of the repository; the landmark network is the preset's.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dynface_video.errors import ModelError
from dynface_video.faces.align import template
from dynface_video.faces.landmark_locator import LandmarkLocator
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.models.registry import model_folder
from teachers.identity import identity_distance, load_identity
from teachers.perceptual import load_perceptual, perceptual_distance

PERCEPTUAL_SIDE = 256
"""Side in pixels to which larger faces are reduced for the perceptual distance, so that sizes can be compared."""

FaceMeasure = Callable[[np.ndarray, np.ndarray], float]
"""(image, clean), FFHQ-aligned crops (R, R, 3) RGB float32 in [0, 1], to one number that is 0 for equal pictures."""


def network_measures(teachers: Path, models: str = "mini") -> tuple[dict[str, FaceMeasure], list[str]]:
    """The measures whose weights are on this machine.

    Args:
        teachers: Folder of the teachers' weights.
        models: Preset models whose landmark network is read, by name or folder.

    Returns:
        Measures by the name of their column ("perceptual", of at most `PERCEPTUAL_SIDE` pixels, "perceptual_native",
        "identity", "landmarks"), and a message for each that is left out.
    """
    measures: dict[str, FaceMeasure] = {}
    missing = []
    makers: dict[str, Callable[[], FaceMeasure]] = {
        "perceptual": lambda: perceptual_measure(teachers, largest=PERCEPTUAL_SIDE),
        "perceptual_native": lambda: perceptual_measure(teachers),
        "identity": lambda: identity_measure(teachers),
        "landmarks": lambda: landmark_measure(model_folder(models)),
    }
    for name, make in makers.items():
        try:
            measures[name] = make()
        except ModelError as error:
            missing.append(f"{name} is not measured: {error}")
    return measures, missing


def perceptual_measure(teachers: Path, *, largest: int | None = None) -> FaceMeasure:
    """Distance of EfficientNet-Lite0's features, an uncalibrated LPIPS.

    Args:
        teachers: Folder of the teachers' weights.
        largest: Larger faces are reduced to this side, in pixels, by averaging over areas.

    Raises:
        ModelError: The weights are missing.
    """
    network = load_perceptual(teachers)

    def measure(image: np.ndarray, clean: np.ndarray) -> float:
        if largest is not None and image.shape[0] > largest:
            side = (largest, largest)
            image, clean = (cv2.resize(picture, side, interpolation=cv2.INTER_AREA) for picture in (image, clean))
        return _distance(perceptual_distance, network, image, clean)

    return measure


def identity_measure(teachers: Path) -> FaceMeasure:
    """Euclidean distance of dlib's face embeddings; 0.6 divides people. Raises ModelError without its weights."""
    network = load_identity(teachers)
    return lambda image, clean: _distance(identity_distance, network, image, clean)


def landmark_measure(folder: Path) -> FaceMeasure:
    """Mean distance of the five landmarks from the clean face's, in percent of the clean face's eye distance.

    folder: a preset's models. Raises ModelError without a landmark network.
    """
    locator = LandmarkLocator.from_pretrained(folder / "landmarks")

    def points(image: np.ndarray) -> np.ndarray:
        box = box_from_landmarks(template(image.shape[0]))
        picture = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
        return locator.locate(picture, box[None]).points[0]

    def measure(image: np.ndarray, clean: np.ndarray) -> float:
        found, expected = points(image), points(clean)
        eyes = np.linalg.norm(expected[1] - expected[0])
        return 100 * float(np.linalg.norm(found - expected, axis=1).mean() / eyes)

    return measure


@torch.inference_mode()
def _distance(distance: Callable[..., Tensor], network: torch.nn.Module, image: np.ndarray, clean: np.ndarray) -> float:
    return float(distance(network, _to_tensor(image), _to_tensor(clean)))


def _to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None] * 2 - 1
