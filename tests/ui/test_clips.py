"""Clips of before and after: which frames, at which times, which side."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.cli.demo_clip import write_clip
from dynface_video.media.timing.index import FrameIndex
from dynface_video.ui.clips import Pair, compared_pairs, frames_between, write_side_by_side


def index(*pts: int) -> FrameIndex:
    return FrameIndex(np.array(pts, np.int64), Fraction(1, 1000), (), np.zeros(len(pts), np.uint32))


@pytest.mark.parametrize(
    ("start", "seconds", "frames"),
    [(0.0, 0.1, (0, 3)), (0.04, 0.04, (1, 2)), (0.05, 0.01, (2, 3)), (0.13, 9.0, (4, 5)), (9.0, 3.0, (4, 5))],
)
def test_a_span_of_time_is_a_span_of_frames_counted_from_the_first(
    start: float, seconds: float, frames: tuple[int, int]
) -> None:
    assert frames_between(index(700, 740, 780, 820, 860), start, seconds) == frames


def test_a_clip_has_the_pictures_side_by_side_at_their_times(tmp_path: Path) -> None:
    times = [Fraction(5), Fraction(5) + Fraction(1, 25), Fraction(5) + Fraction(1, 10)]

    def pairs() -> Iterator[Pair]:
        for time in times:
            yield Pair(time, np.full((32, 48, 3), 40, np.uint8), np.full((32, 48, 3), 200, np.uint8))

    assert write_side_by_side(tmp_path / "clip.mp4", pairs()) == 3
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [frame.time for frame in frames] == pytest.approx([0, 0.04, 0.1], abs=1e-4)
    picture = frames[0].to_ndarray(format="rgb24")
    assert picture.shape == (32, 96, 3)
    assert abs(int(picture[:, :40].mean()) - 40) < 4 and abs(int(picture[:, 56:].mean()) - 200) < 4
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_two_videos_are_compared_from_a_time_on(tmp_path: Path) -> None:
    for name, light in (("before.mp4", 0), ("after.mp4", 40)):
        pictures = (np.full((32, 48, 3), 8 * number + light, np.uint8) for number in range(20))
        write_clip(tmp_path / name, pictures, crf=10, sound=None)
    pairs = list(compared_pairs(tmp_path / "before.mp4", tmp_path / "after.mp4", 0.4, 0.2))
    assert [pair.time for pair in pairs] == [Fraction(n, 25) for n in range(10, 15)]
    for number, pair in enumerate(pairs, 10):
        assert abs(int(pair.before.mean()) - 8 * number) < 4 and abs(int(pair.after.mean()) - 8 * number - 40) < 4
