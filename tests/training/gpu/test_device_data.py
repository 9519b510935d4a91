from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dynface_video.errors import InputError
from evaluated_faces import picture
from training.data import FaceSet, picture_mask
from training.gpu.device_data import DeviceFaces, cut_patches, inside_quadrilateral, jitter_colour

SIDE = 64
CPU = torch.device("cpu")
QUADRILATERAL = np.array([[10, 4], [58, 10], [50, 60], [2, 52]], np.float32)


def face_set(count: int = 4) -> FaceSet:
    images = np.stack([np.rint(picture(k, SIDE) * 255).astype(np.uint8) for k in range(count)])
    corners = np.repeat(QUADRILATERAL[None], count, axis=0)
    return FaceSet(
        images=images,
        corners=corners,
        landmarks=np.zeros((count, 5, 2), np.float32),
        detail=np.full(count, 10, np.float32),
        scale=np.arange(count, dtype=np.float32),
        held_out=np.array([k == 1 for k in range(count)]),
    )


@pytest.fixture
def faces() -> DeviceFaces:
    return DeviceFaces.of(face_set(), CPU)


def test_held_out_and_enlarged_crops_are_not_trained_on(faces: DeviceFaces) -> None:
    assert faces.positions().tolist() == [0, 2, 3]
    assert faces.positions(largest_scale=2).tolist() == [0, 2]
    with pytest.raises(InputError, match="no sharp training crop"):
        faces.positions(largest_scale=-1)


@pytest.mark.parametrize("size", [SIDE, SIDE // 2])
def test_upright_crops_are_the_stored_ones_or_mirrored(faces: DeviceFaces, size: int) -> None:
    crops, masks = faces.upright(torch.tensor([0] * 16), size, torch.Generator().manual_seed(0))
    expected = cv2.resize(faces.source.images[0], (size, size), interpolation=cv2.INTER_AREA) / 255
    plain = torch.from_numpy(expected.astype(np.float32)).permute(2, 0, 1)
    as_it_is = [bool((crop - plain).abs().max() < 0.6 / 255) for crop in crops]
    mirrored = [bool((crop.flip(2) - plain).abs().max() < 0.6 / 255) for crop in crops]
    assert any(as_it_is) and any(mirrored) and all(a or b for a, b in zip(as_it_is, mirrored, strict=True))
    assert masks.shape == (16, 1, size, size)


def test_jittered_crops_stay_near_the_stored_ones_and_do_not_alias(faces: DeviceFaces) -> None:
    chosen = torch.zeros(32, dtype=torch.long)
    crops, masks = faces.jittered(chosen, SIDE // 2, torch.Generator().manual_seed(0))
    plain = torch.nn.functional.avg_pool2d(faces.images[:1].float() / 255, 2)
    nearest = torch.minimum(
        (crops - plain).abs().mean(dim=(1, 2, 3)), (crops.flip(3) - plain).abs().mean(dim=(1, 2, 3))
    )
    apart = (plain - torch.nn.functional.avg_pool2d(faces.images[2:3].float() / 255, 2)).abs().mean()
    assert nearest.mean() < 0.6 * apart and nearest.min() > 0
    assert masks.min() == 0 and masks.max() == 1
    checks = DeviceFaces.of(face_set(), CPU)
    pattern = (torch.arange(SIDE)[:, None] + torch.arange(SIDE)[None]) % 2 * 255
    checks.images[:] = pattern.to(torch.uint8)
    assert checks.jittered(chosen, SIDE // 2, torch.Generator().manual_seed(0))[0].std() < 0.12


def test_the_mask_follows_the_picture(faces: DeviceFaces) -> None:
    """Corners in the pixels' own colours: what the mask shows is what was painted."""
    painted = picture_mask(faces.source, 0, np.array([[1.0, 0, 0], [0, 1, 0]]), SIDE)
    faces.images[:] = torch.from_numpy((painted * 255).astype(np.uint8))
    crops, masks = faces.jittered(torch.zeros(8, dtype=torch.long), SIDE, torch.Generator().manual_seed(1))
    # The reflected border may show paint where no picture is; inside the frame both agree but for the edge.
    inner = (slice(None), slice(0, 1), slice(8, -8), slice(8, -8))
    assert (crops[inner] - masks[inner]).abs().mean() < 0.03


def test_points_are_inside_or_outside_of_a_quadrilateral() -> None:
    points = torch.tensor([[[[30.0, 30.0], [3.0, 3.0], [57.0, 12.0], [60.0, 60.0]]]])
    inside = inside_quadrilateral(points, torch.from_numpy(QUADRILATERAL)[None])
    assert inside.tolist() == [[[1, 0, 1, 0]]]


def test_patches_are_cut_where_they_begin() -> None:
    pictures = torch.arange(2 * 3 * 12 * 12).float().reshape(2, 3, 12, 12)
    patches = cut_patches(pictures, torch.tensor([[1, 5], [4, 0]]), 6)
    assert torch.equal(patches[0], pictures[0, :, 5:11, 1:7])
    assert torch.equal(patches[1], pictures[1, :, 0:6, 4:10])


def test_colour_jitter_is_one_change_for_each_crop() -> None:
    flat = torch.full((256, 3, 4, 4), 0.5)
    flat[:, 0] = 0.6
    jittered = jitter_colour(flat, torch.Generator().manual_seed(0))
    assert jittered.std(dim=(2, 3)).max() < 1e-6
    assert jittered.min() >= 0 and jittered.max() <= 1
    reddish = jittered[:, 0] - jittered[:, 2]
    assert 0.5 < (reddish > 0.01).float().mean() < 1  # the others lost their colour


def test_missing_crops_are_named_with_where_they_were_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="part1/crops_256"):
        DeviceFaces.load(tmp_path, 256, tmp_path, CPU)
