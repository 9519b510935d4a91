from __future__ import annotations

import cv2
import numpy as np
import pytest

from evaluated_faces import picture
from evaluation.picture_measures import (
    SKIN_BLUR,
    SKIN_PATCHES,
    chroma_error,
    finest_octaves_error,
    octave_offsets,
    skin_roughness,
)

SIZE = 128


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    texture = np.random.default_rng(1).normal(0, 0.02, (SIZE, SIZE, 3))
    return np.clip(0.25 + 0.5 * picture(2, SIZE) + texture, 0.05, 0.95)


def test_equal_pictures_are_equal_in_every_measure(face: np.ndarray) -> None:
    assert chroma_error(face, face) == 0
    assert skin_roughness(face, face) == 1
    assert finest_octaves_error(face, face) == 0


def test_chroma_error_is_in_levels_of_cb_and_cr_and_blind_to_light(face: np.ndarray) -> None:
    assert chroma_error(face + np.float32(0.1), face) == pytest.approx(0, abs=1e-3)
    # Blue up by one level moves Cb by (1 - 0.114) / 1.772 = 0.5 and Cr by -0.114 / 1.402 levels.
    bluer = face + np.array([0, 0, 1 / 255], np.float32)
    assert chroma_error(bluer, face) == pytest.approx((0.5 + 0.114 / 1.402) / 2, rel=1e-3)


def test_colour_space_is_that_of_a_codec(face: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    other = np.clip(face + rng.normal(0, 0.05, face.shape), 0, 1).astype(np.float32)
    ours, theirs = (cv2.cvtColor(p.astype(np.float32), cv2.COLOR_RGB2YCrCb)[..., 1:] for p in (other, face))
    assert chroma_error(other, face) == pytest.approx(255 * np.abs(ours - theirs).mean(), rel=0.01)


def test_grain_roughens_skin_and_blur_smooths_it(face: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    grain = np.repeat(rng.normal(0, 0.02, (SIZE, SIZE, 1)), 3, axis=2)
    assert skin_roughness(face + grain, face) > 1.3
    assert skin_roughness(cv2.GaussianBlur(face, (0, 0), 1.5), face) < 0.6


def test_only_skin_counts_as_skin(face: np.ndarray) -> None:
    changed = face.copy()
    reach = int(np.ceil(4 * SKIN_BLUR * SIZE)) + 1
    boxes = np.rint(np.array(SKIN_PATCHES) * SIZE).astype(int)
    hidden = np.ones((SIZE, SIZE), bool)
    for left, top, right, bottom in boxes:
        hidden[top - reach : bottom + reach, left - reach : right + reach] = False
    changed[hidden] = np.random.default_rng(0).random((int(hidden.sum()), 3))
    assert skin_roughness(changed, face) == pytest.approx(1, abs=1e-3)


def test_hair_across_one_patch_does_not_drown_the_others(face: np.ndarray) -> None:
    hairy = face.copy()
    left, top, right, bottom = np.rint(np.array(SKIN_PATCHES[2]) * SIZE).astype(int)
    hairy[top:bottom:3, left:right] = 0
    rougher = hairy + np.repeat(np.random.default_rng(0).normal(0, 0.05, (SIZE, SIZE, 1)), 3, axis=2)
    assert skin_roughness(rougher, hairy) > 1.3


def test_octaves_are_measured_each_for_itself(face: np.ndarray) -> None:
    spectrum = np.fft.fft2(face, axes=(0, 1))
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIZE, 1 / SIZE)] * 2))
    spectrum[(frequency > 33) & (frequency <= 63)] *= 10**-0.5  # a tenth of the power of the finest octave
    offsets = octave_offsets(np.fft.ifft2(spectrum, axes=(0, 1)).real, face)
    assert len(offsets) == 3
    assert offsets[0] == pytest.approx(-1, abs=0.1)
    assert offsets[1:] == pytest.approx(0, abs=0.1)


def test_surplus_in_one_octave_does_not_make_up_for_a_lack_in_the_other(face: np.ndarray) -> None:
    spectrum = np.fft.fft2(face, axes=(0, 1))
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIZE, 1 / SIZE)] * 2))
    spectrum[frequency > 33] *= 10**-0.5
    spectrum[(frequency > 16) & (frequency <= 33)] *= 10**0.5
    error = finest_octaves_error(np.fft.ifft2(spectrum, axes=(0, 1)).real, face)
    assert error == pytest.approx(1, abs=0.15)
