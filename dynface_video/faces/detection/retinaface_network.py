"""RetinaFace's network (Deng et al. 2019, arXiv 1905.00641) in a model folder. Importing this imports facexlib."""

from __future__ import annotations

import warnings

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from facexlib.detection.retinaface import RetinaFace
from torch import Tensor

from dynface_video.errors import ModelError

BACKBONES = ("mobile0.25", "resnet50")


class RetinaFaceNetwork(ModelMixin, ConfigMixin):
    """facexlib's network in its training phase: the class output is logits.

    Args:
        backbone: "mobile0.25" or "resnet50".

    Raises:
        ModelError: for another backbone.
    """

    @register_to_config
    def __init__(self, backbone: str = "mobile0.25") -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ModelError(f"unknown RetinaFace backbone {backbone!r}; known are {', '.join(BACKBONES)}")
        with warnings.catch_warnings():
            # facexlib builds torchvision's ResNet by an argument that is deprecated.
            warnings.simplefilter("ignore", UserWarning)
            self.network = RetinaFace(network_name=backbone, phase="train", device=torch.device("cpu"))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read pictures (N, 3, H, W) as `network_input` makes them.

        Returns:
            Box offsets (N, A, 4), class logits (N, A, 2) and landmark offsets (N, A, 10) for the A anchors of
            `anchors(H, W)`.
        """
        offsets, logits, points = self.network(pictures)
        return offsets, logits, points
