"""Errors as data, and what is tried after them."""

from __future__ import annotations

import pytest

from dynface_video.errors import DiskFullError, InputError, JobError, SelectionError
from dynface_video.jobs.executors.base import ANALYZE, DISK, ERROR, MEMORY, NODE, RESTORE, Call, Failure
from dynface_video.jobs.failures import MAX_LOSSES, failure_of, next_attempt
from dynface_video.jobs.plan import Segment


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), MEMORY),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MEMORY),
        (DiskFullError("full"), DISK),
        (JobError("frames are missing"), ERROR),
        (ZeroDivisionError("x"), ERROR),
    ],
)
def test_errors_become_data(error: Exception, kind: str) -> None:
    assert failure_of(error).kind == kind


def test_a_person_who_is_not_in_the_video_is_searched_once() -> None:
    failure = failure_of(SelectionError("person 7 is not in the video"))
    assert next_attempt(Call(0, ANALYZE), failure, batch_size=8, worker=3) is None


def test_a_first_pass_that_cannot_read_its_video_is_tried_by_another_worker() -> None:
    failure = failure_of(InputError("film.mkv: no such file"))
    again = next_attempt(Call(0, ANALYZE), failure, batch_size=8, worker=3)
    assert again is not None and (again.attempt, again.avoid) == (2, 3)


def test_a_lost_machine_costs_no_attempt() -> None:
    call = Call(0, RESTORE, Segment(0, 0, 9))
    again = next_attempt(call, Failure(NODE, "gone"), batch_size=8, worker=3)
    assert again is not None and (again.attempt, again.losses, again.avoid) == (1, 1, None)
    worn = Call(0, RESTORE, Segment(0, 0, 9), losses=MAX_LOSSES)
    assert next_attempt(worn, Failure(NODE, "gone"), batch_size=8, worker=3) is None
    assert next_attempt(call, Failure(ERROR, "bad"), batch_size=8, worker=3) == Call(
        0, RESTORE, Segment(0, 0, 9), attempt=2, avoid=3
    )
