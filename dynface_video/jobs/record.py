"""The record of a job: made from its segments before they are joined, published beside the output."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.config import Settings
from dynface_video.errors import InputError
from dynface_video.jobs.directory import PLAN, JobDirectory, job_path, read_plan
from dynface_video.jobs.directory import SUFFIX as JOB_SUFFIX
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.remote import upload
from dynface_video.jobs.segments import segments_of
from dynface_video.jobs.source import probe_source
from dynface_video.media.io.files import named_beside, sha256_of
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame, read_span, to_display
from dynface_video.media.output.encoding import encoded_colour
from dynface_video.media.output.write import read_segment
from dynface_video.media.pixels.interlace import first_fields
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import resolve, with_strengths
from dynface_video.passes.networks import Models, load_models
from dynface_video.passes.prefetch import Prefetch
from dynface_video.record.archive import SUFFIX, Record, add_result, changed_steps, record_path
from dynface_video.record.measure import FaceReaders
from dynface_video.record.moments import choose_moments
from dynface_video.record.observe import FramePair, observe, pairs_ahead
from dynface_video.record.provenance import describe_program, describe_source, now

logger = logging.getLogger(__name__)

PAGE_SUFFIX = ".report.html"
MADE = "record.zip"
"""Name in the job's directory of a record without its result."""
NEAR = 24
"""Frames up to which the source is decoded on rather than sought anew."""


def make_record(job: JobDirectory, info: VideoInfo, settings: Settings, pixel_format: str, models: Models) -> Record:
    """Make the record of what a job has restored so far.

    Args:
        job: Analysed; its finished segments count.
        info: The source.
        settings: All of them.
        pixel_format: Of the segments.
        models: Loaded for `settings`.

    Raises:
        JobError: Source or segments cannot be read.
    """
    found = Analysis.load(job.analysis_path)
    analysis = resolve(found)
    finished = [one for one in segments_of(analysis, settings) if job.finished(one, analysis) is not None]
    spans = [(one.start, one.stop) for one in finished]
    moments = choose_moments(analysis, info.display.height, spans)
    facts = {
        **describe_program(settings),
        "source": describe_source(info, job.plan.input_digest),
        "encoding": job.plan.settings.get("output"),
        "model_digest": job.plan.model_digest,
        "restored_frames": sum(stop - start for start, stop in spans),
    }
    keeps_fields = settings.output.interlaced != "deinterlace"
    pairs = _JobFrames(job, info, analysis, finished, pixel_format, keeps_fields).pairs(moments.frames())
    record = observe(pairs, moments, analysis, info, FaceReaders(models.locator, models.identifier), facts)
    plan = with_strengths(analysis, models.pipeline)
    return replace(record, analysis=found, starting_steps=changed_steps(analysis, plan))


def save_record(
    job: JobDirectory, info: VideoInfo, settings: Settings, pixel_format: str, models: Models
) -> tuple[str, ...]:
    """Make the record of a job whose segments are all finished, and keep it in the job's directory.

    Args:
        job: As of `make_record`.
        info: As of `make_record`.
        settings: As of `make_record`.
        pixel_format: As of `make_record`.
        models: As of `make_record`.

    Returns:
        A warning if none could be made: a restored film is not given up for its record.
    """
    try:
        make_record(job, info, settings, pixel_format, models).save(job.path / MADE)
    except Exception as error:  # of any kind, as said above
        logger.info("no record", exc_info=True)
        return (f"no record of the restoration was kept ({type(error).__name__}: {error})",)
    return ()


def publish_record(job: Path, made: Path, target: Path, totals: dict[str, Any]) -> Path | None:
    """Complete the record of a job with its result and move it beside the output.

    Without a record, one of an earlier output of that name is deleted: it would tell of another file.

    Args:
        job: The job's directory.
        made: The complete output, where it still is.
        target: The output's final name.
        totals: What was done, as JSON values.

    Returns:
        Path of the record; None if there is no record.

    Raises:
        OSError: It cannot be written.
    """
    path = job / MADE
    if not path.exists():
        record_path(target).unlink(missing_ok=True)
        return None
    output: dict[str, Any] = {"name": target.name, "bytes": None, "sha256": None}
    if made.is_file():
        output |= {"bytes": made.stat().st_size, "sha256": sha256_of(made)}
    # What became of each face is in the analysis.
    kept = {name: value for name, value in totals.items() if name != "found_faces"}
    add_result(path, {"output": output, "finished": now(), **kept})
    os.replace(path, record_path(target))
    return record_path(target)


def record_of(output: Path) -> Path | None:
    """The path of the record beside an output, or None."""
    path = record_path(output)
    return path if path.is_file() else None


def upload_output(made: Path, url: str) -> None:
    """Upload an output and its record, `URL.record.zip`, and delete the local copies.

    Args:
        made: The output.
        url: Where it goes.

    Raises:
        JobError: One cannot be uploaded; the same command tries again.
    """
    record = record_of(made)
    # The output comes last: where it is, all of it is there.
    if record is not None:
        upload(record, f"{url}{SUFFIX}")
    upload(made, url)


def open_record(path: Path) -> Record:
    """The record of an output, or of a job that is under way.

    Args:
        path: An output, a record, or the directory of an unfinished job.

    Raises:
        InputError: There is no record, or the job is not analysed yet.
        JobError: The job's source or segments cannot be read.
    """
    if path.name.endswith(SUFFIX) and path.is_file():
        return Record.load(path)
    beside = record_of(path)
    if beside is not None:
        return Record.load(beside)
    for job in (path, job_path(path.absolute())):
        if (job / PLAN).is_file():
            return _record_of_job(job)
    if not path.exists():
        raise InputError(f"{path} does not exist: name an output, its record, or the directory of an unfinished job")
    raise InputError(
        f"there is no {record_path(path).name} beside {path}: restore writes it unless --no-record is given"
    )


def report_path(path: Path) -> Path:
    """The default place for the page of an output, a record or a job: `OUTPUT.report.html` beside it.

    Args:
        path: As of `open_record`.
    """
    stem = path.name.removesuffix(SUFFIX) if path.is_file() else path.name.removesuffix(JOB_SUFFIX)
    return named_beside(path.with_name(stem), PAGE_SUFFIX)


def _record_of_job(path: Path) -> Record:
    plan = read_plan(path / PLAN)
    job = JobDirectory(path, plan)
    if not job.analysis_path.is_file():
        raise InputError(f"{path} is not analysed yet: there is nothing to report")
    kept = {name: plan.settings[name] for name in ("models", "input", "detection", "restoration")}
    output = {name: plan.settings["output"][name] for name in ("segment_frames", "interlaced")}
    try:
        settings = Settings.model_validate(kept | {"output": output})
        pixel_format = str(plan.settings["output"]["pixel_format"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path / PLAN} does not hold the settings of a video ({error})") from error
    info = probe_source(Path(plan.source), settings)
    models = load_models(settings)
    return make_record(job, info, settings, pixel_format, models)


@dataclass(frozen=True, eq=False)
class _JobFrames:
    """The frames of a job, before and after.

    Attributes:
        job: Its directory.
        info: The source.
        analysis: Of the first pass.
        finished: Segments that can be read.
        pixel_format: Of the segments.
        keeps_fields: Whether segments of interlaced video are interlaced.
    """

    job: JobDirectory
    info: VideoInfo
    analysis: Analysis
    finished: Sequence[Segment]
    pixel_format: str
    keeps_fields: bool

    def pairs(self, wanted: np.ndarray) -> Iterator[FramePair]:
        """The frames with these numbers, (N,) rising, as displayed; those of interlaced video by their first field."""
        segments = {frame: one for one in self.finished for frame in range(one.start, one.stop)}
        numbers = np.array([segments[n].number if n in segments else -1 for n in wanted.tolist()])
        for group in np.split(wanted, 1 + np.flatnonzero(np.diff(numbers))):
            segment = segments.get(int(group[0])) if len(group) else None
            output: Iterable[np.ndarray | None] = repeat(None) if segment is None else self._output(segment, group)
            # Each is decoded and converted in a thread, ahead of what is made of the pairs.
            with Prefetch(self._source(group), self._ahead) as before, Prefetch(output, self._ahead) as after:
                for index, source, restored in zip(group.tolist(), before, after, strict=False):
                    yield FramePair(index, source, restored)

    @property
    def _ahead(self) -> int:
        return pairs_ahead(self.info.width, self.info.height)

    def _source(self, wanted: np.ndarray) -> Iterator[np.ndarray]:
        for group in np.split(wanted, 1 + np.flatnonzero(np.diff(wanted) > NEAR)) if len(wanted) else ():
            frames = read_span(self.info, self.analysis.frames, int(group[0]), int(group[-1]) + 1)
            if self.info.interlaced:
                frames = first_fields(frames, marked_only=not self.keeps_fields)
            yield from self._shown(frames, group)

    def _output(self, segment: Segment, wanted: np.ndarray) -> Iterator[np.ndarray]:
        colour = encoded_colour(self.info, self.pixel_format)
        frames = read_segment(self.job.segment_path(segment, self.analysis), self.info, segment.start)
        frames = (replace(frame, colour=colour) for frame in frames)
        if self.info.interlaced and self.keeps_fields:
            frames = first_fields(frames, marked_only=False)
        yield from self._shown(frames, wanted)

    def _shown(self, frames: Iterator[Frame], wanted: np.ndarray) -> Iterator[np.ndarray]:
        for frame in _picked(frames, wanted):
            yield to_display(frame.working_rgb(), self.info.display)


def _picked(frames: Iterator[Frame], wanted: np.ndarray) -> Iterator[Frame]:
    left = iter(wanted.tolist())
    following = next(left, None)
    for frame in frames:
        if frame.index == following:
            yield frame
            following = next(left, None)
        if following is None:
            return
