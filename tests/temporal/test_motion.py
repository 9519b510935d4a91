"""Motion between crops is followed, and trusted only where both show the same."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dynface_video.resampling import gaussian_blur, reduce_area
from dynface_video.temporal.motion import (
    Motion,
    absent_motions,
    forward_backward_consistency,
    join_motion_inputs,
    motion,
    motion_both_ways,
    prepare_motion,
    stack_motions,
)

SIZE = 128
INNER = (..., slice(24, -24), slice(24, -24))


def texture(seed: int = 0) -> Tensor:
    noise = torch.randn(1, 1, 2 * SIZE, 2 * SIZE, generator=torch.Generator().manual_seed(seed))
    coarse = gaussian_blur(noise, 4.0)
    return (0.5 + 0.12 * coarse / coarse.std()).clamp(0, 1).repeat(1, 3, 1, 1)


def at(dx: int) -> Tensor:
    return texture()[..., 20 : 20 + SIZE, 20 + dx : 20 + dx + SIZE].clone()


def noisy(crop: Tensor, seed: int) -> Tensor:
    noise = torch.randn(crop.shape, generator=torch.Generator().manual_seed(seed))
    return (crop + 0.05 * noise).clamp(0, 1)


def moving(
    target: Tensor, source: Tensor, target_valid: Tensor | None = None, source_valid: Tensor | None = None
) -> Motion:
    return motion(prepare_motion(target, target_valid), prepare_motion(source, source_valid))


def weight_of(moved: Motion) -> Tensor:
    return moved.weight_at(SIZE)[0, 0]


def test_known_motion_is_found_in_pixels_of_any_resolution() -> None:
    moved = moving(at(3), at(0))
    assert moved.flow_at(SIZE)[INNER][:, 0].median().item() == pytest.approx(3, abs=0.2)
    assert moved.flow_at(4 * SIZE)[..., 96:-96, 96:-96][:, 0].median().item() == pytest.approx(12, abs=0.8)
    assert moved.flow.dtype == moved.weight.dtype == torch.float16


def test_a_larger_crop_has_the_same_motion() -> None:
    large = [torch.nn.functional.interpolate(crop, scale_factor=2, mode="bicubic") for crop in (at(3), at(0))]
    small = moving(at(3), at(0))
    moved = moving(large[0], large[1])
    assert (moved.flow_at(SIZE) - small.flow_at(SIZE))[INNER].abs().mean() < 0.1
    assert (weight_of(moved) - weight_of(small))[INNER].abs().mean() < 0.1


def test_flows_that_do_not_lead_back_are_not_trusted() -> None:
    there = torch.zeros(1, 2, SIZE, SIZE)
    there[:, 0] = 2
    assert forward_backward_consistency(there, -there, tolerance=1.0).min() > 0.99
    assert forward_backward_consistency(there, there, tolerance=1.0).max() < 0.01
    half = there / 2
    expected = torch.full((1, 1, SIZE, SIZE), 0.6065307)
    torch.testing.assert_close(forward_backward_consistency(there, -half, tolerance=1.0), expected)


def test_what_is_covered_is_not_trusted_and_the_rest_is() -> None:
    here, there = at(2), at(0)
    there[..., 40:70, 40:70] = 1 - there[..., 40:70, 40:70]
    weight = weight_of(moving(here, there))
    assert weight[45:65, 43:63].mean() < 0.3
    assert weight[80:, 30:-30].mean() > 0.8


def test_a_change_of_light_is_followed_and_not_distrusted() -> None:
    moved = moving(at(0), 0.8 * at(2))
    assert moved.weight_at(SIZE)[INNER].mean() > 0.7


def test_a_region_that_stands_still_is_not_shaken_by_the_flow_of_its_noise() -> None:
    moved = moving(noisy(at(0), 1), noisy(at(0), 2))
    assert moved.flow_at(SIZE)[INNER].abs().mean() < 0.02
    assert moved.weight_at(SIZE)[INNER].mean() > 0.7


def test_what_differs_by_little_more_than_the_noise_is_not_trusted() -> None:
    here, there = noisy(at(0), 1), noisy(at(0), 2)
    there[..., 50:80, 50:80] += 0.12
    weight = weight_of(moving(here, there))
    assert weight[57:73, 57:73].mean() < 0.3 < 0.7 < weight[100:, 30:-30].mean()


def test_only_the_part_that_moves_has_a_flow() -> None:
    here, there = noisy(at(0), 1), noisy(at(0), 2)
    here[..., 64:, :], there[..., 64:, :] = noisy(at(3), 1)[..., 64:, :], noisy(at(0), 2)[..., 64:, :]
    across = moving(here, there).flow_at(SIZE)[0, 0]
    assert across[20:40, 30:-30].abs().mean() < 0.3 < 2.5 < across[90:110, 30:-30].mean()


def test_both_ways_are_what_each_way_is() -> None:
    there, back = motion_both_ways(prepare_motion(at(3)), prepare_motion(at(0)))
    for moved, alone in ((there, moving(at(3), at(0))), (back, moving(at(0), at(3)))):
        assert torch.equal(moved.flow, alone.flow) and torch.equal(moved.weight, alone.weight)


def test_a_pair_has_the_same_motion_in_every_batch() -> None:
    targets = torch.cat([noisy(at(dx), dx) for dx in range(5)])
    sources = torch.cat([noisy(at(0), 9) for _ in range(5)])
    together = moving(targets, sources)
    for order in ([4], [3, 1], [2, 0, 4]):
        some = moving(targets[order], sources[order])
        assert torch.equal(some.flow, together.flow[order]) and torch.equal(some.weight, together.weight[order])


def test_parts_outside_the_picture_have_no_weight_and_do_not_disturb_the_rest() -> None:
    here, there = at(2), at(0)
    valid = torch.ones(1, 1, SIZE, SIZE)
    valid[..., 96:] = 0
    for crop in (here, there):
        crop[..., 96:] = crop[..., 95:96]
    moved = moving(here, there, target_valid=valid, source_valid=valid)
    assert moved.valid is not None and moved.valid.dtype == torch.bool
    assert weight_of(moved)[:, 98:].max() == 0 and not moved.valid[..., 25:].any()
    assert weight_of(moved)[30:-30, 30:88].mean() > 0.8


def test_a_mask_that_is_valid_everywhere_changes_nothing_but_the_rim() -> None:
    everywhere = torch.ones(1, 1, SIZE, SIZE)
    plain, masked = moving(at(3), at(0)), moving(at(3), at(0), target_valid=everywhere, source_valid=everywhere)
    assert (plain.flow_at(SIZE) - masked.flow_at(SIZE))[INNER].abs().max() < 1e-2
    assert (plain.weight_at(SIZE) - masked.weight_at(SIZE))[INNER].abs().max() < 1e-2


def test_crops_without_a_valid_point_have_no_weight() -> None:
    nowhere = torch.zeros(1, 1, SIZE, SIZE)
    moved = moving(at(3), at(0), target_valid=nowhere, source_valid=nowhere)
    assert moved.weight.max() == 0 and moved.flow.isfinite().all()


def test_a_mask_for_one_crop_of_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="both crops of a pair"):
        moving(at(0), at(1), target_valid=torch.ones(1, 1, SIZE, SIZE))


def test_motions_are_stacked_and_chosen() -> None:
    one, other = moving(at(3), at(0)), moving(at(1), at(0))
    both = stack_motions([one, other])
    assert both.flow.shape == (2, 1, 2, 32, 32)
    assert torch.equal(both[1].flow, other.flow) and both[1].valid is None
    masked = Motion(one.flow, one.weight, torch.zeros_like(one.weight, dtype=torch.bool))
    mixed = stack_motions([one, masked]).valid
    assert mixed is not None and mixed[0].all() and not mixed[1].any()


def test_absent_motions_fit_beside_found_ones_and_have_no_weight() -> None:
    found, absent = moving(at(3), at(0)), absent_motions(1, SIZE, torch.device("cpu"))
    assert stack_motions([found, absent]).weight[1].max() == 0
    assert absent_motions(3, 48, torch.device("cpu")).flow.shape == (3, 2, 32, 32)


def test_a_motion_takes_a_tenth_of_the_memory_of_a_flow_at_full_size() -> None:
    moved = moving(at(3), at(0))
    assert moved.flow.nbytes + moved.weight.nbytes < SIZE * SIZE * 3 * 4 / 7
    assert reduce_area(moved.flow_at(SIZE), 32).sub(SIZE * moved.flow.float()).abs().mean() < 0.02


def test_inputs_of_several_crops_are_joined_and_chosen() -> None:
    everywhere = torch.ones(1, 1, SIZE, SIZE)
    joined = join_motion_inputs([prepare_motion(at(3)), prepare_motion(at(1))])
    assert joined.valid is None and torch.equal(joined[1:].crop, prepare_motion(at(1)).crop)
    mixed = join_motion_inputs([prepare_motion(at(3)), prepare_motion(at(1), 0 * everywhere)]).valid
    assert mixed is not None and mixed[0].all() and not mixed[1].any()
