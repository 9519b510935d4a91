"""The DCT form of the Gaussian blur against a direct convolution."""

import numpy as np
import pytest
import scipy.ndimage
import torch

from dynface_video.diffusion.dct import dct2, gaussian_blur, gaussian_transfer, idct2


def test_dct_goes_there_and_back() -> None:
    x = torch.randn(2, 3, 24, 24)
    assert torch.allclose(idct2(dct2(x)), x, atol=1e-5)


def test_dct_keeps_energy() -> None:
    x = torch.randn(1, 1, 32, 32)
    assert dct2(x).square().sum().item() == pytest.approx(x.square().sum().item(), rel=1e-5)


# A kernel sampled at pixels folds what the continuous Gaussian leaves at Nyquist, exp(-s^2 pi^2 / 2): 0.7 % at level 1.
@pytest.mark.parametrize(("level", "tolerance"), [(1.0, 2e-2), (1.5, 2e-4), (2.5, 1e-5), (5.0, 1e-5)])
def test_blur_is_convolution_with_reflecting_borders(level: float, tolerance: float) -> None:
    x = np.random.default_rng(0).standard_normal((48, 48)).astype(np.float32)
    direct = scipy.ndimage.gaussian_filter(x, level, mode="reflect", truncate=8)
    ours = gaussian_blur(torch.from_numpy(x)[None, None], torch.tensor([level]))[0, 0].numpy()
    assert np.abs(ours - direct).max() < tolerance


def test_blur_levels_differ_per_sample() -> None:
    x = torch.randn(1, 3, 32, 32).expand(2, -1, -1, -1)
    blurred = gaussian_blur(x, torch.tensor([0.0, 3.0]))
    assert torch.allclose(blurred[0], x[0], atol=1e-5)
    assert blurred[1].std() < 0.3 * x.std()


def test_transfer_keeps_the_mean_and_falls_with_frequency() -> None:
    transfer = gaussian_transfer(torch.tensor([2.0]), 16)[0, 0]
    assert transfer[0, 0] == 1
    assert (transfer.diff(dim=0) < 0).all()
