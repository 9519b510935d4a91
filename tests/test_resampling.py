"""Resampling: known values, and the same result on every device's path."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dynface_video import resampling
from dynface_video.resampling import (
    Warps,
    box_blur,
    enlarge,
    gaussian_blur,
    one_by_one,
    reduce_area,
    sum_warped,
    warp,
)


def pictures(count: int = 2, size: int = 48, channels: int = 3) -> torch.Tensor:
    noise = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))
    return gaussian_blur(noise, 1.5)


def reference(picture: torch.Tensor) -> np.ndarray:
    return picture[0].permute(1, 2, 0).contiguous().numpy()


@pytest.mark.parametrize("size", [16, 24, 20])
def test_a_reduced_pixel_is_the_mean_of_its_area(size: int) -> None:
    small = reduce_area(pictures(), size)
    assert small.shape == (2, 3, size, size)
    torch.testing.assert_close(small.mean(dim=(2, 3)), pictures().mean(dim=(2, 3)), atol=1e-5, rtol=0)
    matrix = resampling._area_matrix(48, size, torch.device("cpu"))
    torch.testing.assert_close(matrix @ pictures() @ matrix.T, small, atol=1e-5, rtol=0)


def test_enlarging_agrees_with_torch() -> None:
    wanted = torch.nn.functional.interpolate(pictures(), size=(120, 120), mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge(pictures(), 120), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("border", "cv_border"), [("reflect", cv2.BORDER_REFLECT), ("reflect_101", cv2.BORDER_REFLECT_101)]
)
@pytest.mark.parametrize("sigma", [1.0, 4.0, 16.0])
def test_the_blur_is_opencvs(sigma: float, border: resampling.Border, cv_border: int) -> None:
    blurred = gaussian_blur(pictures(), sigma, border)
    wanted = cv2.GaussianBlur(reference(pictures()), (0, 0), sigma, borderType=cv_border)
    np.testing.assert_allclose(reference(blurred), wanted, atol=2e-4)


def test_warping_by_whole_pixels_moves_the_picture_and_replicates_its_rim() -> None:
    flow = torch.zeros(2, 2, 48, 48)
    flow[:, 0], flow[:, 1] = 3, -2
    warped = warp(pictures(), flow)
    torch.testing.assert_close(warped[:, :, 2:, :-3], pictures()[:, :, :-2, 3:], atol=1e-6, rtol=0)
    torch.testing.assert_close(warped[:, :, 2:, -1], pictures()[:, :, :-2, -1], atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_warping_agrees_with_grid_sample_within_its_rounding(mode: str) -> None:
    flow = 8 * gaussian_blur(torch.randn(2, 2, 48, 48, generator=torch.Generator().manual_seed(1)), 3.0)
    places = torch.stack(torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="xy"))
    grid = ((flow + places) * (2 / 47) - 1).permute(0, 2, 3, 1)
    wanted = torch.nn.functional.grid_sample(pictures(), grid, mode=mode, padding_mode="border", align_corners=True)
    assert (warp(pictures(), flow, mode) - wanted).square().mean() < 1e-6  # type: ignore[arg-type]


def test_views_and_channels_last_tensors_give_the_same() -> None:
    flow = torch.full((2, 2, 48, 48), 0.4)
    last = pictures().contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(warp(last, flow), warp(pictures(), flow), atol=0, rtol=0)
    torch.testing.assert_close(reduce_area(last, 16), reduce_area(pictures(), 16), atol=0, rtol=0)


def test_one_by_one_joins_what_single_items_give() -> None:
    sizes: list[int] = []

    def doubled(x: torch.Tensor, missing: None) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.append(len(x))
        assert missing is None
        return 2 * x, -x

    twice, negative = one_by_one(doubled, pictures(), None)
    assert sizes == [1, 1]
    torch.testing.assert_close(twice, 2 * pictures())
    torch.testing.assert_close(negative, -pictures())


def test_the_box_blur_is_the_mean_of_a_square_on_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    blurred = box_blur(pictures(), 3)
    torch.testing.assert_close(blurred[0, 0, 10, 20], pictures()[0, 0, 7:14, 17:24].mean())
    monkeypatch.setattr(resampling, "on_cpu", lambda tensor: False)
    torch.testing.assert_close(box_blur(pictures(), 3), blurred, atol=1e-6, rtol=0)


def warps(flow: torch.Tensor) -> Warps:
    """Two pictures warped by flows (3, 2, 8, 8) into two sums: the second one gets both."""
    gain = 0.3 + 0.5 * torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    light = 0.8 + 0.4 * torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    return Warps([0, 1, 1], [0, 0, 1], flow, gain, light)


def summed_one_by_one(shown: torch.Tensor, pairs: Warps) -> torch.Tensor:
    size, sums = shown.shape[-1], torch.zeros(2, *shown.shape[1:])
    for pair, (target, source) in enumerate(zip(pairs.targets, pairs.sources, strict=True)):
        flow, gain, light = (field[pair : pair + 1] for field in (pairs.flow, pairs.gain, pairs.light))
        warped = warp(shown[source : source + 1], size * enlarge(flow, size))
        sums[target] += (warped * enlarge(gain * enlarge(light, 8), size))[0]
    return sums


@pytest.mark.parametrize("device", ["cpu", "other"])
@pytest.mark.parametrize("size", [48, 320])
def test_warped_pictures_are_summed(size: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, flow = pictures(size=size), 0.02 * torch.randn(3, 2, 8, 8, generator=torch.Generator().manual_seed(3))
    wanted = summed_one_by_one(shown, warps(flow))
    if device == "other":
        monkeypatch.setattr(resampling, "on_cpu", lambda tensor: False)
    summed = sum_warped(shown, warps(flow), 2)
    assert (summed - wanted).abs().mean() < 1e-3 and (summed - wanted).abs().max() < 0.03
    assert (wanted - summed_one_by_one(shown, warps(0 * flow))).abs().mean() > 5e-3


@pytest.mark.parametrize("size", [48, 320])
@pytest.mark.parametrize("part", [(slice(2, 4), slice(5, 8)), (slice(0, 1), slice(0, 0)), (slice(7, 8), slice(0, 1))])
def test_only_what_moves_is_warped_and_the_rest_is_the_same(size: int, part: tuple[slice, slice]) -> None:
    shown, flow = pictures(size=size), torch.zeros(3, 2, 8, 8)
    flow[..., part[0], part[1]] = 0.03
    summed = sum_warped(shown, warps(flow), 2)
    everywhere = torch.where(flow == 0, 1e-30, flow)
    assert torch.equal(summed, sum_warped(shown, warps(everywhere), 2))


def test_a_pair_without_gain_adds_nothing_and_a_sum_without_pairs_is_zero() -> None:
    shown, flow = pictures(), torch.full((1, 2, 8, 8), 0.02)
    none = Warps([1], [0], flow, torch.zeros(1, 1, 8, 8), torch.ones(1, 3, 4, 4))
    assert sum_warped(shown, none, 3).abs().max() == 0
