"""RetinaFace's network (Deng et al. 2019, arXiv 1905.00641) in a model folder, of facexlib's layers.

The backbone "mobile0.25" is put together here, as facexlib does: its own class imports torchvision, which takes nearly
as long as importing torch. "resnet50" has torchvision's backbone and is facexlib's class.
"""

from __future__ import annotations

import functools
import importlib.util
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from dynface_video.errors import ModelError
from dynface_video.pretrained import PretrainedModel, configured

BACKBONES = ("mobile0.25", "resnet50")
STAGE_WIDTHS = [64, 128, 256]
"""Channels of the three levels of MobileNet 0.25 that faces are read off, at strides 8, 16 and 32."""
WIDTH = 64
"""Channels of the feature pyramid."""


class RetinaFaceNetwork(PretrainedModel):
    """RetinaFace without its last softmax: the class output is logits.

    Args:
        backbone: "mobile0.25" or "resnet50".

    Raises:
        ModelError: For another backbone.
    """

    @configured
    def __init__(self, backbone: str = "mobile0.25") -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ModelError(f"unknown RetinaFace backbone {backbone!r}; known are {', '.join(BACKBONES)}")
        self.network = MobileRetinaFace() if backbone == "mobile0.25" else _resnet_retinaface()

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read pictures (N, 3, H, W) as `network_input` makes them.

        Returns:
            Box offsets (N, A, 4), class logits (N, A, 2) and landmark offsets (N, A, 10) for the A anchors of
            `anchors(H, W)`.
        """
        offsets, logits, points = self.network(pictures)
        return offsets, logits, points


class MobileRetinaFace(nn.Module):
    """MobileNet 0.25, a feature pyramid, a context module (SSH) and three heads on each of its levels.

    Layers and the names of their weights are those of facexlib's `RetinaFace("mobile0.25")`.
    """

    def __init__(self) -> None:
        super().__init__()
        layers = _facexlib_layers()
        trunk = layers.MobileNetV1()
        self.body = nn.ModuleDict({name: getattr(trunk, name) for name in ("stage1", "stage2", "stage3")})
        self.fpn = layers.FPN(STAGE_WIDTHS, WIDTH)
        self.ssh1, self.ssh2, self.ssh3 = (layers.SSH(WIDTH, WIDTH) for _ in range(3))
        self.ClassHead = layers.make_class_head(fpn_num=3, inchannels=WIDTH)
        self.BboxHead = layers.make_bbox_head(fpn_num=3, inchannels=WIDTH)
        self.LandmarkHead = layers.make_landmark_head(fpn_num=3, inchannels=WIDTH)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `RetinaFaceNetwork`."""
        levels, x = [], pictures
        for stage in self.body.values():
            x = stage(x)
            levels.append(x)
        context = [ssh(x) for ssh, x in zip((self.ssh1, self.ssh2, self.ssh3), self.fpn(levels), strict=True)]
        offsets, logits, points = (
            torch.cat([head(x) for head, x in zip(heads, context, strict=True)], dim=1)
            for heads in (self.BboxHead, self.ClassHead, self.LandmarkHead)
        )
        return offsets, logits, points


@functools.lru_cache(maxsize=1)
def _facexlib_layers() -> Any:
    """facexlib's module of RetinaFace's layers, by itself: its package would import torchvision and more."""
    package = importlib.util.find_spec("facexlib")
    if package is None or package.origin is None:
        raise ModelError("facexlib, whose layers the face detector has, is not installed; reinstall the package")
    path = Path(package.origin).parent / "detection" / "retinaface_net.py"
    found = importlib.util.spec_from_file_location("facexlib_retinaface_layers", path)
    assert found is not None and found.loader is not None
    layers: ModuleType = importlib.util.module_from_spec(found)
    found.loader.exec_module(layers)
    return layers


def _resnet_retinaface() -> nn.Module:
    from facexlib.detection.retinaface import RetinaFace

    with warnings.catch_warnings():
        # facexlib builds torchvision's ResNet by an argument that is deprecated.
        warnings.simplefilter("ignore", UserWarning)
        network: nn.Module = RetinaFace(network_name="resnet50", phase="train", device=torch.device("cpu"))
    return network
