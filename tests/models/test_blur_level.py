"""The label of SE."""

import pytest
import torch

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.models.blur_level import (
    LARGEST_LEVEL,
    BlurLevelEstimator,
    level_from_z,
    spectrum_rings,
    trusted_level,
    z_from_level,
)


def test_the_label_is_where_the_blurred_error_becomes_small() -> None:
    error = 0.3 * torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    level = trusted_level(error, tolerance=0.05)
    below = gaussian_blur(error, 64 * level).square().mean(dim=(1, 2, 3)).sqrt()
    above = gaussian_blur(error, 64 * level * 0.9).square().mean(dim=(1, 2, 3)).sqrt()
    assert (below <= 0.0501).all()
    assert (above > 0.05).all()


def test_a_perfect_estimate_is_trusted_at_level_zero_and_a_useless_one_at_none() -> None:
    assert trusted_level(torch.zeros(1, 3, 32, 32)).item() == 0
    assert trusted_level(torch.ones(1, 3, 32, 32)).item() == LARGEST_LEVEL


@pytest.mark.parametrize("level", [0.0, 0.7 / 128, 5.0 / 128])
def test_levels_go_there_and_back(level: float) -> None:
    assert level_from_z(z_from_level(torch.tensor(level))).item() == pytest.approx(level, abs=1e-7)


def test_rings_average_the_whole_spectrum() -> None:
    rings = spectrum_rings(32, 8)
    assert rings.shape == (8, 32 * 32)
    torch.testing.assert_close(rings @ torch.ones(32 * 32), torch.ones(8))
    covered = (rings > 0).sum(dim=0)
    assert (covered == 1).all()
    assert rings[0, 0] > 0 and rings[-1, -1] > 0


def test_levels_are_read_from_any_number_of_crops() -> None:
    estimator = BlurLevelEstimator(resolution=32)
    crops = torch.rand(3, 3, 32, 32) * 2 - 1
    mean, log_deviation = estimator(crops, 0.5 * crops)
    alone, _ = estimator(crops[1:2], 0.5 * crops[1:2])
    assert mean.shape == log_deviation.shape == (3,)
    assert alone[0].item() == pytest.approx(mean[1].item(), abs=1e-4)
