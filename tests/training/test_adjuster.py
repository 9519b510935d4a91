"""DGSA's training on a sampler that cannot restore: what it is shown, and that it learns where guidance helps."""

import numpy as np
import torch

from dynface_video.models.adjuster import AdjusterConfig
from training.adjuster import AdjusterTraining
from training.loop import Batch

SIZE = 32


def batch_where_guidance_helps_on_the_right() -> Batch:
    """Two faces of three steps: the guided picture is the clean one on the right, the unguided one on the left."""
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 3, SIZE, SIZE, generator=generator) - 0.5
    wrong = torch.rand(2, 3, SIZE, SIZE, generator=generator) - 0.5
    right = torch.zeros(1, 1, 1, SIZE)
    right[..., SIZE // 2 :] = 1
    face = torch.tensor([0, 1, 0, 1, 0, 1])
    # The map can tell the halves apart by the guide.
    guide = (right - 0.5).expand(6, 3, SIZE, SIZE)
    return {
        "clean": clean,
        "mask": torch.ones(2, 1, SIZE, SIZE),
        "guided": right * clean + (1 - right) * wrong,
        "unguided": right * wrong + (1 - right) * clean,
        "face": face,
        "guide": guide,
        "denoised": torch.zeros(6, 3, SIZE, SIZE),
        "alphas_cumprod": torch.full((6,), 0.9),
        "blur_level": torch.ones(6),
    }


def test_the_map_learns_where_the_guide_is_to_be_obeyed() -> None:
    torch.manual_seed(0)
    component = AdjusterTraining.__new__(AdjusterTraining)
    component.network = AdjusterConfig(unshuffle=4, width=8)
    model = component.build()
    batch, generator = batch_where_guidance_helps_on_the_right(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    before = component.validate(model, batch, generator)
    for _ in range(40):
        optimizer.zero_grad()
        component.loss(model, batch, generator).backward()
        optimizer.step()
    after = component.validate(model, batch, generator)
    assert after["relative"] < 0.5 * before["relative"]
    assert after["relative"] < after["relative_best_scale"]
    inputs = (batch[name] for name in ("guide", "denoised", "alphas_cumprod", "blur_level"))
    learned = model(*inputs).detach().numpy()
    assert np.mean(learned[..., SIZE // 2 + 4 :]) > 0.8 > 0.2 > np.mean(learned[..., : SIZE // 2 - 4])
