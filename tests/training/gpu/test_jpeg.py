from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from evaluated_faces import picture
from training.gpu.jpeg import jpeg_round_trip, quantisation_scale

SIZE = 96


def levels_of(seed: int) -> np.ndarray:
    return np.rint(picture(seed, SIZE) * 255).astype(np.uint8)


def encoded_and_decoded(levels: np.ndarray, quality: int) -> np.ndarray:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    _, data = cv2.imencode(".jpg", levels[:, :, ::-1], settings)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1]


def as_tensor(levels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(levels.copy()).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("quality", [10, 30, 49, 50, 75, 92, 100])
def test_the_loss_is_that_of_a_real_encoder(quality: int) -> None:
    levels = levels_of(quality)
    expected = encoded_and_decoded(levels, quality).astype(np.float32)
    found = jpeg_round_trip(as_tensor(levels), torch.tensor([quality]))[0].permute(1, 2, 0).numpy()
    difference, loss = np.abs(found - expected), np.abs(levels - expected).mean()
    # The rest is the encoder's integer arithmetic: a coefficient that is rounded the other way moves a whole block.
    assert difference.mean() < 0.15 * loss
    assert np.quantile(difference, 0.95) <= 2


def test_each_picture_has_its_own_quality() -> None:
    pictures = torch.cat([as_tensor(levels_of(0)), as_tensor(levels_of(1))])
    together = jpeg_round_trip(pictures, torch.tensor([20, 90]))
    apart = torch.cat([jpeg_round_trip(p[None], torch.tensor([q])) for p, q in zip(pictures, (20, 90), strict=True)])
    assert torch.equal(together, apart)
    lost = (together - pictures).abs().mean(dim=(1, 2, 3))
    assert lost[0] > 2 * lost[1]


def test_tables_are_scaled_as_by_libjpeg() -> None:
    assert quantisation_scale(torch.tensor([1.0, 25.0, 50.0, 75.0, 100.0])).tolist() == [5000, 200, 100, 50, 0]


def test_grey_stays_grey() -> None:
    grey = as_tensor(levels_of(3)).mean(dim=1, keepdim=True).round().expand(-1, 3, -1, -1)
    decoded = jpeg_round_trip(grey, torch.tensor([40]))
    assert torch.equal(decoded[:, 0], decoded[:, 1]) and torch.equal(decoded[:, 1], decoded[:, 2])


def test_sides_that_blocks_do_not_fill_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 16"):
        jpeg_round_trip(torch.zeros(1, 3, 24, 16), torch.tensor([50]))
