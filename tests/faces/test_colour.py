"""Colour of a restored face."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.faces.colour import colour_match, is_grey, mean_match, with_colour

RNG = np.random.default_rng(0)


def colourful() -> np.ndarray:
    coarse = RNG.random((8, 8, 3), dtype=np.float32)
    return np.kron(coarse, np.ones((16, 16, 1), np.float32))


def grey(tint: tuple[float, float, float] = (1, 1, 1)) -> np.ndarray:
    luminance = np.kron(RNG.random((8, 8), dtype=np.float32), np.ones((16, 16), np.float32))
    return (luminance[..., None] * np.array(tint, np.float32)).astype(np.float32)


def followed(restored: np.ndarray, source: np.ndarray, *, grey: bool) -> np.ndarray:
    return with_colour(restored, colour_match(restored, source, grey=grey))


@pytest.mark.parametrize("tint", [(1, 1, 1), (1, 0.85, 0.65)])
def test_black_and_white_and_sepia_are_grey_even_with_noise(tint: tuple[float, float, float]) -> None:
    picture = grey(tint)
    noisy = np.clip(picture + RNG.normal(0, 0.03, picture.shape), 0, 1).astype(np.float32)
    assert is_grey(picture) and is_grey(noisy)


def test_colour_is_not_grey_even_in_the_dark() -> None:
    assert not is_grey(colourful())
    assert not is_grey((0.05 * colourful()).astype(np.float32))


def test_a_cast_of_the_restorer_is_removed_and_its_detail_kept() -> None:
    source = colourful() * 0.6 + 0.2
    detail = RNG.normal(0, 0.05, source.shape).astype(np.float32)
    detail -= detail.mean()
    cast = np.array([0.08, -0.05, 0.03], np.float32)
    result = followed(source + detail + cast, source, grey=False)
    np.testing.assert_allclose(result.mean(axis=(0, 1)), source.mean(axis=(0, 1)), atol=0.005)
    assert np.abs(result - source - detail).mean() < 0.01


def test_a_grey_source_gets_no_colour_and_a_sepia_one_keeps_its_tone() -> None:
    for tint in ((1, 1, 1), (1, 0.85, 0.65)):
        source = grey(tint)
        coloured = np.clip(source + RNG.normal(0, 0.1, source.shape), 0, 1).astype(np.float32)
        result = followed(coloured, source, grey=True)
        inside = (result > 0.02).all(axis=2) & (result < 0.98).all(axis=2)
        ratio = result[inside] / result[inside][:, :1]
        np.testing.assert_allclose(ratio.mean(axis=0), np.array(tint) / tint[0], atol=0.03)
        assert is_grey(result)


@pytest.mark.parametrize("without_colour", [False, True])
def test_the_match_of_several_frames_is_steadier_than_that_of_one(without_colour: bool) -> None:
    face = grey()
    seen = [np.clip(face + RNG.normal(0, 0.1, face.shape), 0, 1).astype(np.float32) for _ in range(5)]
    single = [colour_match(face, crop, grey=without_colour) for crop in seen]
    mean = with_colour(face, mean_match(single))
    apart = [np.abs(with_colour(face, match) - mean).mean() for match in single]
    assert 0 < np.abs(with_colour(face, mean_match(single[:4])) - mean).mean() < 0.5 * min(apart)
