"""Colour of a restored face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dynface_video.faces.colour import LUMINANCE, colour_match, is_grey, mean_match, with_chroma_of, with_colour

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


def blotches(size: int, std: float, seed: int) -> np.ndarray:
    """Chroma noise of tape and codecs, (size, size, 3) float32, without any luminance."""
    noise = np.random.default_rng(seed).standard_normal((size, size, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.02 * size)
    noise *= std / noise.std()
    return noise - (noise @ LUMINANCE)[..., None]


def portrait(size: int = 128) -> np.ndarray:
    """Two areas of different colour and brightness with a soft edge."""
    y, x = np.mgrid[:size, :size] / size
    inside = 1 / (1 + np.exp((np.hypot(x - 0.5, y - 0.5) - 0.3) * 60))
    skin, wall = np.array([0.8, 0.6, 0.5]), np.array([0.25, 0.35, 0.3])
    return (wall + inside[..., None] * (skin - wall)).astype(np.float32)


def test_colour_blotches_go_and_the_colours_of_areas_stay() -> None:
    clean = portrait()
    noise = blotches(128, 0.05, 0)
    source, restored = clean + noise, clean + 0.5 * noise
    result = followed(restored, source, grey=False)
    assert np.abs(result - clean).mean() < 0.7 * np.abs(restored - clean).mean()
    disc = clean[..., 0] > 0.75
    np.testing.assert_allclose(result[disc].mean(axis=0), clean[disc].mean(axis=0), atol=0.01)


def test_without_chroma_noise_colours_of_equal_brightness_stay_apart() -> None:
    clean = np.full((128, 128, 3), 0.5, np.float32)
    spot = np.array([0.2, 0, 0], np.float32)
    spot -= spot @ LUMINANCE
    clean[50:70, 50:70] += spot
    np.testing.assert_allclose(followed(clean, clean, grey=False), clean, atol=1e-5)


def test_light_follows_the_source() -> None:
    restored = portrait()
    light = np.linspace(-0.1, 0.1, 128, dtype=np.float32)[None, :, None]
    result = followed(restored, restored + light, grey=False)
    np.testing.assert_allclose(
        (result - restored)[:, 20:-20], np.broadcast_to(light, restored.shape)[:, 20:-20], atol=0.01
    )


def test_what_lies_outside_of_the_picture_has_no_say_in_the_colour() -> None:
    restored = portrait()
    source = restored + np.float32(0.05)
    validity = np.ones((128, 128), np.float32)
    validity[:, 80:] = 0
    spoilt = source.copy()
    spoilt[:, 80:] = [0, 0, 1]
    for grey_source in (False, True):
        match = colour_match(restored, spoilt, grey=grey_source, validity=validity)
        wanted = colour_match(restored, source, grey=grey_source)
        np.testing.assert_allclose(with_colour(restored, match), with_colour(restored, wanted), atol=0.02)
    assert is_grey(np.where(validity[..., None] > 0, grey(), spoilt), validity=validity)
    assert not is_grey(np.where(validity[..., None] > 0, grey(), spoilt))


def test_a_crop_outside_of_the_picture_is_taken_as_it_comes() -> None:
    restored = portrait()
    match = colour_match(restored, restored, grey=False, validity=np.zeros((128, 128), np.float32))
    assert np.abs(match.shift).max() < 1e-6


def test_the_chroma_of_an_estimate_and_the_luminance_of_a_face() -> None:
    face, estimate = colourful(), colourful()
    result = with_chroma_of(face, estimate)
    np.testing.assert_allclose(result @ LUMINANCE, face @ LUMINANCE, atol=1e-5)
    np.testing.assert_allclose(
        result - result @ LUMINANCE[:, None], estimate - estimate @ LUMINANCE[:, None], atol=1e-5
    )
