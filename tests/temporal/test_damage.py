"""Film damage goes; what moves, what stands in the picture and what nothing confirms stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dynface_video.models.damage_detector import DamageDetector
from dynface_video.resampling import gaussian_blur
from dynface_video.temporal.damage import (
    FoundDamage,
    NearFrames,
    carried_change,
    damaged_share,
    find_damage,
    join_found,
    lean_of,
    remove_damage,
    upright_lines,
)
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


def seen_by_network(crop: Tensor, share: Tensor, replacement: Tensor) -> FoundDamage:
    return FoundDamage(crop, share, crop + share * (replacement - crop))


def removed(found: FoundDamage, near: list[FoundDamage], *, still: tuple[float, ...] = (0, 0, 0, 0)) -> FoundDamage:
    """One crop, and its neighbours of the frames `NEAR`; still: how far the picture moves aside in each, in sides."""
    others = join_found(near)
    stacked = FoundDamage(others.crops[None], others.share[None], others.repaired[None])
    placed = torch.eye(2, 3).repeat(len(near), 1, 1)
    placed[:, 0, 2] = torch.tensor(still[: len(near)])
    before = torch.tensor([at < 0 for at in NEAR[: len(near)]])
    motions = neighbour_motions(found.repaired, stacked.repaired)
    return remove_damage(found, NearFrames(stacked, motions, before[None], placed[None]), torch.zeros(1))


def repaired(crop: Tensor, neighbours: list[Tensor], *, still: tuple[float, ...] = (0, 0, 0, 0)) -> Tensor:
    near = [find_damage(None, one) for one in neighbours]
    return removed(find_damage(None, crop), near, still=still).repaired


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
    neighbours[1][..., 58:70, 98:108] = 0
    # That it shows the scratch in the same place of the picture would be another matter.
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


def test_what_stands_in_the_picture_while_the_face_moves_stays() -> None:
    # In the crops, which follow the face, a pole behind it is somewhere else in every frame.
    def passing(at: int) -> Tensor:
        picture = noisy(face(), at + 5)
        picture[..., 20:100, 60 + 12 * at : 62 + 12 * at] = 0
        return picture

    neighbours, moves = [passing(at) for at in NEAR], tuple(12 * at / SIZE for at in NEAR)
    assert torch.equal(repaired(passing(0), neighbours, still=moves), passing(0))
    assert not torch.equal(repaired(passing(0), neighbours), passing(0))


def test_a_flash_is_not_damage() -> None:
    crop, lit = noisy(face(), 9), torch.ones(1, 1, SIZE, SIZE)
    lit[..., :64] = 1.4
    flashed = (crop * lit).clamp(0, 1)
    assert torch.equal(repaired(flashed, [noisy(face(), at + 5) for at in NEAR]), flashed)


def test_two_neighbours_are_too_few_for_what_the_network_does_not_see() -> None:
    crop, _ = scratched(noisy(face(), 9))
    assert torch.equal(repaired(crop, [noisy(face(), 5), noisy(face(), 6)]), crop)


def test_of_three_neighbours_all_have_to_agree() -> None:
    crop, _ = scratched(noisy(face(), 9))
    neighbours = [noisy(face(), 5), noisy(face(), 6), scratched(noisy(face(), 7))[0]]
    assert torch.equal(repaired(crop, neighbours, still=(0.2, 0.2, 0.2)), crop)


def test_around_the_mouth_more_is_needed() -> None:
    crop, seen = torch.full((1, 3, SIZE, SIZE), 0.5), torch.full((4, 3, SIZE, SIZE), 0.5)
    rng = np.random.default_rng(0)
    seen = seen + torch.from_numpy(rng.normal(0, 0.002, seen.shape).astype(np.float32))
    for row, column in ((93, 64), (20, 64)):
        crop[..., row - 2 : row + 2, column - 2 : column + 2] += 0.1
    share = damaged_share(crop, seen, seen, seen)
    assert share[0, 0, 20, 64] == 1 and share[0, 0, 93, 64] == 0


def spot(rows: slice, columns: slice) -> Tensor:
    share = torch.zeros(1, 1, SIZE, SIZE)
    share[..., rows, columns] = 1
    return share


def test_what_the_network_sees_goes_where_both_sides_show_the_face() -> None:
    clean, share = face(), spot(slice(60, 66), slice(40, 46))
    crop = torch.where(share > 0, torch.tensor(1.0), noisy(clean, 9))
    found = seen_by_network(crop, share, gaussian_blur(clean, 6.0))
    both = [find_damage(None, noisy(clean, at + 5)) for at in NEAR]
    made = removed(found, both[1:3])  # too few for a judgement without the network
    place = share[0, 0] > 0
    assert (made.repaired - clean).abs()[..., place].mean() < 0.1 * (crop - clean).abs()[..., place].mean()
    assert torch.equal(made.share, share) and torch.equal(made.repaired[..., ~place], crop[..., ~place])


def test_what_comes_into_view_stays_whatever_the_network_takes_it_for() -> None:
    clean, share = face(), spot(slice(60, 66), slice(40, 46))
    shown = [noisy(clean, at + 5) for at in NEAR]
    crop = torch.where(share > 0, torch.tensor(1.0), noisy(clean, 9))
    after = [torch.where(share > 0, torch.tensor(1.0), picture) for picture in shown[2:]]
    found = seen_by_network(crop, share, torch.full_like(crop, 0.5))
    made = removed(found, [find_damage(None, one) for one in (*shown[:2], *after)])
    assert torch.equal(made.repaired, crop) and not made.share.any()


def test_what_stands_in_the_picture_stays_whatever_the_network_takes_it_for() -> None:
    # A head that moves by 12 pixels a frame before a ledge, of which it hides most in every frame.
    def passing(at: int) -> Tensor:
        picture = noisy(face(), at + 5)
        picture[..., 60:66, 40 + 12 * at : 46 + 12 * at] = 1
        return picture

    share, moves = spot(slice(60, 66), slice(40, 46)), tuple(12 * at / SIZE for at in NEAR)
    found = seen_by_network(passing(0), share, gaussian_blur(face(), 6.0))
    near = [find_damage(None, passing(at)) for at in NEAR]
    assert torch.equal(removed(found, near, still=moves).repaired, passing(0))
    assert not torch.equal(removed(found, near).repaired, passing(0))


def test_a_mole_stays_and_so_does_what_nothing_confirms() -> None:
    share = spot(slice(60, 66), slice(40, 46))
    crop = torch.where(share > 0, torch.tensor(0.1), noisy(face(), 9))
    found = seen_by_network(crop, share, torch.full_like(crop, 0.5))
    assert torch.equal(removed(found, [find_damage(None, crop)] * 4).repaired, crop)
    # Found in every frame alike, it might still be a mole.
    assert torch.equal(removed(found, [found] * 4).repaired, crop)
    alone = removed(found, [find_damage(None, crop)] * 4)
    assert not alone.share.any()


def test_a_line_from_top_to_bottom_goes_though_it_stays_in_all_frames() -> None:
    clean, share = face(), spot(slice(4, 124), slice(70, 72))
    crop = torch.where(share > 0, torch.tensor(1.0), noisy(clean, 9))
    found = seen_by_network(crop, share, clean)
    made = removed(found, [found] * 4)
    assert torch.equal(made.share, share)
    assert (made.repaired - clean).abs()[..., share[0, 0] > 0].mean() < 0.01


def lined(clean: Tensor, share: Tensor, at: int) -> FoundDamage:
    """A frame with a white line, of which the network finds a part and knows what is under it."""
    line = spot(slice(4, 124), slice(70, 72)) > 0
    return seen_by_network(torch.where(line, torch.tensor(1.0), noisy(clean, at + 5)), share, clean)


def test_of_a_line_that_stays_each_frame_may_find_another_part() -> None:
    parts = [spot(slice(4 + 24 * k, 28 + 24 * k), slice(70, 72)) for k in range(5)]
    found, *near = (lined(face(), share, at) for share, at in zip(parts, (0, *NEAR), strict=True))
    assert torch.equal(removed(found, near).share, parts[0])
    # Of the frames alone none shows a line.
    assert not removed(found, [lined(face(), torch.zeros_like(parts[0]), at) for at in NEAR]).share.any()


def test_a_line_of_the_face_itself_stays_where_the_face_moves() -> None:
    # The same line in every crop, as a strand of hair is: on a face that keeps still it would be a scratch.
    share, moves = spot(slice(4, 124), slice(70, 72)), tuple(6 * at / SIZE for at in NEAR)
    crop = noisy(torch.where(share > 0, 0.9 * face(), face()), 9, std=0.005)
    found, near = seen_by_network(crop, share, face()), [find_damage(None, crop)] * 4
    assert not removed(found, near, still=moves).share.any()
    assert torch.equal(removed(found, near).share, share)
    # Before it moves the face says nothing about the line, after that it does.
    other = [find_damage(None, noisy(face(), at + 5)) for at in NEAR[2:]]
    assert torch.equal(removed(found, [*near[:2], *other], still=(0, 0, *moves[2:])).share, share)


def test_lines_are_upright_in_the_frame_and_long() -> None:
    rows = np.arange(10, 120)

    def line(lean: float, columns: float = 64, gaps: bool = False) -> np.ndarray:
        mask = np.zeros((SIZE, SIZE), bool)
        mask[rows, np.rint(columns + lean * (rows - 64)).astype(int)] = True
        if gaps:
            mask[30:50] = mask[80:95] = False
        return mask

    for lean in (0.0, 0.2, -0.3):
        for mask in (line(lean), line(lean, gaps=True)):
            assert np.array_equal(upright_lines(mask, lean), mask)
            assert not upright_lines(mask, lean + 0.3).any()
    short = line(0.0) & (np.arange(SIZE) < 70)[:, None]
    beside = line(0.0, 10)
    assert not upright_lines(short, 0.0).any() and not upright_lines(beside, 0.0).any()
    beside[:10, 10] = beside[120:, 10] = True
    assert upright_lines(beside, 0.0).any()
    # Far out in a crop that is turned by an eighth.
    assert not upright_lines(np.eye(SIZE, dtype=bool)[::-1], 1.0).any()


def test_the_lean_of_the_frame_in_a_crop() -> None:
    assert lean_of(np.array([0.0, 2.0])) == 0 and lean_of(np.array([-0.5, 2.0])) == -0.25
    assert lean_of(np.array([2.0, 0.0])) == 1 and lean_of(np.array([-2.0, 0.1])) == -1


def test_a_change_is_carried_to_the_smaller_crops() -> None:
    crops = (torch.full((3, 16, 16), 0.5), torch.full((3, 32, 32), 0.5))
    assert all(a is b for a, b in zip(carried_change(crops, crops[1].clone()), crops, strict=True))
    changed = crops[1].clone()
    changed[:, 8:12, 8:12] = 0.9
    small, large = carried_change(crops, changed)
    assert torch.equal(large, changed)
    assert small[:, 4:6, 4:6].mean() == pytest.approx(0.9, abs=0.05) and torch.equal(small[:, :2], crops[0][:, :2])


def test_a_network_is_asked_for_each_crop_by_itself() -> None:
    torch.manual_seed(0)
    network = DamageDetector(channels=(8, 16), blocks=(1, 1)).eval()
    crops = torch.rand(3, 3, 32, 32)
    together = find_damage(network, crops)
    assert together.share.shape == (3, 1, 32, 32) and together.repaired.shape == crops.shape
    alone = find_damage(network, crops[1:2])
    assert torch.equal(together[1:2].repaired, alone.repaired) and torch.equal(together[1:2].share, alone.share)
    none = find_damage(None, crops)
    assert not none.share.any() and none.repaired is crops
