"""Which colours the first pass looks at: quick ones for shots and faces, exact ones for what is read off faces."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from dynface_video.faces.align import template
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.media.io.probe import ColourInfo
from dynface_video.media.pixels.display import display_geometry
from dynface_video.media.pixels.frame import Frame
from dynface_video.media.pixels.working_range import PQ
from dynface_video.media.timing.shots import ShotDetector
from dynface_video.passes.analyze import _observed, _Shown, _shown
from dynface_video.tracking.observation import Observation

SDR, HDR = ColourInfo(1, 1, 1, 1), ColourInfo(9, 9, PQ, 1)
SIZE = 64
INFO: Any = SimpleNamespace(display=display_geometry(SIZE, SIZE, Fraction(1), None))


def frame(index: int, picture: av.VideoFrame, colour: ColourInfo = SDR) -> Frame:
    return Frame(index, index, Fraction(1, 25), picture, colour)


def noise(pixel_format: str) -> av.VideoFrame:
    levels = np.random.default_rng(0).integers(30, 220, (SIZE, SIZE, 3), np.uint8)
    return av.VideoFrame.from_ndarray(levels, "rgb24").reformat(format=pixel_format)


class Reader:
    """Remembers what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, np.ndarray]] = []

    def see(self, index: int, picture: np.ndarray, observations: Sequence[Observation]) -> None:
        self.seen.append((index, picture))


def face(index: int) -> Observation:
    points = template(SIZE).astype(np.float32)
    detection = Detection(box_from_landmarks(points), points, np.ones(5, np.float32), 0.9)
    return Observation(frame=index, track=1, detection=detection, detected=True)


def read(shown: _Shown, found: list[Observation]) -> list[tuple[int, np.ndarray]]:
    reader: Any = Reader()
    _observed([(shown, found)], INFO, [reader], None)
    return list(reader.seen)


def test_readers_get_exact_colours_of_frames_with_a_face() -> None:
    one = frame(3, noise("yuv420p"))
    quick = one.quick_rgb()
    assert not np.array_equal(quick, one.working_rgb())
    shown = _Shown(one, quick, cut=False)
    ((index, picture),) = read(shown, [face(3)])
    assert index == 3 and np.array_equal(picture, one.working_rgb())
    # A face found backwards, in an earlier frame, is none of this frame's.
    assert read(shown, []) == read(shown, [face(2)]) == []


def test_hdr_is_converted_exactly_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one = frame(0, noise("yuv420p10le"), HDR)
    quick = one.quick_rgb()
    assert np.array_equal(quick, one.working_rgb())
    monkeypatch.setattr(Frame, "working_rgb", lambda _: pytest.fail("converted again"))
    ((_, picture),) = read(_Shown(one, quick, cut=False), [face(0)])
    assert picture is quick


def test_lost_frames_are_not_converted_again_while_they_are_read() -> None:
    picture, other = noise("yuv420p"), noise("yuv420p")
    shown = list(_shown([frame(k, picture if k < 4 else other) for k in range(6)], INFO, ShotDetector()))
    assert [one.picture is shown[0].picture for one in shown] == [True] * 4 + [False] * 2
    assert shown[5].picture is shown[4].picture
