"""A crop takes on the light of another one, and only that."""

from __future__ import annotations

import torch

from dynface_video.resampling import gaussian_blur
from dynface_video.temporal.light import match_light


def faces(size: int = 128) -> torch.Tensor:
    noise = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    return 0.2 + 0.6 * gaussian_blur(noise, 2.0)


def test_a_dimmed_crop_gets_its_light_back() -> None:
    assert (match_light(0.8 * faces(), faces()) - faces()).abs().max() < 0.02


def test_light_of_one_colour_and_side_is_matched() -> None:
    lamp = torch.linspace(0.7, 1.0, 128) * torch.tensor([1.0, 0.9, 0.8])[:, None, None]
    matched = match_light(lamp * faces(), faces())
    assert (matched - faces()).abs().mean() < 0.4 * (lamp * faces() - faces()).abs().mean()


def test_equal_light_changes_nothing() -> None:
    torch.testing.assert_close(match_light(faces(), faces()), faces(), atol=1e-6, rtol=0)


def test_what_lies_outside_the_picture_does_not_count() -> None:
    valid = torch.ones(2, 1, 128, 128)
    valid[..., 80:] = 0
    broken = faces().clone()
    broken[..., 80:] = 0
    inner = (match_light(broken, faces(), valid) - faces())[..., :72].abs()
    assert inner.max() < 1e-3
    assert (match_light(broken, faces()) - faces())[..., :72].abs().max() > 0.05


def test_without_any_valid_point_the_light_stays() -> None:
    torch.testing.assert_close(match_light(0.5 * faces(), faces(), torch.zeros(2, 1, 128, 128)), 0.5 * faces())


def test_it_does_not_depend_on_the_resolution() -> None:
    small = torch.nn.functional.interpolate(match_light(0.5 * faces(256), faces(256)), scale_factor=0.5, mode="area")
    reduced = torch.nn.functional.interpolate(faces(256), scale_factor=0.5, mode="area")
    torch.testing.assert_close(match_light(0.5 * reduced, reduced), small, atol=1e-3, rtol=0)
