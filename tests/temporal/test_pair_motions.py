"""Motions of pairs are measured once, in whatever batches they are asked for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from dynface_video.resampling import gaussian_blur
from dynface_video.temporal import pair_motions
from dynface_video.temporal.motion import motion_both_ways, prepare_motion
from dynface_video.temporal.pair_motions import PairMotions, split

SIZE = 64
FACES = gaussian_blur(torch.rand(6, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)), 3.0)


class Source:
    """Pictures of six faces, of which the last two reach beyond the picture."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def pictures(self, keys: Sequence[int]) -> Tensor:
        self.asked += keys
        return FACES[list(keys)]

    def validity(self, keys: Sequence[int]) -> Tensor | None:
        masks = torch.ones(len(keys), 1, SIZE, SIZE)
        for row, key in enumerate(keys):
            masks[row, ..., SIZE // 2 :] = float(key < 4)
        return masks if max(keys) >= 4 else None


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs each call has measured."""
    counts: list[int] = []

    def measure(first: pair_motions.MotionInput, second: pair_motions.MotionInput) -> object:
        counts.append(len(first.crop))
        return motion_both_ways(first, second)

    monkeypatch.setattr(pair_motions, "motion_both_ways", measure)
    return counts


def test_a_pair_is_measured_once_for_both_directions(measured: list[int]) -> None:
    source = Source()
    motions = PairMotions[int](source.pictures, source.validity)
    motions.find([(1, 0), (0, 1), (1, 2)])
    motions.find([(2, 1), (0, 1)])
    assert measured == [2] and sorted(source.asked) == [0, 1, 2]
    there, back = motion_both_ways(prepare_motion(FACES[:1]), prepare_motion(FACES[1:2]))
    assert torch.equal(motions.between(0, [1])[0].flow, there.flow[0])
    assert torch.equal(motions.between(1, [2, 0])[1].weight, back.weight[0])


def test_a_device_measures_more_pairs_in_a_call(measured: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_motions, "PAIRS_AT_ONCE", 2)
    for host in (True, False):
        monkeypatch.setattr(pair_motions, "on_cpu", lambda tensor, host=host: host)
        source = Source()
        PairMotions[int](source.pictures, source.validity).find([(0, 1), (1, 2), (0, 2)])
    assert measured == [2, 1, 3]


def test_a_pair_is_the_same_beside_pairs_with_masks() -> None:
    source = Source()
    alone, together = (PairMotions[int](source.pictures, source.validity) for _ in range(2))
    alone.find([(0, 1)])
    together.find([(0, 4), (0, 1), (4, 5)])
    assert torch.equal(alone.between(0, [1])[0].flow, together.between(0, [1])[0].flow)
    assert together.between(0, [1])[0].valid is None
    outside = together.between(0, [4])[0]
    assert outside.valid is not None and not outside.valid[..., SIZE // 2 :].any()


def test_what_was_discarded_is_measured_anew() -> None:
    source = Source()
    motions = PairMotions[int](source.pictures, source.validity)
    motions.find([(0, 1)])
    motions.discard(0, picture=False)
    with pytest.raises(KeyError):
        motions.between(0, [1])
    motions.find([(0, 1)])
    assert source.asked == [0, 1]
    motions.discard(0, picture=True)
    motions.find([(0, 1)])
    assert source.asked == [0, 1, 0]


def test_items_are_split_in_order() -> None:
    assert split([1, 2, 3, 4], lambda item: item % 2 == 0) == ([2, 4], [1, 3])
