"""Measures by networks that are not ours: used where their weights lie on this machine, never downloaded.

LPIPS (Zhang et al. 2018) needs the package `lpips` and torchvision's AlexNet in torch's hub cache; the identity cosine
needs facexlib's ArcFace (Deng et al. 2019).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from dynface_video.faces.align import fit_similarity, template

ALEXNET = "alexnet-owt-7be5be79.pth"
ARCFACE = "recognition_arcface_ir_se50.pth"
ARCFACE_SIZE = 112
ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""ArcFace's five-point template in a crop of 112 pixels (InsightFace)."""

FaceMeasure = Callable[[np.ndarray, np.ndarray], float]
"""(image, clean), aligned crops (R, R, 3) float32 in [0, 1], to one number."""


def weight_folders() -> list[Path]:
    """Where weights are looked for: torch's hub cache, and where facexlib keeps its own."""
    import facexlib

    return [Path(torch.hub.get_dir()) / "checkpoints", Path(facexlib.__file__).parent / "weights"]


def find_weights(name: str) -> Path | None:
    """The file of that name in one of `weight_folders`, or None."""
    return next((folder / name for folder in weight_folders() if (folder / name).is_file()), None)


def perceptual_measures() -> tuple[dict[str, FaceMeasure], list[str]]:
    """The measures whose weights are here, by the names of their columns, and in words what is missing."""
    measures: dict[str, FaceMeasure] = {}
    missing = []
    alexnet, arcface = find_weights(ALEXNET), find_weights(ARCFACE)
    looked = " or ".join(str(folder) for folder in weight_folders())
    if importlib.util.find_spec("lpips") is None:
        missing.append("LPIPS is left out: the package lpips is not installed")
    elif alexnet is None:
        missing.append(f"LPIPS is left out: {ALEXNET} is not in {looked}")
    else:
        measures["lpips"] = lpips_measure(alexnet)
    if arcface is None:
        missing.append(f"the identity cosine is left out: {ARCFACE} is not in {looked}")
    else:
        measures["identity"] = identity_measure(arcface)
    return measures, missing


def lpips_measure(backbone: Path) -> FaceMeasure:
    """LPIPS 0.1 on AlexNet: 0 is equal. backbone: torchvision's weights of AlexNet."""
    import lpips
    from torchvision.models import alexnet

    network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    trunk = alexnet(weights=None)
    trunk.load_state_dict(torch.load(backbone, map_location="cpu", weights_only=True))
    # lpips cuts AlexNet's convolutions into slices that keep their numbers.
    for part in (network.net.slice1, network.net.slice2, network.net.slice3, network.net.slice4, network.net.slice5):
        for number, layer in part.named_children():
            layer.load_state_dict(trunk.features[int(number)].state_dict())

    @torch.inference_mode()
    def measure(image: np.ndarray, clean: np.ndarray) -> float:
        return float(network(_to_tensor(image), _to_tensor(clean)))

    return measure


def identity_measure(weights: Path) -> FaceMeasure:
    """Cosine between ArcFace's embeddings of two aligned crops: 1 is the same face."""
    from facexlib.recognition.arcface_arch import Backbone

    network = Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se").eval()
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))

    def embedding(image: np.ndarray) -> Tensor:
        matrix = fit_similarity(template(image.shape[0]), ARCFACE_POINTS)
        size = (ARCFACE_SIZE, ARCFACE_SIZE)
        warped = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101)
        found: Any = network(_to_tensor(warped))
        return torch.nn.functional.normalize(found, dim=1)[0]

    @torch.inference_mode()
    def measure(image: np.ndarray, clean: np.ndarray) -> float:
        return float(embedding(image) @ embedding(clean))

    return measure


def _to_tensor(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None] * 2 - 1
