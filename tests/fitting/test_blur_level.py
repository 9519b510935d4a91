"""Pairs of crops and restorations, and an SE that learns from them."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.errors import InputError
from dynface_video.fitting.blur_level import fit_blur_level
from dynface_video.fitting.pairs import Pairs, crop_files, make_pairs, read_crop
from dynface_video.models.protocols import Regression

SIZE, CROPS = 32, 16


def identity(crops: torch.Tensor) -> Regression:
    return Regression(crops, crops)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("crops"), np.random.default_rng(0)
    for number in range(CROPS):
        coarse = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), cv2.resize(coarse, (64, 64), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(scope="module")
def pairs(crops: Path) -> Pairs:
    return make_pairs(crop_files(crops), identity, SIZE, rounds=2)


def test_pairs_are_reproducible_and_hold_out_whole_crops(pairs: Pairs, crops: Path) -> None:
    assert len(pairs) == 2 * CROPS and pairs.clean.shape == (2 * CROPS, 3, SIZE, SIZE)
    again = make_pairs(crop_files(crops), identity, SIZE)
    assert torch.equal(again.evidence, pairs.evidence[:CROPS]) and torch.equal(again.level, pairs.level[:CROPS])
    assert pairs.held_out.reshape(2, CROPS).all(dim=0).sum() == CROPS // 8
    assert pairs.held_out.reshape(2, CROPS).any(dim=0).sum() == CROPS // 8


def test_an_se_reads_the_level_better_than_a_constant() -> None:
    # Noise that was blurred by known levels, as if RM had changed nothing.
    count, levels = 96, torch.linspace(0.2, 2.5, 96)
    noise = torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) / 2
    blurred = gaussian_blur(noise, levels).half()
    known = Pairs(noise.half(), blurred, blurred, levels / SIZE, torch.arange(count) % 4 == 0)
    seen = []
    fit = fit_blur_level(known, epochs=12, on_step=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == 12 * 9
    assert fit.error < 0.5 * fit.constant_error and fit.crops == 24
    assert 0.6 < fit.coverage < 0.76
    level, confidence = fit.network.estimate_level(blurred[:2].float(), blurred[:2].float())
    assert level.shape == (2,) and (confidence > 0).all() and (confidence < 1).all()


def test_crops_that_would_teach_the_wrong_thing_are_refused(crops: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        crop_files(tmp_path / "none")
    with pytest.raises(InputError, match="0 pictures; at least 16"):
        crop_files(tmp_path)
    with pytest.raises(InputError, match="64 x 64 pixels; sharp crops of at least 512"):
        read_crop(crops / "000.png", 512)
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((64, 80, 3), np.uint8))
    with pytest.raises(InputError, match="80 x 64 pixels; an aligned face crop is square"):
        read_crop(tmp_path / "wide.png", 32)
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="cannot be read"):
        read_crop(tmp_path / "text.png", 32)
