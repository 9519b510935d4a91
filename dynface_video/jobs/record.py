"""The record of a job: made from its segments before they are joined, published beside the output."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dynface_video.config import Settings
from dynface_video.errors import InputError
from dynface_video.jobs.directory import PLAN, JobDirectory, job_path, read_plan
from dynface_video.jobs.directory import SUFFIX as JOB_SUFFIX
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.segments import segments_of
from dynface_video.jobs.source import probe_source
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame, read_span, to_display
from dynface_video.media.output.encoding import encoded_colour
from dynface_video.media.output.write import read_segment
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import resolve
from dynface_video.passes.networks import load_finders, load_identifier
from dynface_video.record.archive import SUFFIX, Record, add_result, record_path
from dynface_video.record.measure import FaceReaders
from dynface_video.record.moments import choose_moments
from dynface_video.record.observe import FramePair, observe
from dynface_video.record.provenance import describe_program, describe_source, now, sha256_of

logger = logging.getLogger(__name__)

PAGE_SUFFIX = ".report.html"
MADE = "record.zip"
"""Name in the job's directory of a record without its result."""
NEAR = 24
"""Frames up to which the source is decoded on rather than sought anew."""


def make_record(
    job: JobDirectory, info: VideoInfo, settings: Settings, pixel_format: str, readers: FaceReaders
) -> Record:
    """Make the record of what a job has restored so far.

    Args:
        job: Analysed; its finished segments count.
        info: The source.
        settings: All of them.
        pixel_format: Of the segments.
        readers: Of the faces in crops.

    Raises:
        JobError: Source or segments cannot be read.
    """
    analysis = resolve(Analysis.load(job.analysis_path))
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
    pairs = _pairs(job, info, analysis, finished, (pixel_format, moments.frames()))
    return observe(pairs, moments, analysis, info, readers, facts)


def save_record(
    job: JobDirectory, info: VideoInfo, settings: Settings, pixel_format: str, readers: FaceReaders
) -> tuple[str, ...]:
    """Make the record of a job whose segments are all finished, and keep it in the job's directory.

    Args:
        job: As of `make_record`.
        info: As of `make_record`.
        settings: As of `make_record`.
        pixel_format: As of `make_record`.
        readers: As of `make_record`.

    Returns:
        A warning if none could be made: a restored film is not given up for its record.
    """
    try:
        make_record(job, info, settings, pixel_format, readers).save(job.path / MADE)
    except Exception as error:  # of any kind, as said above
        logger.info("no record", exc_info=True)
        return (f"no record of the restoration was kept ({type(error).__name__}: {error})",)
    return ()


def publish_record(job: Path, made: Path, target: Path, totals: dict[str, Any]) -> Path | None:
    """Complete the record of a job with its result and move it beside the output.

    Args:
        job: The job's directory; without a record nothing is done.
        made: The complete output, where it still is.
        target: The output's final name.
        totals: What was done, as JSON values.

    Returns:
        Where the record is now; None without one.

    Raises:
        OSError: It cannot be written.
    """
    path = job / MADE
    if not path.exists():
        return None
    output: dict[str, Any] = {"name": target.name, "bytes": None, "sha256": None}
    if made.is_file():
        output |= {"bytes": made.stat().st_size, "sha256": sha256_of(made)}
    add_result(path, {"output": output, "finished": now(), **totals})
    os.replace(path, record_path(target))
    return record_path(target)


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
    if record_path(path).is_file():
        return Record.load(record_path(path))
    for job in (path, job_path(path.absolute())):
        if (job / PLAN).is_file():
            return _record_of_job(job)
    if not path.exists():
        raise InputError(f"{path} does not exist: name an output, its record, or the directory of an unfinished job")
    raise InputError(
        f"there is no {record_path(path).name} beside {path}: it is written with the output, unless with --no-record"
    )


def report_path(path: Path) -> Path:
    """Where the page of an output, a record or a job goes if nothing else is said: `OUTPUT.report.html` beside it.

    Args:
        path: As of `open_record`.
    """
    stem = path.name.removesuffix(SUFFIX) if path.is_file() else path.name.removesuffix(JOB_SUFFIX)
    return path.with_name(f"{stem}{PAGE_SUFFIX}")


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
    device = torch.device("cpu")
    readers = FaceReaders(load_finders(settings, device)[0], load_identifier(settings, device))
    return make_record(job, info, settings, pixel_format, readers)


def _pairs(
    job: JobDirectory, info: VideoInfo, analysis: Analysis, finished: Sequence[Segment], form: tuple[str, np.ndarray]
) -> Iterator[FramePair]:
    """The wanted frames of source and segments in order; form: pixel format of the segments, wanted frames."""
    colour, wanted = encoded_colour(info, form[0]), form[1]
    restored = {frame: segment for segment in finished for frame in range(segment.start, segment.stop)}
    for group in np.split(wanted, 1 + np.flatnonzero(_segment_changes(wanted, restored))):
        if not len(group):
            continue
        source = (to_display(frame.working_rgb(), info.display) for frame in _source(info, analysis, group))
        segment = restored.get(int(group[0]))
        output: Iterable[np.ndarray | None] = repeat(None)
        if segment is not None:
            frames = read_segment(job.segment_path(segment, analysis), info, segment.start)
            picked = _picked(frames, group)
            output = (to_display(replace(one, colour=colour).working_rgb(), info.display) for one in picked)
        for index, before, after in zip(group, source, output, strict=False):
            yield FramePair(int(index), before, after)


def _segment_changes(wanted: np.ndarray, restored: Mapping[int, Segment]) -> np.ndarray:
    """Whether each frame but the first belongs to another segment than the one before it, (N - 1,) bool."""
    numbers = np.array([restored[int(n)].number if int(n) in restored else -1 for n in wanted])
    return np.asarray(np.diff(numbers) != 0)


def _source(info: VideoInfo, analysis: Analysis, wanted: np.ndarray) -> Iterator[Frame]:
    for group in np.split(wanted, 1 + np.flatnonzero(np.diff(wanted) > NEAR)):
        yield from _picked(read_span(info, analysis.frames, int(group[0]), int(group[-1]) + 1), group)


def _picked(frames: Iterator[Frame], wanted: np.ndarray) -> Iterator[Frame]:
    left = iter(wanted.tolist())
    following = next(left, None)
    for frame in frames:
        if frame.index == following:
            yield frame
            following = next(left, None)
        if following is None:
            return
