"""Resampling: known values, and the same result on every device's path."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dynface_video import resampling
from dynface_video.resampling import box_blur, enlarge, gaussian_blur, one_by_one, reduce_area, warp


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
