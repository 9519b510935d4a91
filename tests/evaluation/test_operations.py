"""A face's operations are counted by the part that asks for them, on the code path of a GPU."""

from __future__ import annotations

from dynface_video import resampling
from dynface_video.pipeline import FacePipeline
from evaluation.operations import count_operations, operations_table


def test_operations_are_counted_by_part() -> None:
    pipeline = FacePipeline.from_pretrained("mini", device="cpu").with_settings(temporal_radius=1, window_radius=1)
    before = resampling.on_cpu
    counts = count_operations(pipeline, 128, 2)
    assert resampling.on_cpu is before
    assert set(counts) >= {"motions", "windows and averages", "colour", "sampler", "RM", "gathering"}
    more = count_operations(pipeline, 128, 4)
    # A call of RM has as many operations for four faces as for two.
    assert more["RM"] < 0.75 * counts["RM"]
    last = operations_table(counts, 128, 2).strip().splitlines()[-1]
    assert last == f"| all | {sum(counts.values()):.0f} |"
