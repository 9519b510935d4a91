"""Other frames of a face are brought to its place, averaged, and kept out where they show something else."""

from __future__ import annotations

import torch
from torch import Tensor

from dynface_video.resampling import gaussian_blur, warp
from dynface_video.temporal.flow_averaging import (
    FAR,
    Pairs,
    Validity,
    every_pair,
    neighbour_motions,
    temporal_average,
    warp_neighbours,
)
from dynface_video.temporal.light import match_light
from dynface_video.temporal.motion import Motion

SIZE = 128
INNER = (..., slice(24, -24), slice(24, -24))


def texture(seed: int = 0) -> Tensor:
    noise = torch.randn(1, 1, 2 * SIZE, 2 * SIZE, generator=torch.Generator().manual_seed(seed))
    coarse = gaussian_blur(noise, 4.0)
    return (0.5 + 0.12 * coarse / coarse.std()).clamp(0, 1).repeat(1, 3, 1, 1)


def at(dx: int, seed: int = 0) -> Tensor:
    return texture(seed)[..., 20 : 20 + SIZE, 20 + dx : 20 + dx + SIZE].clone()


def noisy(crop: Tensor, seed: int) -> Tensor:
    noise = torch.randn(crop.shape, generator=torch.Generator().manual_seed(seed))
    return (crop + 0.05 * noise).clamp(0, 1)


def error(crop: Tensor, truth: Tensor) -> float:
    return float((crop - truth)[INNER].abs().mean())


def constant_motion(dx: float, count: int = 1, weight: float = 1.0) -> Motion:
    flow = torch.zeros(1, count, 2, 64, 64, dtype=torch.float16)
    flow[:, :, 0] = dx / SIZE
    return Motion(flow, torch.full((1, count, 1, 64, 64), weight, dtype=torch.float16))


def windows(middle: Tensor, neighbours: Tensor, motions: Motion) -> Tensor:
    """Neighbours of their own (B, K, 3, R, R) of each middle crop, warped."""
    return warp_neighbours(middle, neighbours.flatten(0, 1), every_pair(motions)).unflatten(0, neighbours.shape[:2])


def average(
    pictures: Tensor, others: Tensor, motions: Motion, weight: float | Tensor = 1.0, validity: Validity | None = None
) -> Tensor:
    """Pictures averaged with others of their own (B, K, 3, R, R) each; validity: of the pictures, then the others."""
    count = len(pictures)
    pairs = every_pair(motions, count)
    return temporal_average(torch.cat([pictures, others.flatten(0, 1)]), count, pairs, weight, validity)


def test_neighbours_come_to_the_middle_crops_place() -> None:
    middle, neighbours = at(2), torch.stack([at(0), at(4)], dim=1)
    warped = windows(middle, neighbours, neighbour_motions(middle, neighbours))
    assert warped.shape == (1, 2, 3, SIZE, SIZE)
    for k in range(2):
        assert error(warped[:, k], middle) < 0.2 * error(neighbours[:, k], middle)


def test_the_middle_crop_stands_for_absent_and_unlike_neighbours() -> None:
    middle, neighbours = at(0), torch.stack([at(4), at(0, seed=5)], dim=1)
    motions = neighbour_motions(middle, neighbours)
    motions.weight[:, 0] = 0
    warped = windows(middle, neighbours, motions)
    assert torch.equal(warped[:, 0], middle)
    assert error(warped[:, 1], middle) < 0.02


def test_a_window_without_neighbours_is_empty() -> None:
    empty = torch.zeros(1, 0, 3, SIZE, SIZE)
    motions = Motion(torch.zeros(1, 0, 2, 64, 64), torch.zeros(1, 0, 1, 64, 64))
    assert windows(at(0), empty, motions).shape == empty.shape
    assert torch.equal(average(at(0), empty, motions), at(0))


def test_averaging_takes_noise_away_and_leaves_motion() -> None:
    truths = [at(dx) for dx in (0, 2, 4)]
    seen = [noisy(truth, seed) for seed, truth in enumerate(truths)]
    others = torch.stack([seen[0], seen[2]], dim=1)
    motions = neighbour_motions(seen[1], others)
    averaged = average(seen[1], others, motions)
    assert error(averaged, truths[1]) < 0.7 * error(seen[1], truths[1])
    assert torch.equal(average(seen[1], others, motions, 0.0), seen[1])


def test_it_is_the_weighted_mean_that_it_states() -> None:
    picture, others = at(0), torch.stack([at(2), at(5)], dim=1)
    motions = constant_motion(2.0, count=2, weight=0.5)
    total, divisor = picture.clone(), 1.0
    for k in range(2):
        flow = torch.zeros(1, 2, SIZE, SIZE)
        flow[:, 0] = 2
        share = 0.7 * 0.5 / (1 + (2 / (FAR * 128)) ** 2)  # a flow of `FAR` halves it; SIZE is 128
        total += share * match_light(warp(others[:, k], flow), picture)
        divisor += share
    averaged = average(picture, others, motions, 0.7)
    apart = (averaged - (total / divisor).clamp(0, 1)).abs()
    # Light is measured on a coarse grid before warping, which at the rim is not what the warped picture's is.
    assert apart[INNER].max() < 1e-3 and apart.max() < 3e-3


def test_a_face_that_has_moved_far_counts_less() -> None:
    picture, other = torch.full((1, 3, SIZE, SIZE), 0.4), at(0)[:, None]
    moved = [error(average(picture, other, constant_motion(dx)), picture) for dx in (0, 6, 18)]
    assert moved[0] > 1.2 * moved[1] > 1.4 * moved[2]


def test_a_face_has_the_same_average_in_every_batch_and_beside_absent_neighbours() -> None:
    pictures = torch.cat([noisy(at(dx), dx) for dx in range(3)])
    others = torch.stack([torch.cat([noisy(at(0), seed)] * 3) for seed in (7, 8)], dim=1)
    motions = neighbour_motions(pictures, others)
    weights = torch.tensor([0.3, 0.6, 0.9])
    together = average(pictures, others, motions, weights)
    alone = average(pictures[1:2], others[1:2], motions[1:2], 0.6)
    assert torch.equal(alone[0], together[1])
    padded = torch.cat([others, torch.rand(3, 1, 3, SIZE, SIZE)], dim=1)
    absent = Motion(
        torch.cat([motions.flow, torch.ones_like(motions.flow[:, :1])], dim=1),
        torch.cat([motions.weight, torch.zeros_like(motions.weight[:, :1])], dim=1),
    )
    assert torch.equal(average(pictures, padded, absent, weights), together)


def test_an_average_at_twice_the_size_follows_the_same_motion() -> None:
    large = [torch.nn.functional.interpolate(at(dx), scale_factor=2, mode="bicubic") for dx in (3, 0)]
    motions = neighbour_motions(at(3), at(0)[:, None])
    averaged = average(large[0], large[1][:, None], motions)
    assert error(averaged, large[0]) < 0.1 * error(large[1], large[0])


def test_what_lies_outside_the_picture_takes_no_part_in_an_average() -> None:
    picture, other = at(0), at(0)
    valid = torch.ones(1, 1, SIZE, SIZE)
    valid[..., 90:] = 0
    other[..., 90:] = 0
    masked = neighbour_motions(picture, other[:, None], middle_valid=valid, neighbours_valid=valid[:, None])
    averaged = average(picture, other[:, None], masked, validity=[valid[0], valid[0]])
    assert (averaged - picture).abs().max() < 1e-3
    plain = average(picture, other[:, None], neighbour_motions(picture, other[:, None]))
    assert (plain - picture).abs().max() > 0.01


def test_a_mask_that_another_face_of_the_batch_needs_changes_nothing() -> None:
    pictures, others = torch.cat([noisy(at(2), 1), noisy(at(3), 4)]), torch.stack([noisy(at(0), 2)] * 2)
    motions, mask = neighbour_motions(pictures, others), torch.ones(1, SIZE, SIZE)
    mask[..., :40] = 0
    alone = average(pictures[:1], others[:1], motions[:1])
    together = average(pictures, others, motions, validity=[None, mask, None, mask])
    assert torch.equal(together[:1], alone)
    assert not torch.equal(together[1:], average(pictures[1:], others[1:], motions[1:]))


def test_pairs_share_their_pictures() -> None:
    pictures = torch.cat([noisy(at(dx), dx) for dx in range(3)])
    rows = [(target, source) for source in range(3) for target in range(3) if target != source]
    motions = neighbour_motions(pictures, torch.stack([pictures[[1, 2]], pictures[[0, 2]], pictures[[0, 1]]]))
    own = [row * 2 + source - (source > row) for row, source in rows]
    pairs = Pairs([row for row, _ in rows], [source for _, source in rows], every_pair(motions).motions[own])
    for target in range(3):
        others = torch.cat([pictures[:target], pictures[target + 1 :]])[None]
        alone = average(pictures[target : target + 1], others, motions[target : target + 1])
        assert torch.equal(temporal_average(pictures, 3, pairs)[target], alone[0])
