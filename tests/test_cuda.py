"""On a GPU a face is the CPU's within a stated tolerance: the same crops, noise and starting steps."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import FacePipeline

TOLERANCE = {torch.float32: (0.05, 1.0), torch.bfloat16: (0.5, 10.0)}
"""Mean and largest difference from the CPU's float32 in levels of 255 (docs/gpu-and-ray.md, "Measured on a GPU"), some
three to six times what an H200 showed. float32 is PyTorch's default, whose convolutions round to TF32."""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA GPU")
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_gpu_makes_the_faces_of_the_cpu(dtype: torch.dtype, fixed: bool) -> None:
    expected, found = _faces("cpu", torch.float32, fixed), _faces("cuda", dtype, fixed)
    apart = 255 * np.abs(found - expected)
    mean, largest = TOLERANCE[dtype]
    assert apart.mean() < mean
    assert apart.max() < largest


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA GPU")
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_recorded_calls_give_the_faces_of_plain_ones(dtype: torch.dtype, caplog: pytest.LogCaptureFixture) -> None:
    """Batches of two of eight faces: the first is plain, the second recorded, the others repeated."""
    caplog.set_level(logging.INFO, "dynface_video")
    pipeline = FacePipeline.from_pretrained("mini", device="cuda", torch_dtype=dtype).with_settings(batch_size=2)
    plain = pipeline.with_fixed_batches()
    recorded = plain.with_cuda_graphs()
    for seed in range(3):
        crops, keys = _crops(8, seed), [NoiseKey(seed, number) for number in range(8)]
        faces = [
            used.restore_crops(used.stages[:2], [crop.to(used.device) for crop in crops], keys, starting_step=200).faces
            for used in (plain, recorded)
        ]
        torch.testing.assert_close(faces[1], faces[0], rtol=0, atol=2e-3)
    assert not [one for one in caplog.messages if "without a CUDA graph" in one]


def _faces(device: str, dtype: torch.dtype, fixed: bool) -> np.ndarray:
    """Three faces, (3, 3, 256, 256) in [0, 1]."""
    pipeline = FacePipeline.from_pretrained("mini", device=device, torch_dtype=dtype)
    pipeline = pipeline.with_fixed_batches() if fixed else pipeline
    own = [crop.to(pipeline.device) for crop in _crops(3, 0)]
    keys = [NoiseKey(0, number) for number in range(3)]
    faces: np.ndarray = pipeline.restore_crops(pipeline.stages[:2], own, keys, starting_step=200).faces.cpu().numpy()
    return faces


def _crops(count: int, seed: int) -> list[torch.Tensor]:
    """Smooth random pictures at 128 and 256 pixels, (count, 3, R, R) in [0, 1]."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return [torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) for side in (128, 256)]
