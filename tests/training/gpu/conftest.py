from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dynface_video.models.adjuster import GuidanceAdjuster
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.prior import GuidedPrior
from dynface_video.models.restoration import RestorationModel, reading_coarse
from dynface_video.pipeline import FacePipeline
from evaluated_faces import picture
from teachers import identity, perceptual
from teachers.identity import FaceRecognition
from teachers.perceptual import EfficientNetLite0
from training.gpu.degraded_crops import DegradedCrops
from training.gpu.device_data import DeviceFaces
from training.gpu.preset import PresetNetworks
from training.widening import widened

CPU = torch.device("cpu")


def write_pack(stem: Path, side: int, count: int) -> None:
    """A tar of WebP crops and its CSV, as packs for a GPU have them."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    corners = {"c0x": 0, "c0y": 0, "c1x": side, "c1y": 0, "c2x": side, "c2y": side, "c3x": 0, "c3y": side}
    landmarks = {f"lm{k}{axis}": side / 2 for k in range(5) for axis in "xy"}
    rows = []
    with tarfile.open(stem.with_suffix(".tar"), "w") as tar:
        for number in range(count):
            levels = np.rint(picture(number, side) * 255).astype(np.uint8)
            data = bytes(cv2.imencode(".webp", levels[:, :, ::-1], [cv2.IMWRITE_WEBP_QUALITY, 90])[1])
            info = tarfile.TarInfo(f"{number:05d}.webp")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
            row = {"name": info.name, "original": f"{number}.jpg", "detail": 12, "native_scale": 0.5}
            rows.append(row | corners | landmarks)
    with open(stem.with_suffix(".csv"), "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_teachers(folder: Path) -> None:
    """Random weights of the teachers' shapes."""
    folder.mkdir()
    for network, name in ((EfficientNetLite0(), perceptual.FILE), (FaceRecognition(), identity.FILE)):
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, folder / name)


@pytest.fixture(scope="session")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    write_pack(folder / "part1" / "crops_256", 256, 4)
    write_pack(folder / "part2" / "modern_512", 512, 3)
    write_teachers(folder / "part2" / "teachers")
    return folder


@pytest.fixture(scope="session")
def crops(packs: Path) -> DegradedCrops:
    cache = packs / "cache"
    return DegradedCrops(*(DeviceFaces.load(packs, side, cache, CPU) for side in (256, 512)))


@pytest.fixture
def networks() -> PresetNetworks:
    """Tiny networks of the preset's kinds, frozen."""
    torch.manual_seed(0)
    shape = {"block_out_channels": (16, 16), "norm_num_groups": 4, "attention_head_dim": 8}
    restoration, prior = RestorationModel(channels=(8, 16), blocks=(1, 1)), GuidedPrior(**shape)
    torch.nn.init.normal_(prior.unet.conv_out.weight, std=0.05)
    parts = (
        restoration, BlurLevelEstimator(channels=(8, 8)), prior, GuidanceAdjuster(width=8),
        reading_coarse(restoration), widened(reading_coarse(restoration), (12, 16), (1, 2)),
    )  # fmt: skip
    frozen = [part.eval().requires_grad_(False) for part in parts]
    stage = FacePipeline.from_pretrained("mini", device="cpu").stages[0]
    return PresetNetworks(*frozen, stage)  # type: ignore[arg-type]
