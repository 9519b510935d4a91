"""The job directory: the only truth about a job, so that whoever finds it can go on (DESIGN.md, Jobs).

    plan.json            what the job is (input, settings, models)
    analysis.json        the first pass's result
    segments/NNNNN-DIGEST.nut, .json    a restored segment and, written last, its sidecar
    analyzing.json, restoring-NNNNN.json    how many frames a call that runs has done
    log.jsonl            every call that ended, one line each (`jobs.log`)
    state.json           how far it is, for `dynface-video status`; nothing depends on it
    complete.json        the output is at its place; what remains is to delete the directory

A segment's name holds a digest of everything it depends on. Doing one twice is harmless; a file without its sidecar
counts for nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from dynface_video.errors import InputError, JobError, JobMismatchError
from dynface_video.jobs.executors.base import Call, SegmentResult
from dynface_video.jobs.plan import Plan, Segment
from dynface_video.media.io.files import write_atomically

if TYPE_CHECKING:
    # Whoever only looks at a job, as `status` does, need not wait for the networks' libraries.
    from dynface_video.passes.analysis import Analysis, AnalyzedTrack

__all__ = ["JobDirectory", "SegmentResult", "job_lock", "completed", "is_running", "segment_digest"]

logger = logging.getLogger(__name__)

PLAN = "plan.json"
ANALYSIS = "analysis.json"
COMPLETE = "complete.json"
STATE = "state.json"
OUTPUT = "output"
ANALYZING, RESTORING = "analyzing.json", "restoring-{}.json"
MOST_NOTES = 64
REMOVALS = 5
LOCK_TRIES = 5
LOCK_PAUSE = 0.03
"""Seconds from one try to the next."""


@dataclass(frozen=True)
class JobDirectory:
    """Paths and records of one job."""

    path: Path
    plan: Plan

    @classmethod
    def open(cls, path: Path, plan: Plan, *, resume: bool = True) -> JobDirectory:
        """Begin a job in `path`, or go on with the one that is there.

        Raises JobMismatchError, naming the difference, when the directory holds another job and `resume` is true;
        InputError when it cannot be made or holds something else.
        """
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is in the way: it should be the job's directory; move it")
        existing = path / PLAN
        if existing.exists() and not resume:
            shutil.rmtree(path)
        elif existing.exists():
            differences = plan.differences(_load_plan(existing))
            if differences:
                raise JobMismatchError(
                    f"{path} holds a job with other conditions: {'; '.join(differences)}. Go on with the same ones, or "
                    "start over with --restart"
                )
        elif path.exists() and any(p for p in path.iterdir() if not p.name.startswith(".")):
            raise InputError(f"{path} is not a job's directory and not empty; move it")
        try:
            path.mkdir(parents=True, exist_ok=True)
            # The plan first: without it nobody could tell the directory from somebody else's.
            if not existing.exists():
                write_atomically(existing, json.dumps(asdict(plan), indent=2))
            (path / "segments").mkdir(exist_ok=True)
            # A worker that was killed leaves what it was writing behind.
            halves = [*(path / "segments").glob(".*"), *(path / OUTPUT).glob(".*")]
            for leftover in [*halves, path / ANALYZING, *path.glob(RESTORING.format("*"))]:
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"the job's directory {path} cannot be made ({error.strerror})") from error
        return cls(path, plan)

    @property
    def analysis_path(self) -> Path:
        """Where the first pass's result lies."""
        return self.path / ANALYSIS

    @property
    def log_path(self) -> Path:
        """Where every call that ended is noted."""
        return self.path / "log.jsonl"

    @property
    def state_path(self) -> Path:
        """Where the driver says how far it is."""
        return self.path / STATE

    @property
    def analyzing_path(self) -> Path:
        """Where the first pass, which may run elsewhere, says how many frames it has seen."""
        return self.path / ANALYZING

    def restoring_path(self, number: int) -> Path:
        """Where a segment's worker, which may run elsewhere, says how many of its frames are done."""
        return self.path / RESTORING.format(f"{number:05d}")

    def restoring(self) -> dict[int, int]:
        """Frames that are done of segments that are being restored, by the segment's number.

        Nothing where there are very many: then segments end often enough, and reading all notes would take its time.
        """
        notes, done = list(self.path.glob(RESTORING.format("*"))), dict[int, int]()
        for note in notes if len(notes) <= MOST_NOTES else []:
            # It may be gone by now, or half written.
            with suppress(OSError, ValueError):
                done[int(note.stem.rpartition("-")[2])] = int(json.loads(note.read_text())["frames"])
        return done

    @property
    def output_folder(self) -> Path:
        """Where the output is made before it goes to its place."""
        return self.path / OUTPUT

    def mark(self, call: Call) -> Path:
        """See `Performer.mark`."""
        number = "" if call.segment is None else f"-{call.segment.number:05d}"
        return self.path / f"running-{call.kind}{number}"

    def segment_path(self, segment: Segment, analysis: Analysis) -> Path:
        """Where a segment lies once it is done."""
        return self.path / "segments" / f"{segment.number:05d}-{segment_digest(self.plan, segment, analysis)}.nut"

    def finished(self, segment: Segment, analysis: Analysis) -> SegmentResult | None:
        """The record of a segment that is done and whole, None otherwise."""
        path = self.segment_path(segment, analysis)
        try:
            raw = json.loads(path.with_suffix(".json").read_text())
            if path.stat().st_size != raw.pop("bytes"):
                return None
            return SegmentResult(**raw | {"warnings": tuple(raw["warnings"]), "computed": False})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def record(self, segment: Segment, analysis: Analysis, result: SegmentResult) -> None:
        """Write the sidecar: from now on the segment counts as done."""
        path = self.segment_path(segment, analysis)
        sidecar = asdict(result) | {"bytes": path.stat().st_size}
        write_atomically(path.with_suffix(".json"), json.dumps(sidecar, indent=2))

    def complete(self, totals: dict[str, Any]) -> None:
        """Note that the output is at its place, and what was done."""
        write_atomically(self.path / COMPLETE, json.dumps(totals))

    def remove(self) -> None:
        """Delete the job; its output is complete elsewhere. The note that says so goes last."""
        # A worker that was given up but still lives may write into a folder while it is being emptied.
        for _ in range(REMOVALS):
            for folder in [p for p in self.path.glob("*") if p.is_dir()]:
                shutil.rmtree(folder, ignore_errors=True)
            for name in [p for p in self.path.glob("*") if p.is_file() and p.name != COMPLETE]:
                name.unlink(missing_ok=True)
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                return


@contextmanager
def job_lock(path: Path) -> Iterator[None]:
    """Hold the right to work on a job's directory; raises InputError while another run has it.

    The lock is a file beside the directory and goes with the process that holds it, however that ends. Where a file
    system knows no locks, none is held.
    """
    lock = path.with_name(f".{path.name}.lock")
    with ExitStack() as held:
        try:
            for _ in range(LOCK_TRIES):
                handle = held.enter_context(open(lock, "a"))
                _lock(handle, path)
                # The run before may have ended just now and taken away the file that was opened.
                if _is_at(lock, handle):
                    break
        except OSError as error:
            raise InputError(f"{path.parent} cannot be written to ({error.strerror})") from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _lock(handle: TextIO, path: Path) -> None:
    for left in reversed(range(LOCK_TRIES)):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            # Whoever asks for the status holds the lock for a moment too.
            if not left:
                raise InputError(f"another run is at work on {path}; wait for it or choose another output") from error
            time.sleep(LOCK_PAUSE)
        except OSError as error:
            logger.debug("%s knows no locks (%s)", path.parent, error)
            return


def _is_at(path: Path, handle: TextIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def is_running(path: Path) -> bool:
    """Whether a run is at work on a job's directory."""
    lock = path.with_name(f".{path.name}.lock")
    try:
        with open(lock) as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def completed(path: Path) -> dict[str, Any] | None:
    """What a job's last run had done, if it ended between publishing the output and deleting the directory."""
    try:
        totals: dict[str, Any] = json.loads((path / COMPLETE).read_text())
    except (OSError, ValueError):
        return None
    return totals


def segment_digest(plan: Plan, segment: Segment, analysis: Analysis) -> str:
    """12 hexadecimal digits that change with anything the segment's picture depends on."""
    digest = hashlib.sha256(plan.digest().encode())
    digest.update(f"{segment.start}:{segment.stop}".encode())
    digest.update(analysis.frames.pts[segment.start : segment.stop].tobytes())
    for shot in analysis.shots:
        if shot.start < segment.stop and shot.stop > segment.start:
            digest.update(f"shot {shot.start}:{shot.stop}".encode())
    for analyzed in analysis.faces_in(segment.start, segment.stop):
        _update_with_track(digest, analyzed)
    return digest.hexdigest()[:12]


def _update_with_track(digest: Any, analyzed: AnalyzedTrack) -> None:
    # Of the whole track: a face depends on frames well outside its segment.
    track = analyzed.track
    shown = np.array([track.shown_at(at) for at in range(len(track.landmarks))])
    digest.update(f"{track.number}:{track.start}:{track.stop}:{analyzed.grey}:{analyzed.noise}".encode())
    for values in (track.landmarks, track.observed, shown, analyzed.levels, analyzed.starting_steps):
        digest.update(values.tobytes())


def _load_plan(path: Path) -> Plan:
    try:
        return Plan(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise JobError(f"{path} is damaged ({error}); start over with --restart") from error
