"""Damage of one frame goes, what moves and what stays does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dynface_video.resampling import gaussian_blur
from dynface_video.temporal.damage import damaged_share, remove_damage
from dynface_video.temporal.flow_averaging import neighbour_motions

SIZE = 128
NEAR = (-2, -1, 1, 2)


def face(seed: int = 0, shift: int = 0) -> Tensor:
    noise = torch.rand(1, 3, SIZE, SIZE + 32, generator=torch.Generator().manual_seed(seed))
    textured = 0.5 + 6 * (gaussian_blur(noise, 4.0) - 0.5)
    return textured[..., 16 + shift : 16 + shift + SIZE].clamp(0.1, 0.9).contiguous()


def noisy(picture: Tensor, seed: int, std: float = 0.02) -> Tensor:
    return (picture + std * torch.randn(picture.shape, generator=torch.Generator().manual_seed(seed))).clamp(0, 1)


def scratched(picture: Tensor) -> tuple[Tensor, Tensor]:
    covered = torch.zeros(1, 1, SIZE, SIZE)
    covered[..., 20:100, 30:32] = 1
    covered[..., 60:66, 100:106] = 1
    return torch.where(covered > 0, torch.tensor(1.0), picture), covered


def repaired(crop: Tensor, neighbours: list[Tensor]) -> Tensor:
    near = torch.stack(neighbours, dim=1)
    return remove_damage(crop, near, neighbour_motions(crop, near))


@pytest.mark.parametrize("speed", [0, 1])
def test_scratches_and_dust_of_one_frame_go(speed: int) -> None:
    clean = face()
    crop, covered = scratched(noisy(clean, 9))
    made = repaired(crop, [noisy(face(shift=speed * at), at + 5) for at in NEAR])
    before, after = ((picture - clean).abs()[:, :, covered[0, 0] > 0].mean() for picture in (crop, made))
    assert after < 0.15 * before
    untouched = (made - crop).abs().amax(dim=1, keepdim=True)[covered == 0] > 0
    assert untouched.float().mean() < 0.06


def test_one_damaged_neighbour_does_not_matter() -> None:
    clean = face()
    crop, covered = scratched(noisy(clean, 9))
    neighbours = [noisy(clean, at + 5) for at in NEAR]
    neighbours[1] = scratched(neighbours[1])[0]
    made = repaired(crop, neighbours)
    assert (made - clean).abs()[:, :, covered[0, 0] > 0].mean() < 0.15 * (crop - clean).abs()[
        :, :, covered[0, 0] > 0
    ].mean()


def test_nothing_changes_without_damage() -> None:
    crop = noisy(face(), 9)
    assert torch.equal(repaired(crop, [noisy(face(), at + 5) for at in NEAR]), crop)
    assert torch.equal(repaired(crop, [noisy(face(shift=2 * at), at + 5) for at in NEAR]), crop)


def test_what_the_neighbours_do_not_agree_on_stays() -> None:
    # An object that crosses the face is somewhere else in every frame, but where it has been the others differ as well.
    def crossed(at: int) -> Tensor:
        picture = noisy(face(), at + 5)
        left = 50 + 6 * at
        picture[..., 40:90, left : left + 24] = 0.95
        return picture

    crop = crossed(0)
    made = repaired(crop, [crossed(at) for at in NEAR])
    assert ((made - crop).abs().amax(dim=1) > 0.02).float().mean() < 0.02


def test_a_flash_is_not_damage() -> None:
    crop, lit = noisy(face(), 9), torch.ones(1, 1, SIZE, SIZE)
    lit[..., :64] = 1.4
    flashed = (crop * lit).clamp(0, 1)
    assert torch.equal(repaired(flashed, [noisy(face(), at + 5) for at in NEAR]), flashed)


def test_two_neighbours_are_too_few() -> None:
    crop, _ = scratched(noisy(face(), 9))
    assert torch.equal(repaired(crop, [noisy(face(), 5), noisy(face(), 6)]), crop)


def test_around_the_mouth_more_is_needed() -> None:
    crop, seen = torch.full((1, 3, SIZE, SIZE), 0.5), torch.full((4, 3, SIZE, SIZE), 0.5)
    rng = np.random.default_rng(0)
    seen = seen + torch.from_numpy(rng.normal(0, 0.002, seen.shape).astype(np.float32))
    for row, column in ((93, 64), (20, 64)):
        crop[..., row - 2 : row + 2, column - 2 : column + 2] += 0.1
    share = damaged_share(crop, seen)
    assert share[0, 0, 20, 64] == 1 and share[0, 0, 93, 64] == 0
