"""ArcFace (Deng et al. 2019, arXiv 1801.07698): embeddings of identity, by facexlib's network and our own loading."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.faces.align import extract_crop, fit_similarity
from dynface_video.pretrained import load_state_dict

if TYPE_CHECKING:
    from collections.abc import Sequence

SIDE, DIMENSIONS = 112, 512
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where the five points lie in a crop of `SIDE` pixels, in the order of `Landmarks`: the template of ArcFace's data."""
SAME_PERSON = 0.4
"""Not measured here. InsightFace_Pytorch, which trained the network, takes two pictures for one person from a cosine
of 0.23 on (a squared distance of 1.54). Mean vectors are closer to each other, and two people who are joined are worse
than one who is split."""

SAME_PICTURE = 0.3
"""The same of a picture and a person, between that figure and `SAME_PERSON`; not measured here."""


class IdentityModel(Protocol):
    """Embeds faces so that those of one person lie close to each other."""

    def embed(self, crops: Tensor) -> Tensor:
        """Embed crops as `identity_crop` makes them.

        Args:
            crops: (B, 3, 112, 112) RGB in [-1, 1].

        Returns:
            (B, D) float32 of length 1: the product of two rows is the cosine of their angle.
        """
        ...


def identity_crop(picture: np.ndarray, landmarks: np.ndarray) -> Tensor:
    """The crop of a face that an `IdentityModel` reads.

    Args:
        picture: (H, W, 3) uint8 RGB.
        landmarks: (5, 2) pixels.

    Returns:
        (3, 112, 112) float32 in [-1, 1].

    Raises:
        ValueError: The landmarks coincide.
    """
    crop = extract_crop(picture, fit_similarity(landmarks, TEMPLATE), SIDE)
    return torch.from_numpy(crop).permute(2, 0, 1) * 2 - 1


@dataclass
class ArcFace:
    """An `IdentityModel`: IR-SE50, 512 dimensions.

    Attributes:
        network: facexlib's, in evaluation mode.
        device: of the network.
    """

    network: nn.Module
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @classmethod
    def from_file(cls, path: Path, device: torch.device | str = "cpu") -> ArcFace:
        """Load the state dict that facexlib publishes ("arcface" in the catalogue).

        Raises:
            ModelError: As `load_state_dict`.
        """
        from facexlib.recognition.arcface_arch import Backbone

        network = Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se")
        return cls(load_state_dict(network, path, device), torch.device(device))

    def embed(self, crops: Tensor) -> Tensor:
        """See `IdentityModel`."""
        with torch.inference_mode():
            # The network was trained on BGR.
            embeddings: Tensor = self.network(crops.to(self.device, torch.float32).flip(1))
        return embeddings


@dataclass
class ArcFaceIdentifier:
    """A `FaceIdentifier` by an `IdentityModel`.

    Attributes:
        model: Embeds the crops.
        same_person: As of `FaceIdentifier`.
        same_picture: As of `FaceIdentifier`.
    """

    model: IdentityModel
    same_person: float = SAME_PERSON
    same_picture: float = SAME_PICTURE

    def embed(self, picture: np.ndarray, landmarks: Sequence[np.ndarray]) -> np.ndarray:
        """See `FaceIdentifier`: the mean of each face's embedding and that of its mirror image."""
        if not landmarks:
            return np.zeros((0, DIMENSIONS), np.float32)
        crops = torch.stack([identity_crop(picture, points) for points in landmarks])
        found = self.model.embed(torch.cat([crops, crops.flip(-1)])).float().cpu().numpy()
        mean = found[: len(crops)] + found[len(crops) :]
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), np.float32)
