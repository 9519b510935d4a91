"""The degradation of the local stages: often mild, sometimes damaged, never a change of colour."""

from dataclasses import replace

import numpy as np

from training.degradation import DAMAGED_SHARE, MILD_SHARE, Degradation, degrade, local_degradation

CLEAN_FILM = Degradation(0.0, 0.0, 0.0, downscale=1.0, noise=0.0)


def test_a_third_is_mild_and_one_in_eight_is_damaged() -> None:
    rng = np.random.default_rng(0)
    drawn = [local_degradation(rng) for _ in range(2000)]
    mild = np.mean([max(d.blur_x, d.downscale / 1.4) <= 3.0 and d.noise <= 8 for d in drawn])
    assert MILD_SHARE < mild < MILD_SHARE + 0.2
    assert abs(np.mean([d.damage for d in drawn]) - DAMAGED_SHARE) < 0.03
    assert max(d.downscale for d in drawn) > 20 and max(d.blur_x for d in drawn) > 12
    assert not any(d.grey or d.gamma != 1.0 for d in drawn)


def test_damage_is_sharp_on_a_blurred_face_and_comes_before_the_codec() -> None:
    grey = np.full((128, 128, 3), 0.5, np.float32)
    blurred = replace(CLEAN_FILM, blur_x=12.0, blur_y=12.0, damage=True)
    steps = []
    for seed in range(10):
        plain = degrade(grey, blurred, np.random.default_rng(seed))
        coded = degrade(grey, replace(blurred, jpeg=30), np.random.default_rng(seed))
        steps.append(np.abs(np.diff(plain, axis=1)).max())
        assert not np.array_equal(plain, coded) and np.abs(plain - coded).mean() < 0.05
    assert np.median(steps) > 0.15
    assert np.abs(degrade(grey, replace(blurred, damage=False), np.random.default_rng(0)) - 0.5).max() < 0.01
