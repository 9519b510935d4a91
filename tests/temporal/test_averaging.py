"""Other frames of a face are brought to its place, and trusted only where they show the same."""

from __future__ import annotations

import cv2
import numpy as np

from dynface_video.temporal.averaging import (
    motion,
    packed,
    temporal_average,
    unpacked,
    warped_neighbours,
    with_light_of,
)
from dynface_video.temporal.flow import dense_flow, flow_picture, forward_backward_consistency, warp

SIZE = 128
INNER = np.s_[24:-24, 24:-24]


def texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((2 * SIZE, 2 * SIZE)).astype(np.float32)
    coarse = cv2.GaussianBlur(noise, (0, 0), 4)
    return np.repeat((0.5 + 0.12 * coarse / coarse.std()).clip(0, 1)[..., None], 3, axis=2)


def at(dx: int) -> np.ndarray:
    return texture()[20:, 20 + dx :][:SIZE, :SIZE].copy()


def noisy(crop: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.05, crop.shape)
    return np.clip(crop + noise, 0, 1).astype(np.float32)


def error(crop: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(crop - truth)[INNER].mean())


def test_the_flow_says_where_a_point_of_the_target_lies_in_the_source() -> None:
    here, there = at(3), at(0)  # what lies at x in the target lies at x + 3 in the source
    flow = dense_flow(flow_picture(here), flow_picture(there))
    assert 2.8 < np.median(flow[INNER][..., 0]) < 3.2
    assert error(warp(there, flow), here) < 0.15 * error(there, here)


def test_flows_that_do_not_lead_back_are_not_trusted() -> None:
    there = np.zeros((SIZE, SIZE, 2), np.float32)
    there[..., 0] = 2
    assert forward_backward_consistency(there, -there, tolerance=1.0).min() > 0.99
    assert forward_backward_consistency(there, there, tolerance=1.0).max() < 0.01


def test_what_is_covered_is_not_trusted_and_the_rest_is() -> None:
    here, there = at(2), at(0)
    there[40:70, 40:70] = 1 - there[40:70, 40:70]
    _, trust = motion(here, there)
    assert trust.dtype == np.float32
    assert trust[45:65, 43:63].mean() < 0.3
    assert trust[80:, 30:-30].mean() > 0.8


def test_a_change_of_light_is_followed_and_not_distrusted() -> None:
    here, there = at(0), np.clip(at(2) * 0.8, 0, 1)
    _, trust = motion(here, there)
    assert trust[INNER].mean() > 0.7
    lit = with_light_of(at(0) * np.float32(0.8), here)
    assert np.abs(lit - here).max() < 0.02


def test_neighbours_come_to_the_middle_crops_place() -> None:
    middle, neighbour = at(2), at(0)
    (warped,) = warped_neighbours(middle, neighbour[None], np.array([True]))
    assert error(warped, middle) < 0.2 * error(neighbour, middle)


def test_a_neighbour_that_is_none_is_the_middle_crop() -> None:
    middle = at(0)
    warped = warped_neighbours(middle, np.stack([texture(5)[:SIZE, :SIZE]] * 2), np.array([False, True]))
    np.testing.assert_array_equal(warped[0], middle)
    # Another picture altogether is valid and yet not to be trusted.
    assert error(warped[1], middle) < 0.02


def test_pulling_takes_noise_away_and_leaves_motion() -> None:
    truths = [at(dx) for dx in (0, 2, 4)]
    seen = [noisy(truth, seed) for seed, truth in enumerate(truths)]
    others = [(seen[k], motion(seen[1], seen[k])) for k in (0, 2)]
    drawn = temporal_average(seen[1], others, 1.0)
    assert error(drawn, truths[1]) < 0.7 * error(seen[1], truths[1])
    np.testing.assert_array_equal(temporal_average(seen[1], others, 0.0), seen[1])
    np.testing.assert_array_equal(temporal_average(seen[1], [], 1.0), seen[1])


def test_a_face_that_has_moved_far_is_drawn_less() -> None:
    picture, other = np.full((SIZE, SIZE, 3), 0.4, np.float32), texture()[:SIZE, :SIZE]
    sure = np.ones((SIZE, SIZE), np.float32)
    shifts = [
        np.abs(temporal_average(picture, [(other, (np.full((SIZE, SIZE, 2), dx, np.float32), sure))], 1.0) - picture)[
            INNER
        ].mean()
        for dx in (0, 2, 6)
    ]
    assert shifts[0] > 1.2 * shifts[1] > 1.4 * shifts[2]


def test_a_region_that_stands_still_is_not_shaken_by_the_flow_of_its_noise() -> None:
    still = at(0)
    flow, trust = motion(noisy(still, 1), noisy(still, 2))
    assert np.abs(flow[INNER]).mean() < 0.02
    assert trust[INNER].mean() > 0.7


def test_what_differs_by_little_more_than_the_noise_is_not_trusted() -> None:
    here, there = noisy(at(0), 1), noisy(at(0), 2)
    there[50:80, 50:80] += 0.12
    _, trust = motion(here, there)
    assert trust[57:73, 57:73].mean() < 0.3 < 0.7 < trust[100:, 30:-30].mean()


def test_only_the_part_that_moves_has_a_flow() -> None:
    here, there = noisy(at(0), 1), noisy(at(0), 2)
    here[64:], there[64:] = noisy(at(3), 1)[64:], noisy(at(0), 2)[64:]
    flow, _ = motion(here, there)
    assert np.abs(flow[20:40, 30:-30, 0]).mean() < 0.3 < 2.5 < flow[90:110, 30:-30, 0].mean()


def test_a_packed_motion_is_nearly_the_same_in_a_tenth_of_the_memory() -> None:
    moved = motion(noisy(at(3), 1), noisy(at(0), 2))
    kept = packed(moved)
    assert 9 * sum(part.nbytes for part in kept) < sum(part.nbytes for part in moved)
    for part, before in zip(unpacked(kept), moved, strict=True):
        assert part.dtype == np.float32 and part.shape == before.shape
        assert np.abs(part - before)[INNER].mean() < 0.03
