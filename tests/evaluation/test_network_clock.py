"""The time of networks is added up over threads, once for each call."""

from __future__ import annotations

import threading
import time

import numpy as np
import torch

from dynface_video.config import load_settings
from dynface_video.faces.align import template
from dynface_video.passes.networks import load_models
from evaluation.network_clock import NetworkClock, WallTime, clocked, wall_table


def test_calls_of_several_threads_are_added_and_nested_ones_counted_once() -> None:
    clock = NetworkClock()
    inner = clock.timed(lambda: time.sleep(0.05))
    outer = clock.timed(inner)
    threads = [threading.Thread(target=outer) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.seconds >= 0.15
    # Sleeping takes no processor.
    assert clock.cpu_seconds < 0.05


def test_networks_give_the_same_and_their_time_is_noted() -> None:
    clock, settings = NetworkClock(), load_settings("mini", None, {"device": "cpu"})
    plain = load_models(settings)
    timed = clocked(plain, clock)
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    assert timed.detector.detect(picture) == plain.detector.detect(picture) == []
    found = clock.cpu_seconds
    assert found > 0
    assert timed.identifier is not None and plain.identifier is not None
    points = [template(96).astype(np.float32)]
    np.testing.assert_array_equal(timed.identifier.embed(picture, points), plain.identifier.embed(picture, points))
    assert timed.identifier.same_person == plain.identifier.same_person
    embedded = clock.cpu_seconds
    assert embedded > found
    stages = plain.pipeline.stages[0], timed.pipeline.stages[0]
    crops = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    ours, theirs = (stage.regress(crops).estimate for stage in stages)
    assert torch.equal(ours, theirs) and clock.cpu_seconds > embedded


def test_the_table_gives_ratios_to_the_networks() -> None:
    table = wall_table(WallTime(wall=3.0, cpu=5.0, networks=2.0, stages={"restore": 1.0}, frames=100))
    assert "| everything, by the clock | 1.50 | 3.0 | 30 |" in table
    assert "| of these: restore | 0.50 | 1.0 | 10 |" in table


def test_networks_without_work_have_no_ratio() -> None:
    assert "nan" in wall_table(WallTime(1.0, 1.0, 0.0, {}, 1))
