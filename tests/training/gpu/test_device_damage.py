from __future__ import annotations

import torch

from training.gpu.device_damage import damage_pictures

GREY = torch.full((8, 3, 96, 96), 0.5)


def changed(sizes: torch.Tensor, share: torch.Tensor, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (damage_pictures(GREY, sizes, share, generator) - GREY).abs().amax(dim=1)


def test_damage_covers_a_part_of_the_damaged_and_nothing_of_the_others() -> None:
    share = torch.tensor([1.0, 0.0] * 4)
    change = changed(torch.full((8,), 96), share)
    covered = (change > 0.02).float().mean(dim=(1, 2))
    assert (covered[1::2] == 0).all()
    assert (covered[::2] > 0.002).all() and (covered[::2] < 0.7).all()


def test_values_stay_in_range() -> None:
    result = damage_pictures(GREY, torch.full((8,), 96), torch.ones(8), torch.Generator().manual_seed(1))
    assert result.min() >= 0 and result.max() <= 1


def test_the_same_damage_is_drawn_at_every_size() -> None:
    large = changed(torch.full((8,), 96), torch.ones(8))
    small = changed(torch.full((8,), 48), torch.ones(8))[:, :48, :48]
    reduced = torch.nn.functional.avg_pool2d(large[:, None], 2)[:, 0]
    # Stains are drawn across the canvas; lines and specks lie where they lay.
    together = torch.corrcoef(torch.stack([small.flatten(), reduced.flatten()]))[0, 1]
    assert together > 0.4


def test_another_seed_is_other_damage() -> None:
    sizes, share = torch.full((8,), 96), torch.ones(8)
    assert torch.equal(changed(sizes, share), changed(sizes, share))
    assert not torch.equal(changed(sizes, share), changed(sizes, share, seed=1))
