"""Colour of restored faces in tensors: as the arrays' functions define it, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dynface_video.faces.colour import colour_match, with_colour
from dynface_video.faces.colour_transfer import (
    apply_colour,
    denoise_chroma,
    join_chroma,
    join_colour_matches,
    match_colour,
    mean_colour_match,
    split_chroma,
)
from dynface_video.resampling import gaussian_blur


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


@pytest.mark.parametrize("grey", [False, True])
def test_it_is_what_the_functions_of_arrays_define(grey: bool) -> None:
    restored, crop = pair()
    if grey:
        crop = crop.mean(dim=1, keepdim=True) * torch.tensor([1, 0.9, 0.7])[:, None, None]
    coloured = apply_colour(restored, match_colour(restored, crop, [grey] * 3))
    for face, source, result in zip(restored, crop, coloured, strict=True):
        wanted = with_colour(array(face), colour_match(array(face), array(source), grey=grey))
        assert np.abs(array(result) - wanted).mean() < 1e-3
        assert np.abs(array(face) - wanted).mean() > 1e-2


def test_the_same_face_has_the_same_colour_at_every_size() -> None:
    restored, crop = pair(256)
    small = [torch.nn.functional.interpolate(picture, scale_factor=0.5, mode="area") for picture in (restored, crop)]
    large = apply_colour(restored, match_colour(restored, crop, [False] * 3))
    halved = torch.nn.functional.interpolate(large, scale_factor=0.5, mode="area")
    assert (halved - apply_colour(small[0], match_colour(*small, [False] * 3))).abs().mean() < 2e-3


def test_grey_and_coloured_faces_share_a_batch() -> None:
    restored, crop = pair()
    mixed = apply_colour(restored, match_colour(restored, crop, [True, False, True]))
    for k, grey in enumerate([True, False, True]):
        one = slice(k, k + 1)
        alone = apply_colour(restored[one], match_colour(restored[one], crop[one], [grey]))
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
