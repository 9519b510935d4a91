"""Damage covers what it says it covers, at every resolution."""

import numpy as np
import pytest

from training.damage import KIND_SHARES, KINDS, SMALLEST, damage_picture


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_kind_draws_layers_of_the_picture_size(kind) -> None:
    drawn = 0.0
    for seed in range(8):
        for opacity, colour in kind(60, 80, np.random.default_rng(seed)):
            assert opacity.shape == (60, 80) and opacity.dtype == np.float32
            assert opacity.min() >= 0 and opacity.max() <= 1 and colour.shape == (3,)
            assert colour.min() >= 0 and colour.max() <= 1
            drawn += float(opacity.mean())
    assert drawn > 0.001


def test_the_picture_changes_where_it_is_covered_and_nowhere_else() -> None:
    flat, shares, changes = np.full((128, 128, 3), 0.5, np.float32), [], []
    for seed in range(20):
        damaged, covered = damage_picture(flat, np.random.default_rng(seed))
        difference = np.abs(damaged - flat).max(axis=2)
        assert damaged.min() >= 0 and damaged.max() <= 1 and damaged.dtype == np.float32
        assert difference[covered == 0].max(initial=0) == 0
        changes.extend(difference[covered > 0.5])
        shares.append((covered > 0.05).mean())
    assert 0.01 < np.median(shares) < 0.3 and np.mean(changes) > 0.2


def test_the_same_damage_covers_as_large_a_share_at_every_resolution() -> None:
    shares = [
        [
            damage_picture(np.zeros((size, size, 3), np.float32), np.random.default_rng(seed))[1].mean()
            for seed in range(40)
        ]
        for size in (128, 512)
    ]
    assert np.mean(shares[0]) == pytest.approx(np.mean(shares[1]), rel=0.5)


def test_pictures_too_small_to_show_damage_stay_whole() -> None:
    small = np.random.default_rng(0).random((SMALLEST - 1, 64, 3), np.float32)
    damaged, covered = damage_picture(small, np.random.default_rng(1))
    assert np.array_equal(damaged, small) and covered.sum() == 0


def test_every_kind_has_its_share() -> None:
    assert len(KIND_SHARES) == len(KINDS) and sum(KIND_SHARES) == pytest.approx(1)
