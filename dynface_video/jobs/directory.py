"""The job directory: the only truth about a job, so that any later run can resume it.

    plan.json            what the job is (input, settings, models)
    found.json           the first pass's result before faces are selected; deleted when analysis.json is written
    analysis.json        the first pass's result
    segments/NNNNN-DIGEST.nut, .json    a restored segment and, written last, its sidecar
    analyzing.json, restoring-NNNNN.json    how many frames a running call has done
    log.jsonl            every call that ended, one line each (`jobs.journal`)
    record.zip           what `report` is made from, to be published with the output (`jobs.record`)
    state.json           progress, for `dynface-video status`; nothing depends on it
    complete.json        the output is published; all that is left is to delete the directory

A segment's name holds a digest of everything it depends on. Restoring one twice is harmless; a file without its sidecar
does not count as finished.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynface_video.errors import RESTART, InputError, JobError, JobMismatchError
from dynface_video.jobs.executors.base import Call, SegmentResult
from dynface_video.jobs.plan import Plan, Segment
from dynface_video.media.io.files import named_beside, write_atomically

if TYPE_CHECKING:
    # `dynface-video status` reads directories and must not wait for the networks' libraries.
    from dynface_video.passes.analysis import Analysis, AnalyzedTrack

PLAN = "plan.json"
ANALYSIS, FOUND = "analysis.json", "found.json"
COMPLETE = "complete.json"
STATE = "state.json"
OUTPUT = "output"
ANALYZING, RESTORING = "analyzing.json", "restoring-{}.json"
MAX_PROGRESS_FILES = 64
MAX_REMOVALS = 5
SUFFIX = ".job"


def job_path(target: Path) -> Path:
    """The directory of the job that makes an output: `TARGET.job` beside it (`named_beside`)."""
    return named_beside(target, SUFFIX)


@dataclass(frozen=True)
class JobDirectory:
    """Paths and records of one job.

    Args:
        path: The directory.
        plan: What the job is.
    """

    path: Path
    plan: Plan

    @classmethod
    def open(cls, path: Path, plan: Plan, *, resume: bool = True) -> JobDirectory:
        """Begin a job, or resume the one in the directory.

        Args:
            path: The directory.
            plan: What the job is.
            resume: False deletes an existing job instead of resuming it. A job with another plan that has finished
                nothing is deleted in either case, but for a first pass (`FOUND`) if only the selection differs.

        Raises:
            JobMismatchError: The directory holds finished work of a job with another plan, and `resume` is true.
            InputError: The directory cannot be created, or holds something else.
        """
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is in the way: the job's directory must go there; move it")
        existing = path / PLAN
        if existing.exists() and not resume:
            shutil.rmtree(path)
        elif existing.exists():
            before = read_plan(existing)
            differences = plan.differences(before)
            if differences and _has_finished_work(path):
                raise JobMismatchError(
                    f"{path} holds a job that differs: {'; '.join(differences)}. Resume it with the same options, "
                    f"or {RESTART}"
                )
            if differences and not ((path / FOUND).exists() and plan.has_first_pass_of(before)):
                shutil.rmtree(path)
            elif differences:
                _write_plan(existing, plan)
        elif path.exists() and any(p for p in path.iterdir() if not p.name.startswith(".")):
            raise InputError(f"{path} is neither empty nor a job's directory; move it")
        try:
            path.mkdir(parents=True, exist_ok=True)
            # The plan comes first: it marks the directory as a job's.
            if not existing.exists():
                _write_plan(existing, plan)
            (path / "segments").mkdir(exist_ok=True)
            # Partial files of killed workers.
            partial = [*(path / "segments").glob(".*"), *(path / OUTPUT).glob(".*")]
            for leftover in [*partial, path / ANALYZING, *path.glob(RESTORING.format("*"))]:
                leftover.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"cannot create the job's directory {path} ({error.strerror})") from error
        return cls(path, plan)

    @property
    def analysis_path(self) -> Path:
        """The first pass's result."""
        return self.path / ANALYSIS

    @property
    def found_path(self) -> Path:
        """The first pass's result before faces are selected."""
        return self.path / FOUND

    @property
    def log_path(self) -> Path:
        """The log of calls that ended."""
        return self.path / "log.jsonl"

    @property
    def state_path(self) -> Path:
        """The driver's progress, read by `status`."""
        return self.path / STATE

    @property
    def analyzing_path(self) -> Path:
        """Progress of the first pass, which may run in another process or on another node."""
        return self.path / ANALYZING

    def restoring_path(self, number: int) -> Path:
        """Progress of a segment, whose worker may run in another process or on another node."""
        return self.path / RESTORING.format(f"{number:05d}")

    def restoring(self) -> dict[int, int]:
        """Frames done of the segments that are being restored.

        Returns:
            Frames by the segment's number; empty for more than `MAX_PROGRESS_FILES` segments: so many end often enough
            to show progress, and reading all files every second would be slow.
        """
        files, done = list(self.path.glob(RESTORING.format("*"))), dict[int, int]()
        for file in files if len(files) <= MAX_PROGRESS_FILES else []:
            # It may have been deleted, or be half written.
            with suppress(OSError, ValueError):
                done[int(file.stem.rpartition("-")[2])] = int(json.loads(file.read_text())["frames"])
        return done

    @property
    def output_folder(self) -> Path:
        """Where the output is made before it is published."""
        return self.path / OUTPUT

    def crash_marker(self, call: Call) -> Path:
        """See `Performer.crash_marker`."""
        number = "" if call.segment is None else f"-{call.segment.number:05d}"
        return self.path / f"running-{call.kind}{number}"

    def segment_path(self, segment: Segment, analysis: Analysis) -> Path:
        """The file of a segment, once it is finished."""
        return self.path / "segments" / f"{segment.number:05d}-{segment_digest(self.plan, segment, analysis)}.nut"

    def finished(self, segment: Segment, analysis: Analysis) -> SegmentResult | None:
        """Read the record of a finished segment.

        Args:
            segment: The segment.
            analysis: The first pass's result, on which the segment's name depends.

        Returns:
            The record; None if the segment is missing, incomplete, or made from other data.
        """
        path = self.segment_path(segment, analysis)
        try:
            raw = json.loads(path.with_suffix(".json").read_text())
            if path.stat().st_size != raw.pop("bytes"):
                return None
            return SegmentResult(**raw | {"warnings": tuple(raw["warnings"]), "computed": False})
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def record(self, segment: Segment, analysis: Analysis, result: SegmentResult) -> None:
        """Write a segment's sidecar: from now on it counts as finished."""
        path = self.segment_path(segment, analysis)
        sidecar = asdict(result) | {"bytes": path.stat().st_size}
        write_atomically(path.with_suffix(".json"), json.dumps(sidecar, indent=2))

    def complete(self, totals: dict[str, Any]) -> None:
        """Record that the output is complete.

        Args:
            totals: What was done, to be reported if this run is killed before it can.
        """
        write_atomically(self.path / COMPLETE, json.dumps(totals))

    def remove(self) -> None:
        """Delete the directory of a job whose output is published; the record of that is deleted last."""
        # A worker that was considered lost may still write into a folder while it is being deleted.
        for _ in range(MAX_REMOVALS):
            for folder in [p for p in self.path.glob("*") if p.is_dir()]:
                shutil.rmtree(folder, ignore_errors=True)
            for name in [p for p in self.path.glob("*") if p.is_file() and p.name != COMPLETE]:
                name.unlink(missing_ok=True)
            shutil.rmtree(self.path, ignore_errors=True)
            if not self.path.exists():
                return


def _has_finished_work(path: Path) -> bool:
    """Whether a job's directory holds its first pass's result, a segment or a picture, or may do so."""
    return (path / ANALYSIS).exists() or any(not file.name.startswith(".") for file in path.glob("*/*"))


def completed(path: Path) -> dict[str, Any] | None:
    """Read what a job did whose output is complete but whose directory was not deleted.

    Args:
        path: The job's directory.

    Returns:
        The totals that `JobDirectory.complete` recorded; None if the job is not complete.
    """
    try:
        totals: dict[str, Any] = json.loads((path / COMPLETE).read_text())
    except (OSError, ValueError):
        return None
    return totals


def segment_digest(plan: Plan, segment: Segment, analysis: Analysis) -> str:
    """Digest of everything that a segment's pictures depend on.

    Args:
        plan: Input, settings and models.
        segment: The segment.
        analysis: The first pass's result.

    Returns:
        12 hexadecimal digits.
    """
    digest = hashlib.sha256(plan.digest().encode())
    digest.update(f"{segment.start}:{segment.stop}".encode())
    digest.update(analysis.frames.pts[segment.start : segment.stop].tobytes())
    for shot in analysis.shots:
        if shot.start < segment.stop and shot.stop > segment.start:
            digest.update(f"shot {shot.start}:{shot.stop}".encode())
    for analyzed in analysis.faces_in(segment.start, segment.stop):
        _update_with_track(digest, analyzed)
        track = analyzed.track
        repeats = [run for run in analysis.repeats if run[0] < track.stop and run[1] > track.start]
        digest.update(str(repeats).encode() if repeats else b"")
    return digest.hexdigest()[:12]


def _update_with_track(digest: Any, analyzed: AnalyzedTrack) -> None:
    import numpy as np

    # The whole track: a face depends on frames well outside its segment.
    track = analyzed.track
    shown = np.array([track.shown_at(at) for at in range(len(track.landmarks))])
    digest.update(f"{track.number}:{track.start}:{track.stop}:{analyzed.grey}:{analyzed.noise}".encode())
    strengths = np.zeros(0) if analyzed.strengths is None else analyzed.strengths
    for values in (track.landmarks, track.observed, shown, analyzed.levels, analyzed.starting_steps, strengths):
        digest.update(values.tobytes())


def _write_plan(path: Path, plan: Plan) -> None:
    write_atomically(path, json.dumps(asdict(plan), indent=2))


def read_plan(path: Path) -> Plan:
    """Read a job's plan; raises JobError if it is missing or damaged."""
    try:
        return Plan(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise JobError(f"{path} is damaged ({error}); {RESTART}") from error
