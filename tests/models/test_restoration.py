"""RM of the finer stages reads the face of the coarser one; the others do not."""

import cv2
import numpy as np
import pytest
import torch

from dynface_video.faces.align import sample, scaling
from dynface_video.models.restoration import (
    RestorationModel,
    WindowFusion,
    enlarge_coarse,
    on_coarse,
    reading_coarse,
)

CONFIG = {"resolution": 32, "channels": (8, 16), "blocks": (1, 1), "fusion_channels": 4}


def crops(seed: int, size: int = 32) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def halved(faces: torch.Tensor) -> torch.Tensor:
    size = faces.shape[-1] // 2
    pictures = [picture.numpy().transpose(1, 2, 0) for picture in faces]
    small = [sample(picture, scaling(size, 2 * size), (size, size), cv2.BORDER_REFLECT_101) for picture in pictures]
    return torch.from_numpy(np.stack(small).transpose(0, 3, 1, 2))


def test_a_network_made_for_the_next_stage_begins_as_the_one_before() -> None:
    torch.manual_seed(0)
    single = RestorationModel(**CONFIG)
    torch.nn.init.normal_(single.tail.weight)
    finer = reading_coarse(single)
    assert finer.config.reads_coarse and finer.fusion is None
    degraded, coarse = crops(0, 64), crops(1, 64)
    regression = finer.regress(degraded, coarse)
    start, estimate = regression.evidence, regression.estimate
    assert torch.equal(start, on_coarse(degraded, coarse))
    assert torch.allclose(estimate, single(start), atol=1e-5)
    torch.nn.init.normal_(finer.head.weight)
    other = crops(2, 64)
    to_same_start = start - on_coarse(other, torch.zeros_like(other))
    assert torch.allclose(on_coarse(other, to_same_start), start, atol=1e-5)
    assert not torch.allclose(finer(degraded, coarse), finer(other, to_same_start), atol=1e-2)


def test_a_crop_on_its_own_coarser_face_is_the_crop() -> None:
    degraded = 0.4 * crops(0, 64)
    start = on_coarse(degraded, enlarge_coarse(halved(degraded), 64))
    assert float((start - degraded)[..., 8:-8, 8:-8].abs().max()) < 0.01


def test_a_blurred_crop_leaves_the_coarser_face_alone() -> None:
    blotches = torch.nn.functional.interpolate(crops(0, 4), (64, 64), mode="bicubic").clamp(-1, 1)
    coarse = enlarge_coarse(crops(1, 32), 64)
    assert float((on_coarse(blotches, coarse) - coarse).abs().mean()) < 0.01
    assert float((blotches - coarse).abs().mean()) > 0.3


def test_the_coarser_face_must_be_there_where_it_is_read_and_nowhere_else() -> None:
    single = RestorationModel(**CONFIG)
    with pytest.raises(ValueError, match="does not read the face of the coarser stage"):
        single(crops(0), crops(1))
    with pytest.raises(ValueError, match="needs the face of the coarser stage"):
        reading_coarse(single)(crops(0))


def test_the_coarser_face_is_enlarged_about_pixel_centres_as_crops_are() -> None:
    face = 0.4 * crops(0)
    enlarged = enlarge_coarse(face, 64)
    pictures = [picture.numpy().transpose(1, 2, 0) for picture in face]
    grid = scaling(64, 32), (64, 64), cv2.BORDER_REPLICATE
    sampled = [sample(picture, *grid, interpolation=cv2.INTER_CUBIC) for picture in pictures]
    by_sampling = np.stack(sampled).transpose(0, 3, 1, 2)
    assert np.abs(enlarged.numpy() - by_sampling)[..., 4:-4, 4:-4].max() < 0.01
    assert float(enlarge_coarse(torch.full((1, 3, 8, 8), 1.0), 16).max()) == 1.0
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(enlarge_coarse(face, 64), enlarged)


def test_a_window_is_weighed_by_what_each_crop_shows_beside_the_middle_one_and_the_mean() -> None:
    torch.manual_seed(0)
    fusion = WindowFusion(unshuffle=2, channels=6, features=5)
    for parameter in fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    middle, neighbours = crops(0), torch.stack([crops(1), crops(2), crops(3)], dim=1)
    valid = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    fused, features = fusion(middle, neighbours, valid)
    for row in range(2):
        window = torch.stack([middle[row], *neighbours[row][valid[row] > 0]])
        mean = window.mean(dim=0).expand_as(window)
        compared = torch.cat([middle[row].expand_as(window), mean, window], dim=1)
        hidden = torch.relu(fusion.compare(torch.nn.functional.pixel_unshuffle(compared, 2)))
        judged = fusion.judge(hidden)
        weights = torch.nn.functional.pixel_shuffle(2 * judged[:, 5:].sigmoid(), 2)
        assert torch.allclose(fused[row], (weights * window).sum(0) / weights.sum(0), atol=1e-5)
        assert torch.allclose(features[row], judged[1:, :5].sum(0) / len(window), atol=1e-5)
