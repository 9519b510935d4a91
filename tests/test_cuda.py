"""On a GPU a face is the CPU's within a stated tolerance: the same crops, noise and starting steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import FacePipeline

TOLERANCE = 1 / 255
"""Mean difference of a face: TF32 convolutions round their inputs to 11 bits."""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA GPU")
@pytest.mark.parametrize("fixed", [False, True])
def test_a_gpu_makes_the_faces_of_the_cpu(fixed: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 8, 8, generator=generator)
    crops = [torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1) for side in (128, 256)]
    keys = [NoiseKey(0, number) for number in range(3)]
    faces = {}
    for device in ("cpu", "cuda"):
        pipeline = FacePipeline.from_pretrained("mini", device=device)
        pipeline = pipeline.with_fixed_batches() if fixed else pipeline
        own = [crop.to(pipeline.device) for crop in crops]
        faces[device] = pipeline.restore_crops(pipeline.stages[:2], own, keys, starting_step=200).faces.cpu().numpy()
    assert np.abs(faces["cpu"] - faces["cuda"]).mean() < TOLERANCE
