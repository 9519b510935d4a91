"""Colour of restored faces follows their sources, in every batch and at every size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from coarse_colours import colourful, grey
from dynface_video.faces.colour import LUMINANCE, is_grey
from dynface_video.faces.colour_transfer import (
    ColourMatch,
    apply_colour,
    denoise_chroma,
    join_chroma,
    join_colour_matches,
    match_colour,
    mean_colour_match,
    split_chroma,
)
from dynface_video.resampling import gaussian_blur

RNG = np.random.default_rng(0)


def faces(count: int = 3, size: int = 128, seed: int = 0) -> Tensor:
    noise = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return (0.5 + 4 * (gaussian_blur(noise, 0.03 * size) - 0.5)).clamp(0.05, 0.95)


def pair(size: int = 128) -> tuple[Tensor, Tensor]:
    """Restored faces, and sources with another light and blotches of colour."""
    restored = faces(size=size)
    blotches = gaussian_blur(torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1)), 0.015 * size)
    light = torch.linspace(-0.1, 0.1, size)
    return restored, (restored + light + 0.3 * blotches).clamp(0, 1)


def array(picture: Tensor) -> np.ndarray:
    return picture.permute(1, 2, 0).contiguous().numpy()


def tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture, np.float32)).permute(2, 0, 1)[None]


def matched(restored: np.ndarray, source: np.ndarray, *, grey: bool, validity: np.ndarray | None = None) -> ColourMatch:
    mask = None if validity is None else torch.from_numpy(validity)[None, None]
    return match_colour(tensor(restored), tensor(source), [grey], mask)


def coloured_by(restored: np.ndarray, match: ColourMatch) -> np.ndarray:
    return array(apply_colour(tensor(restored), match)[0])


def followed(restored: np.ndarray, source: np.ndarray, *, grey: bool) -> np.ndarray:
    return coloured_by(restored, matched(restored, source, grey=grey))


def test_a_cast_of_the_restorer_is_removed_and_its_detail_kept() -> None:
    source = colourful(RNG) * 0.6 + 0.2
    detail = RNG.normal(0, 0.05, source.shape).astype(np.float32)
    detail -= detail.mean()
    cast = np.array([0.08, -0.05, 0.03], np.float32)
    result = followed(source + detail + cast, source, grey=False)
    np.testing.assert_allclose(result.mean(axis=(0, 1)), source.mean(axis=(0, 1)), atol=0.005)
    assert np.abs(result - source - detail).mean() < 0.01


def test_a_grey_source_gets_no_colour_and_a_sepia_one_keeps_its_tone() -> None:
    for tint in ((1, 1, 1), (1, 0.85, 0.65)):
        source = grey(RNG, tint)
        coloured = np.clip(source + RNG.normal(0, 0.1, source.shape), 0, 1).astype(np.float32)
        result = followed(coloured, source, grey=True)
        inside = (result > 0.02).all(axis=2) & (result < 0.98).all(axis=2)
        ratio = result[inside] / result[inside][:, :1]
        np.testing.assert_allclose(ratio.mean(axis=0), np.array(tint) / tint[0], atol=0.03)
        assert is_grey(result)


@pytest.mark.parametrize("without_colour", [False, True])
def test_the_match_of_several_frames_is_steadier_than_that_of_one(without_colour: bool) -> None:
    face = grey(RNG)
    seen = [np.clip(face + RNG.normal(0, 0.1, face.shape), 0, 1).astype(np.float32) for _ in range(5)]
    single = [matched(face, crop, grey=without_colour) for crop in seen]
    mean = coloured_by(face, mean_colour_match(single))
    apart = [np.abs(coloured_by(face, match) - mean).mean() for match in single]
    assert 0 < np.abs(coloured_by(face, mean_colour_match(single[:4])) - mean).mean() < 0.5 * min(apart)


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


def test_a_blue_rim_outside_of_the_picture_has_no_say_in_the_colour() -> None:
    restored = portrait()
    source = restored + np.float32(0.05)
    validity = np.ones((128, 128), np.float32)
    validity[:, 80:] = 0
    spoilt = source.copy()
    spoilt[:, 80:] = [0, 0, 1]
    for grey_source in (False, True):
        match = matched(restored, spoilt, grey=grey_source, validity=validity)
        wanted = matched(restored, source, grey=grey_source)
        np.testing.assert_allclose(coloured_by(restored, match), coloured_by(restored, wanted), atol=0.02)


def test_the_same_face_has_the_same_colour_at_every_size() -> None:
    restored, crop = pair(256)
    small = [torch.nn.functional.interpolate(picture, scale_factor=0.5, mode="area") for picture in (restored, crop)]
    large = apply_colour(restored, match_colour(restored, crop, [False] * 3))
    halved = torch.nn.functional.interpolate(large, scale_factor=0.5, mode="area")
    assert (halved - apply_colour(small[0], match_colour(*small, [False] * 3))).abs().mean() < 2e-3


def test_grey_and_coloured_faces_share_a_batch() -> None:
    restored, crop = pair()
    mixed = apply_colour(restored, match_colour(restored, crop, [True, False, True]))
    for k, without in enumerate([True, False, True]):
        one = slice(k, k + 1)
        alone = apply_colour(restored[one], match_colour(restored[one], crop[one], [without]))
        assert torch.equal(mixed[one], alone)
    assert split_chroma(mixed[1:2])[1].std() > 2 * split_chroma(mixed[0:1])[1].std()


def test_what_lies_outside_of_the_picture_has_no_say() -> None:
    restored, crop = pair()
    validity = torch.ones(3, 1, 128, 128)
    validity[..., 80:] = 0
    spoilt = torch.where(validity > 0, crop, torch.tensor([0.0, 0.0, 1.0])[:, None, None])
    match = match_colour(restored, spoilt, [False] * 3, validity)
    wanted = match_colour(restored, crop, [False] * 3)
    assert (match.shift - wanted.shift)[..., :32].abs().max() < 0.03
    assert (match.chroma_noise - wanted.chroma_noise).abs().max() < 0.3 * wanted.chroma_noise.min()


def test_a_crop_outside_of_the_picture_is_taken_as_a_whole() -> None:
    restored, crop = pair()
    match = match_colour(restored, crop, [False] * 3, torch.zeros(3, 1, 128, 128))
    torch.testing.assert_close(match.shift, match_colour(restored, crop, [False] * 3).shift)


def test_the_mean_of_matches_is_the_mean_of_what_they_measured() -> None:
    restored, crop = pair()
    one, other = match_colour(restored, crop, [False] * 3), match_colour(restored, restored, [False] * 3)
    mean = mean_colour_match([one, other])
    torch.testing.assert_close(mean.shift, one.shift / 2)
    torch.testing.assert_close(mean.chroma_noise, one.chroma_noise / 2)


def test_matches_of_batches_are_joined() -> None:
    restored, crop = pair()
    match = match_colour(restored, crop, [False, True, False])
    joined = join_colour_matches([match[:1], match[1:]])
    for name in ("shift", "chroma_noise", "tint", "grey"):
        assert torch.equal(getattr(joined, name), getattr(match, name))


def test_chroma_without_noise_stays() -> None:
    luminance, chroma = split_chroma(faces())
    torch.testing.assert_close(denoise_chroma(chroma, luminance, torch.zeros(3, 1)), chroma, atol=1e-5, rtol=0)
    assert denoise_chroma(chroma, luminance, torch.full((3, 1), 0.5)).std() < 0.9 * chroma.std()


def test_luminance_and_chroma_make_the_picture() -> None:
    torch.testing.assert_close(join_chroma(*split_chroma(faces())), faces(), atol=1e-5, rtol=0)


def test_the_chroma_of_an_estimate_and_the_luminance_of_a_face() -> None:
    face, estimate = faces(seed=1), faces(seed=2)
    joined = join_chroma(split_chroma(face)[0], split_chroma(estimate)[1])
    torch.testing.assert_close(split_chroma(joined)[0], split_chroma(face)[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(split_chroma(joined)[1], split_chroma(estimate)[1], atol=1e-5, rtol=0)
