from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from evaluated_faces import picture
from training.degradation import Degradation, codec_round_trip, degrade, local_degradation, training_degradation
from training.gpu.device_degradation import (
    CODEC_QUALITY,
    NO_JPEG,
    DegradationBatch,
    degrade_batch,
    gaussian_blur_2d,
    jpeg_quality,
)
from training.gpu.jpeg import jpeg_round_trip

SIDE = 64
CPU = torch.device("cpu")
STILL = Degradation(blur_x=0.0, blur_y=0.0, angle=0.0, downscale=1.0, noise=0.0)
CHAINS = {
    "nothing": STILL,
    "round blur": replace(STILL, blur_x=12.0, blur_y=12.0),
    "slanted blur": replace(STILL, blur_x=8.0, blur_y=20.0, angle=0.6),
    "shrunk": replace(STILL, blur_x=6.0, blur_y=6.0, downscale=20.0),
    "dark and grey": replace(STILL, gamma=1.4, grey=True),
    "coded": replace(STILL, blur_x=6.0, blur_y=6.0, downscale=8.0, jpeg=60),
}


def as_batch(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None]


def degraded(images: torch.Tensor, *degradations: Degradation, seed: int = 0) -> torch.Tensor:
    batch = DegradationBatch.of(degradations, images.shape[-1], CPU)
    return degrade_batch(images, batch, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_is_that_of_opencv_and_real_encoders(name: str) -> None:
    image = picture(5, SIDE)
    expected = degrade(image, CHAINS[name], np.random.default_rng(0))
    found = degraded(as_batch(image), CHAINS[name])[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected).mean() * 255 < 1
    assert np.quantile(np.abs(found - expected), 0.99) * 255 < 4


def test_every_crop_is_degraded_by_parameters_of_its_own() -> None:
    images = torch.cat([as_batch(picture(k, SIDE)) for k in range(len(CHAINS))])
    together = degraded(images, *CHAINS.values())
    apart = torch.cat([degraded(image[None], chain) for image, chain in zip(images, CHAINS.values(), strict=True)])
    assert (together - apart).abs().max() < 1.5 / 255


def test_noise_has_the_std_and_the_grain_of_the_degradation() -> None:
    flat = torch.full((2, 3, 128, 128), 0.5)
    coloured = replace(STILL, downscale=4.0, noise=12.0)  # at 128 pixels nothing is shrunk, nor averaged
    result = 255 * degraded(flat, coloured, replace(coloured, grain=1.0))
    assert result.std(dim=(1, 2, 3)) == pytest.approx([12, 12], rel=0.05)
    apart = (result[:, 0] - result[:, 1]).std(dim=(1, 2))
    assert apart[0] == pytest.approx(12 * 2**0.5, rel=0.05) and apart[1] == 0


def test_only_damaged_crops_are_damaged() -> None:
    images = as_batch(picture(1, 128)).expand(2, -1, -1, -1)
    result = degraded(images, STILL, replace(STILL, damage=True), seed=3)
    clean = (images * 255).round() / 255
    assert (result[0] - clean[0]).abs().max() < 1.5 / 255
    changed = ((result[1] - clean[1]).abs().amax(dim=0) > 0.05).float().mean()
    assert 0.001 < changed < 0.6


@pytest.mark.parametrize("draw", [training_degradation, local_degradation])
def test_everything_that_training_draws_goes_through(draw) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    images = torch.cat([as_batch(picture(k, SIDE)) for k in range(24)])
    result = degraded(images, *(draw(rng) for _ in range(24)))
    assert result.shape == images.shape and bool(result.isfinite().all())
    assert result.min() >= 0 and result.max() <= 1
    assert torch.equal((result * 255).round(), result * 255)


def test_blur_mirrors_at_the_border_and_keeps_the_mean() -> None:
    image = as_batch(picture(2, SIDE))
    blurred = gaussian_blur_2d(image, torch.tensor([[9.0, 0.0, 9.0]]))
    expected = cv2.GaussianBlur(picture(2, SIDE), (0, 0), 3.0, borderType=cv2.BORDER_REFLECT)
    assert np.abs(blurred[0].permute(1, 2, 0).numpy() - expected).max() < 0.003
    assert torch.allclose(blurred.mean(dim=(2, 3)), image.mean(dim=(2, 3)), atol=1e-4)


@pytest.mark.parametrize("encoder", CODEC_QUALITY)
def test_jpeg_stands_for_a_codec_with_about_its_loss(encoder: str) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(picture(4, SIDE) + rng.normal(0, 6 / 255, (SIDE, SIDE, 3)), 0, 1)
    levels = np.rint(noisy * 255).astype(np.uint8)
    for quantiser in CODEC_QUALITY[encoder][0][1:-1:2]:
        coded = codec_round_trip(levels, encoder, quantiser)
        quality = jpeg_quality(replace(STILL, codec=(encoder, quantiser)))
        by_jpeg = jpeg_round_trip(as_batch(levels), torch.tensor([quality]))[0].permute(1, 2, 0).numpy()
        losses = [np.square(other.astype(float) - levels).mean() for other in (coded, by_jpeg)]
        assert 0.4 < losses[0] / losses[1] < 2.5


def test_a_crop_without_compression_has_no_quality() -> None:
    assert jpeg_quality(STILL) == NO_JPEG
    assert jpeg_quality(replace(STILL, jpeg=40)) == 40
