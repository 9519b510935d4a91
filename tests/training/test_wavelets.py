"""The stationary wavelet transform against PyWavelets', and the two distances that are made of it."""

import numpy as np
import pytest
import pywt
import torch

from training.wavelets import band_distance, stationary_haar, texture_distance

WEIGHTS = (1.0, 1.0, 1.0, 0.5)


def noise(seed: int, size: int = 32) -> torch.Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(seed))


def test_the_bands_are_those_of_pywavelets() -> None:
    x = noise(0)
    ours = stationary_haar(x, 3)
    theirs = pywt.swt2(x.numpy(), "haar", level=3, axes=(-2, -1), trim_approx=True, norm=False)
    for level, (horizontal, vertical, diagonal) in enumerate(theirs[:0:-1]):
        # PyWavelets looks back where we look ahead; up to its shift and signs a band's energy is the same.
        for k, band in enumerate((horizontal, vertical, diagonal)):
            energies = [np.sort(np.abs(b).ravel()) for b in (ours[level][:, :, k].numpy(), band)]
            np.testing.assert_allclose(*energies, atol=1e-5)
    np.testing.assert_allclose(np.sort(ours[-1].numpy().ravel()), np.sort(theirs[0].ravel()), atol=1e-5)


def test_a_face_is_at_no_distance_from_itself() -> None:
    face, mask = noise(0), torch.ones(1, 1, 32, 32)
    assert band_distance(face, face, mask, WEIGHTS).item() == 0
    assert texture_distance(face, face, mask, 3).item() == pytest.approx(0, abs=1e-6)


def test_other_texture_of_the_same_contrast_is_wrong_in_place_and_right_in_amount() -> None:
    face, other, mask = noise(0, 64), noise(1, 64), torch.ones(1, 1, 64, 64)
    flat = torch.zeros_like(face)
    assert band_distance(other, face, mask, WEIGHTS) > band_distance(flat, face, mask, WEIGHTS)
    assert texture_distance(other, face, mask, 3) < 0.1 * texture_distance(flat, face, mask, 3)


def test_where_there_is_no_truth_nothing_counts() -> None:
    face, mask = noise(0, 64), torch.ones(1, 1, 64, 64)
    mask[..., :32] = 0
    spoilt = face.clone()
    spoilt[..., :16] += 5
    assert band_distance(spoilt, face, mask, WEIGHTS).item() == 0
    assert texture_distance(spoilt, face, mask, 3).item() == pytest.approx(0, abs=1e-6)
