from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dynface_video.faces.align import template
from dynface_video.models.restoration import enlarge_coarse
from training import local_validation
from training.gpu.degraded_crops import DegradedCrops, LocalCrops, patch_corners, reduced
from training.gpu.device_clips import Motions, pixel_places
from training.gpu.device_data import cut_patches
from training.gpu.preset import PresetNetworks
from training.local_restoration import PATCH


def generators(seed: int = 0) -> tuple[np.random.Generator, torch.Generator]:
    return np.random.default_rng(seed), torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("factor", [2, 4])
def test_crops_are_reduced_as_the_pipeline_samples_them(crops: DegradedCrops, factor: int) -> None:
    whole = crops.large.images[:1].float() / 127.5 - 1
    expected = local_validation.reduced((whole[0].permute(1, 2, 0).numpy() + 1) / 2, 512 // factor)
    found = (reduced(whole, factor)[0].permute(1, 2, 0).numpy() + 1) / 2
    # The Gaussians' borders differ by half a pixel.
    assert np.abs(found - expected)[4:-4, 4:-4].max() < 0.01


def test_a_batch_is_a_function_of_its_seeds(crops: DegradedCrops) -> None:
    first, again, other = (crops.whole(2, 128, *generators(seed)) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["clean"], other["clean"])


def test_whole_crops_are_degraded_and_in_range(crops: DegradedCrops) -> None:
    for batch, size in ((crops.whole(3, 128, *generators()), 128), (crops.upright(3, 256, *generators()), 256)):
        for name, channels in (("clean", 3), ("degraded", 3), ("mask", 1)):
            assert batch[name].shape == (3, channels, size, size)
            assert batch[name].min() >= -1 and batch[name].max() <= 1
        assert ((batch["clean"] - batch["degraded"]).abs().mean(dim=(1, 2, 3)) > 0.002).all()


def keeps_estimates(degraded: torch.Tensor, estimates: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return estimates


def test_windows_show_the_same_face_as_their_middle(crops: DegradedCrops) -> None:
    batch = crops.windows(24, 128, *generators(2))
    assert batch["neighbours"].shape == (24, 4, 3, 128, 128) and batch["valid"].shape == (24, 4)
    assert batch["valid"].any(dim=1).all() and not batch["valid"].all()
    middle, clean = batch["degraded"][:, None], batch["clean"][:, None]
    absent = batch["valid"] == 0
    assert torch.equal(batch["neighbours"][absent], middle.expand_as(batch["neighbours"])[absent])
    # Neighbours have noise of their own and are brought back: the mean of a window is nearer to the clean face.
    full = batch["valid"].all(dim=1)
    mean = torch.cat([middle, batch["neighbours"]], dim=1).mean(dim=1, keepdim=True)
    errors = [(picture - clean)[full].square().mean() for picture in (mean, middle)]
    assert errors[0] < errors[1]


def test_a_motion_is_undone_by_its_inverse() -> None:
    motions = Motions.draw(3, torch.tensor([-1.0, 1.0]), torch.Generator().manual_seed(0))
    places = pixel_places(6, 32, torch.device("cpu"))
    back = motions.inverse_at(places)
    assert (back + motions.at(places + back)).abs().max() < 0.1 / 128
    assert motions.at(places).abs().max() > 1 / 256


def test_some_coarser_faces_are_sampled(crops: DegradedCrops) -> None:
    class Black(nn.Module):
        def forward(self, degraded: torch.Tensor) -> torch.Tensor:
            return torch.full_like(degraded, -1.0)

    batch = crops.upright(32, 256, *generators())
    faces = LocalCrops(crops, Black(), lambda degraded, estimates, generator: torch.ones_like(estimates))
    sampled = (faces.coarsest_faces(batch, generators()[1]) == 1).flatten(1).all(dim=1).float().mean()
    assert 0.2 < sampled < 0.7


class Remembers(nn.Module):
    """An RM of the local stages that gives the coarser face back and remembers the sizes that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.sides: list[int] = []

    def forward(self, degraded: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        self.sides.append(degraded.shape[-1])
        return coarse


@pytest.mark.parametrize("side", [256, 512])
def test_patches_lie_at_the_same_place_in_all_pictures(
    crops: DegradedCrops, networks: PresetNetworks, side: int
) -> None:
    class Same(nn.Module):
        def forward(self, degraded: torch.Tensor) -> torch.Tensor:
            return degraded

    local, crops_of = Remembers(), LocalCrops(crops, Same(), keeps_estimates)
    batch = crops_of.patches(5, side, local, *generators(3))
    assert {name: tuple(x.shape) for name, x in batch.items()} == {
        name: (5, 1 if name == "mask" else 3, PATCH, PATCH) for name in ("clean", "mask", "degraded", "coarse")
    }
    assert local.sides == ([256] if side == 512 else [])
    # The coarser face is a reduced one of the same place: nearer to its patch than to another crop's.
    near = (batch["coarse"] - batch["clean"]).abs().mean(dim=(1, 2, 3))
    far = (batch["coarse"].roll(2, dims=0) - batch["clean"]).abs().mean(dim=(1, 2, 3))
    assert near.mean() < 0.7 * far.mean()


def test_some_coarser_faces_are_moved_towards_the_clean_one(crops: DegradedCrops) -> None:
    class Black(nn.Module):
        def forward(self, degraded: torch.Tensor) -> torch.Tensor:
            return torch.full_like(degraded, -1.0)

    batch = crops.upright(32, 256, *generators())
    faces = LocalCrops(crops, Black(), keeps_estimates).coarsest_faces(batch, generators()[1])
    untouched = (faces == -1).flatten(1).all(dim=1).float().mean()
    assert 0.4 < untouched < 0.9
    target = enlarge_coarse(reduced(batch["clean"], 2), 256)
    assert (enlarge_coarse(faces, 256) <= target + 1e-4).all()


def test_patches_are_even_inside_the_crop_and_mostly_in_the_picture() -> None:
    mask = torch.zeros(200, 1, 512, 512)
    mask[..., 128:] = 1
    corners = patch_corners(mask, torch.Generator().manual_seed(0))
    assert (corners % 2 == 0).all() and (corners >= 0).all() and (corners <= 512 - PATCH).all()
    shares = cut_patches(mask, corners, PATCH).mean(dim=(1, 2, 3))
    assert (shares > 0.5).float().mean() > 0.97
    eye = torch.from_numpy(template(512)[0]).float()
    assert ((corners + PATCH / 2 - eye).norm(dim=1) < 90).float().mean() > 0.05
