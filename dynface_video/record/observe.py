"""Making the pictures and measures of a record while pairs of frames, source and output, pass by."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.lanes import Lanes, Runner, Task
from dynface_video.media.io.probe import VideoInfo
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.prefetch import frames_ahead
from dynface_video.record.archive import Record
from dynface_video.record.measure import FaceReaders, RunCrops, RunMeasures, measure_run
from dynface_video.record.moments import Excerpt, Moments, Run
from dynface_video.record.pictures import (
    CLOSE_UP_SIDE,
    CONTEXT,
    STILL_SIDE,
    THUMBNAIL_WIDTH,
    WHOLE_SIDE,
    ExcerptWriter,
    close_up_box,
    jpeg,
    square_around,
)

MEASURING, ENCODING = "measuring", "encoding"
RUNS_AHEAD = 16
"""Runs that may wait to be measured, for memory: a crowd is collected sooner than it is measured."""
PAIRS_AHEAD = 4
"""Pairs of frames that may wait to be taken, and to be encoded."""


@dataclass(frozen=True, eq=False)
class FramePair:
    """A frame before and after.

    Attributes:
        index: Its number.
        source: (H, W, 3) uint8, as displayed.
        output: The same of the output; None if it is not restored yet.
    """

    index: int
    source: np.ndarray
    output: np.ndarray | None


def observe(
    pairs: Iterable[FramePair],
    moments: Moments,
    analysis: Analysis,
    info: VideoInfo,
    readers: FaceReaders,
    facts: dict[str, Any],
) -> Record:
    """Make a record.

    Args:
        pairs: The frames that the moments name, in order.
        moments: What to show and measure.
        analysis: Of the first pass.
        info: The source.
        readers: Of the faces in crops.
        facts: As of `Record`.
    """
    # Faces are measured in one thread and excerpts encoded in another, while crops are taken in this one.
    with tempfile.TemporaryDirectory() as folder, Lanes(MEASURING, ENCODING) as lanes:
        observer = _Observer(moments, analysis, info, readers, Path(folder), lanes)
        for pair in pairs:
            observer.see(pair)
        return observer.record(facts)


def pairs_ahead(width: int, height: int) -> int:
    """How many pairs of frames of this size, pixels, may wait: `PAIRS_AHEAD`, and fewer of large ones."""
    return min(PAIRS_AHEAD, frames_ahead(width, height))


class _Queue:
    """Work of one lane, of which at most `most` pieces wait."""

    def __init__(self, runner: Runner, lane: str, most: int) -> None:
        self._runner, self._lane, self._most = runner, lane, most
        self._waiting: deque[Task] = deque()

    def submit(self, work: Callable[[], None]) -> None:
        """Have work done once there is room for it."""
        if len(self._waiting) == self._most:
            self._runner.wait([self._waiting.popleft()])
        self._waiting.append(self._runner.submit(self._lane, work))

    def wait(self) -> None:
        """Return when all work is done."""
        self._runner.wait(self._waiting)


class _Observer:
    def __init__(
        self,
        moments: Moments,
        analysis: Analysis,
        info: VideoInfo,
        readers: FaceReaders,
        folder: Path,
        runner: Runner,
    ) -> None:
        self._moments, self._analysis, self._info, self._readers = moments, analysis, info, readers
        self._folder = folder
        self._measuring = _Queue(runner, MEASURING, RUNS_AHEAD)
        self._encoding = _Queue(runner, ENCODING, pairs_ahead(info.display.width, info.display.height))
        self._tracks = {one.track.number: one for one in analysis.tracks}
        self._crops: dict[Run, RunCrops] = {}
        self._writers: dict[Excerpt, ExcerptWriter] = {}
        self._measures: list[RunMeasures] = []
        self._stills: list[dict[str, Any]] = []
        self._skipped: list[dict[str, Any]] = []
        self._shots: list[dict[str, Any]] = []
        self._excerpts: list[dict[str, Any]] = []
        self._media: dict[str, bytes] = {}
        self._stills_at = _by_frame((still.frame, still) for still in moments.stills)
        self._skipped_at = _by_frame((frame, number) for number, frame in moments.skipped.items())
        self._shots_at = _by_frame((frame, number) for number, frame in moments.shots.items())

    def see(self, pair: FramePair) -> None:
        """Take what belongs to a frame."""
        for run in self._moments.runs:
            if run.start <= pair.index < run.stop and pair.output is not None:
                self._collect(run, pair.index, pair.source, pair.output)
        excerpts = [one for one in self._moments.excerpts if one.start <= pair.index < one.stop]
        if excerpts and pair.output is not None:
            self._encoding.submit(partial(self._write, excerpts, pair.index, pair.source, pair.output))
        for still in self._stills_at.get(pair.index, []):
            self._take_still(still.person, self._tracks[still.track], pair)
        for number in self._skipped_at.get(pair.index, []):
            face = self._analysis.skipped_faces[number]
            box = square_around(face.centre, CONTEXT * face.size, *self._size)
            name = self._keep(f"skipped-{number}", jpeg(pair.source, box, THUMBNAIL_WIDTH))
            self._skipped.append({"face": number, "frame": pair.index, "picture": name})
        for number in self._shots_at.get(pair.index, []):
            shown = pair.source if pair.output is None else pair.output
            name = self._keep(f"shot-{number}", jpeg(shown, None, THUMBNAIL_WIDTH))
            self._shots.append({"shot": number, "frame": pair.index, "picture": name})

    def record(self, facts: dict[str, Any]) -> Record:
        """The record of what was seen."""
        self._measuring.wait()
        self._encoding.wait()
        return Record(
            facts,
            self._analysis,
            tuple(sorted(self._measures, key=lambda one: (one.start, one.track))),
            tuple(sorted(self._stills, key=lambda one: (one["person"], one["frame"]))),
            tuple(sorted(self._skipped, key=lambda one: int(one["face"]))),
            tuple(sorted(self._shots, key=lambda one: int(one["shot"]))),
            tuple(sorted(self._excerpts, key=lambda one: (one["person"] is not None, one["person"] or 0))),
            dict(sorted(self._media.items())),
        )

    @property
    def _size(self) -> tuple[int, int]:
        return self._info.display.width, self._info.display.height

    def _collect(self, run: Run, index: int, source: np.ndarray, output: np.ndarray) -> None:
        track = self._tracks[run.track].track
        landmarks = track.landmarks[index - track.start]
        crops = self._crops.setdefault(run, RunCrops.of(landmarks))
        crops.add(source, output, landmarks)
        if index == run.stop - 1 and len(crops.source) > 1:
            self._measuring.submit(partial(self._measure, run, self._crops.pop(run)))

    def _measure(self, run: Run, crops: RunCrops) -> None:
        self._measures.append(measure_run(run.track, run.start, crops, self._readers))

    def _write(self, excerpts: Sequence[Excerpt], index: int, source: np.ndarray, output: np.ndarray) -> None:
        for excerpt in excerpts:
            self._write_one(excerpt, index, source, output)

    def _write_one(self, excerpt: Excerpt, index: int, source: np.ndarray, output: np.ndarray) -> None:
        path = self._folder / f"{excerpt.start}-{excerpt.stop}-{excerpt.person}.mp4"
        if excerpt not in self._writers:
            box = None if excerpt.person is None else self._close_up(excerpt)
            side = WHOLE_SIDE if box is None else CLOSE_UP_SIDE
            rate = self._info.frame_rate or Fraction(25)
            self._writers[excerpt] = ExcerptWriter(path, box, side, rate)
        pts = self._analysis.frames.pts
        time = (int(pts[index]) - int(pts[excerpt.start])) * self._analysis.frames.time_base
        self._writers[excerpt].add(source, output, time)
        if index == excerpt.stop - 1:
            done = self._writers.pop(excerpt).close()
            name = f"excerpts/{len(self._excerpts)}.mp4"
            self._media[name] = path.read_bytes()
            path.unlink()
            self._excerpts.append(
                {
                    "person": excerpt.person,
                    "start": excerpt.start,
                    "stop": excerpt.stop,
                    "width": done.width,
                    "height": done.height,
                    "seconds": round(done.seconds, 3),
                    "video": name,
                }
            )

    def _close_up(self, excerpt: Excerpt) -> tuple[int, int, int, int]:
        shown = [
            one
            for one in self._analysis.faces_in(excerpt.start, excerpt.stop)
            if one.track.start <= excerpt.start and one.track.stop >= excerpt.stop and excerpt.person == one.person
        ]
        return close_up_box(shown[0], excerpt.start, excerpt.stop, *self._size)

    def _take_still(self, person: int, analyzed: AnalyzedTrack, pair: FramePair) -> None:
        track = analyzed.track
        at = pair.index - track.start
        box = square_around(track.landmarks[at].mean(axis=0), CONTEXT * float(track.sizes[at]), *self._size)
        name = f"person-{person}-{pair.index}"
        entry = {
            "person": person,
            "track": track.number,
            "frame": pair.index,
            "before": self._keep(f"{name}-before", jpeg(pair.source, box, STILL_SIDE)),
            "after": None,
        }
        if analyzed.restore and pair.output is not None:
            entry["after"] = self._keep(f"{name}-after", jpeg(pair.output, box, STILL_SIDE))
        self._stills.append(entry)

    def _keep(self, name: str, content: bytes) -> str:
        path = f"pictures/{name}.jpg"
        self._media[path] = content
        return path


def _by_frame(items: Iterable[tuple[int, Any]]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for frame, item in items:
        found.setdefault(frame, []).append(item)
    return found
