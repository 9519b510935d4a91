from __future__ import annotations

from dynface_video.report.quantities import clock, data_size, duration


def test_times_lengths_and_sizes_are_written_for_people() -> None:
    assert [clock(s) for s in (0, 61.26, 3599.96, 7325.4)] == ["0:00.0", "1:01.3", "60:00.0", "2:02:05"]
    assert [duration(s) for s in (9.31, 61, 4000)] == ["9.3 s", "1 min 1 s", "1 h 6 min"]
    assert [data_size(n) for n in (17, 1500, 2_340_000_000)] == ["17 bytes", "1.5 kB", "2.3 GB"]
