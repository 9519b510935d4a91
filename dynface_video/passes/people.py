"""The people of a video: who is seen when, how large and how blurred, and what is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.media.timing.index import FrameIndex


@dataclass(frozen=True, eq=False)
class Person:
    """A person of a video.

    Attributes:
        number: From 1, by the first frame.
        vector: (D,) float32 of length 1, by which the person is told from others; None if it was not measured.
        restore: False to leave the person as in the source.
        strength: In [0, 1], instead of the settings'; None for the settings'.
    """

    number: int
    vector: np.ndarray | None = None
    restore: bool = True
    strength: float | None = None


@dataclass(frozen=True)
class Sighting:
    """The best picture of a person: frame number, track number, and landmarks (5, 2) in display pixels."""

    frame: int
    track: int
    landmarks: np.ndarray


@dataclass(frozen=True)
class PersonSummary:
    """What a person's tracks amount to.

    Attributes:
        number: Of the person.
        tracks: Numbers of its tracks.
        spans: Frames in which it is seen, (start, stop) each, in order; those that touch are one.
        times: The same in seconds from the first frame.
        frames: In which it is seen.
        size: Median side of the face, display pixels.
        blur_level: Mean blur level, a share of the crop's side.
        starting_step: Mean starting step of the stage that draws, of 1000; 0 where nothing is drawn.
        best: Where it is seen best.
        restore: Whether any of it is restored.
    """

    number: int
    tracks: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    times: tuple[tuple[Fraction, Fraction], ...]
    frames: int
    size: float
    blur_level: float
    starting_step: float
    best: Sighting
    restore: bool

    def as_dict(self) -> dict[str, Any]:
        """The summary as JSON data, times in seconds."""
        return {
            "number": self.number,
            "restore": self.restore,
            "tracks": list(self.tracks),
            "times": [[round(float(start), 3), round(float(stop), 3)] for start, stop in self.times],
            "frames": self.frames,
            "size": round(self.size, 1),
            "blur_level": round(self.blur_level, 5),
            "starting_step": round(self.starting_step),
            "best_frame": self.best.frame,
        }


def summarize_people(tracks: Sequence[AnalyzedTrack], frames: FrameIndex) -> list[PersonSummary]:
    """The people that tracks show, by their numbers."""
    by_person: dict[int, list[AnalyzedTrack]] = {}
    for track in tracks:
        by_person.setdefault(track.person, []).append(track)
    return [_summary(number, by_person[number], frames) for number in sorted(by_person)]


def _summary(number: int, tracks: Sequence[AnalyzedTrack], frames: FrameIndex) -> PersonSummary:
    spans = joined_spans([(one.track.start, one.track.stop) for one in tracks])
    sizes = np.concatenate([one.track.sizes for one in tracks])
    steps = np.concatenate([one.starting_steps.max(axis=0) for one in tracks])
    return PersonSummary(
        number=number,
        tracks=tuple(one.track.number for one in tracks),
        spans=tuple(spans),
        times=tuple((time_of(frames, start), time_of(frames, stop)) for start, stop in spans),
        frames=sum(stop - start for start, stop in spans),
        size=float(np.median(sizes)),
        blur_level=float(np.concatenate([one.finest_levels for one in tracks]).mean()),
        starting_step=float(steps.mean()),
        best=max((_best(one) for one in tracks), key=lambda found: found[0])[1],
        restore=any(one.restore for one in tracks),
    )


def _best(analyzed: AnalyzedTrack) -> tuple[float, Sighting]:
    """The frame in which a face is seen best, and how well."""
    track = analyzed.track
    visibility = analyzed.visibility(np.arange(len(track.landmarks)))
    at = int(visibility.argmax())
    return float(visibility[at]), Sighting(track.start + at, track.number, track.landmarks[at])


def joined_spans(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs of frames (start, stop) in order, those that overlap or touch as one."""
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def time_of(frames: FrameIndex, number: int) -> Fraction:
    """Seconds from the first frame to another; one past the last frame lies a frame's length after it."""
    pts = frames.pts
    if number < len(pts):
        return int(pts[number] - pts[0]) * frames.time_base
    step = int(pts[-1] - pts[-2]) if len(pts) > 1 else 0
    return int(pts[-1] + step - pts[0]) * frames.time_base
