"""The engine and what it is compared with: the same evaluations in more or fewer calls."""

from dataclasses import replace

import pytest

from dynface_video.pipeline import FacePipeline
from evaluation.loops import ALONE, ENGINE, PLAIN, SAMPLED, WAYS, loops_table, spread_jobs, time_loops

FACES, SLOTS = 24, 4


@pytest.fixture(scope="module")
def stage():  # type: ignore[no-untyped-def]
    (stage, *_) = FacePipeline.from_pretrained("mini", device="cpu").stages
    return replace(stage, config=replace(stage.config, num_inference_steps=4))


def test_every_way_takes_the_same_evaluations(stage) -> None:  # type: ignore[no-untyped-def]
    times = {one.way: one for one in time_loops(stage, FACES, SLOTS)}
    assert list(times) == list(WAYS)
    assert len({one.evaluations for one in times.values()}) == 1
    sampled = sum(job.starting_step > 0 for job in spread_jobs(stage, FACES))
    assert 0 < sampled < FACES
    assert times[ENGINE].calls < times[SAMPLED].calls <= times[PLAIN].calls < times[ALONE].calls
    assert times[ALONE].occupancy == 1 and times[PLAIN].occupancy < times[ENGINE].occupancy <= 1


def test_the_table_has_every_way_at_every_number_of_evaluations(stage) -> None:  # type: ignore[no-untyped-def]
    lines = loops_table(stage, [2, 4], faces=8, slots=SLOTS, rounds=1).splitlines()
    assert len(lines) == 2 + 2 * len(WAYS)
    assert lines[2].startswith("| 2 | engine | 8 |") and lines[2].endswith("| 1.00 |")
