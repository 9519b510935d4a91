"""Memory of sampling, computed from shapes: of the right order, and as it must grow."""

import pytest
import torch

from dynface_video.memory import GIB, RESERVE, SlotMemory, _LiveBytes, slot_memory
from plain_unet import TINY


def test_live_bytes_are_counted_until_they_are_freed() -> None:
    with _LiveBytes() as counter:
        a = torch.ones(1000)
        b = a + 1
        del a
        c = b[:10].view(5, 2)
        b.mul_(2)
        assert counter.live == 4000
        del b, c
    assert counter.live == 0 and counter.peak == 8000


def test_a_small_prior_follows_its_shapes() -> None:
    config = TINY.config()
    exact, half = slot_memory(config), slot_memory(config, torch.bfloat16)
    large = slot_memory(config | {"resolution": 64, "attention_sizes": ()})
    assert exact.weights == 4 * sum(torch.Size(s).numel() for s in shapes()) < half.weights < 1.6 * exact.weights
    feature_map = 32 * 32 * 32 * 4
    assert 4 * feature_map < exact.slot < 20 * feature_map
    assert half.slot < exact.slot < exact.gradient_slot
    assert large.slot == pytest.approx(4 * exact.slot, rel=0.2)


def shapes() -> list[tuple[int, ...]]:
    from plain_unet import tensor_shapes

    return list(tensor_shapes(TINY).values())


def test_slots_are_what_is_left_of_the_memory() -> None:
    memory = SlotMemory(weights=1 * GIB, slot=GIB // 2, gradient_slot=4 * GIB)
    assert memory.slots(8 * GIB) == (8 * GIB - RESERVE - GIB) // (GIB // 2) == 10
    assert memory.slots(8 * GIB, gradient=True) == 1 and memory.slots(2 * GIB) == 0
