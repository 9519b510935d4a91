"""The share of invented detail: 0 for what a gain or a blur explains, 1 for another picture, between for a mixture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dynface_video.metrics.invention import invented_share


def texture(seed: int, size: int = 96) -> np.ndarray:
    """A texture with equal power in every octave, as natural pictures have."""
    noise = np.random.default_rng(seed).standard_normal((size, size))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    spectrum = np.fft.fft2(noise) / np.maximum(radius, 1 / size)
    picture = np.fft.ifft2(spectrum).real
    return np.repeat((0.5 + 0.1 * picture / picture.std())[..., None], 3, axis=2)


def test_a_face_that_is_its_source_holds_nothing_invented() -> None:
    assert invented_share(texture(0), texture(0)) < 1e-9


def test_contrast_and_blur_invent_nothing() -> None:
    face = texture(0)
    assert invented_share(0.3 + 0.5 * face, face) < 1e-9
    assert invented_share(cv2.GaussianBlur(face, (0, 0), 1.5), face) < 0.03
    assert invented_share(face, cv2.GaussianBlur(face, (0, 0), 1.5)) < 0.1


def test_another_picture_is_invented_altogether() -> None:
    shares = [invented_share(texture(seed), texture(seed + 100)) for seed in range(8)]
    assert 0.93 < np.mean(shares) <= 1


def test_half_of_the_power_from_elsewhere_is_half() -> None:
    shares = [invented_share(texture(seed) + texture(seed + 100) - 0.5, texture(seed)) for seed in range(8)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.08)


def test_a_flat_face_has_no_detail_to_invent() -> None:
    assert invented_share(np.full((32, 32, 3), 0.5), texture(0, 32)) == 0


def test_crops_of_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        invented_share(texture(0, 32), texture(0, 64))
