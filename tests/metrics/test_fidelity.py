from __future__ import annotations

import numpy as np
import pytest

from dynface_video.metrics.fidelity import log_spectrum_distance, psnr, radial_power, ssim


def noise_picture(size: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.25, 0.75, (size, size, 3)).astype(np.float32)


def test_psnr_of_a_known_error() -> None:
    clean = np.full((16, 16, 3), 0.5)
    assert psnr(clean + 0.1, clean) == pytest.approx(20.0)
    assert psnr(clean, clean) == float("inf")


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    clean = noise_picture()
    assert ssim(clean, clean) == pytest.approx(1.0)
    little, much = (clean + scale * (noise_picture(seed=1) - 0.5) for scale in (0.2, 0.8))
    assert 1 > ssim(little, clean) > ssim(much, clean)


def test_ten_times_the_power_everywhere_is_distance_one() -> None:
    clean = noise_picture() - 0.5
    assert log_spectrum_distance(clean * np.sqrt(10), clean) == pytest.approx(1.0, abs=1e-5)


def test_missing_and_surplus_detail_count_alike() -> None:
    clean = noise_picture()
    assert log_spectrum_distance(clean * 2, clean) == pytest.approx(log_spectrum_distance(clean, clean * 2))


def test_below_radius_eight_nothing_counts() -> None:
    clean = noise_picture()
    x = np.arange(64)
    wave = 0.1 * np.cos(2 * np.pi * 3 * x / 64)[:, None, None]
    assert log_spectrum_distance(clean + wave, clean) < 1e-3
    wave = 0.1 * np.cos(2 * np.pi * 12 * x / 64)[:, None, None]
    assert log_spectrum_distance(clean + wave, clean) > 0.05


def test_a_wave_has_its_power_on_its_own_ring() -> None:
    x = np.arange(64)
    wave = np.repeat(np.cos(2 * np.pi * 20 * x / 64)[None, :, None], 3, axis=2) * np.ones((64, 1, 1))
    power = radial_power(wave)
    assert power.shape == (33,)
    assert int(power.argmax()) == 20


def test_colour_of_equal_luminance_does_not_count() -> None:
    clean = noise_picture()
    shifted = clean.copy()
    pattern = noise_picture(seed=2)[..., 0] - 0.5
    shifted[..., 0] += pattern / 0.299
    shifted[..., 1] -= pattern / 0.587
    assert log_spectrum_distance(shifted, clean) < 1e-4


@pytest.mark.parametrize("metric", [psnr, ssim, log_spectrum_distance])
def test_different_shapes_are_refused(metric: object) -> None:
    assert callable(metric)
    with pytest.raises(ValueError, match="different shapes"):
        metric(noise_picture(64), noise_picture(32))


def test_the_spectrum_wants_a_square_colour_picture() -> None:
    with pytest.raises(ValueError, match="square"):
        radial_power(np.zeros((32, 64, 3)))
    with pytest.raises(ValueError, match="at least 16"):
        radial_power(np.zeros((8, 8, 3)))
