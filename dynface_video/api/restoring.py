"""Restoring with one call: a video, an image, frames, or many videos."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from dynface_video.api.inspecting import analyze_reporting
from dynface_video.config import Overrides, Settings, load_settings
from dynface_video.errors import OVERWRITE, InputError
from dynface_video.jobs.batch import BatchInterrupted, make_output_folder, run_batch
from dynface_video.jobs.estimate import restoring_seconds
from dynface_video.jobs.journal import LOG
from dynface_video.jobs.manifest import Entry, read_entries
from dynface_video.jobs.record import record_of, upload_output
from dynface_video.jobs.remote import (
    as_given,
    check_uploadable,
    exists,
    is_remote,
    local_name,
    local_source,
    working_folder,
)
from dynface_video.jobs.segments import segments_of
from dynface_video.jobs.source import is_stills, probe_source
from dynface_video.jobs.stills import StillsJob
from dynface_video.jobs.task import Progress, RunOptions, ignore_progress
from dynface_video.jobs.video_job import VideoJob, chosen_analysis
from dynface_video.jobs.workers import local_workers
from dynface_video.media.io.memory_image import MemoryImage, as_image, image_file_of
from dynface_video.media.pixels.display import to_display
from dynface_video.passes.choosing import resolve, with_strengths
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import load_models
from dynface_video.passes.restore import PassContext, Work
from dynface_video.passes.span import restored_span
from dynface_video.passes.stills import restored_samples, still_settings
from dynface_video.record.archive import SUFFIX
from dynface_video.results import BatchResult, RestoredFrame, RestorePlan, RestoreResult
from dynface_video.threads import network_threads

if TYPE_CHECKING:
    from dynface_video.media.io.probe import VideoInfo

logger = logging.getLogger(__name__)


def restore_video(
    source: Path | str,
    target: Path | str,
    *,
    preset: str = "mini",
    config: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = True,
    analysis: Path | str | None = None,
    progress: Progress | None = None,
    networks: ModelCache | None = None,
    **overrides: Unpack[Overrides],
) -> RestoreResult:
    """Restore the faces of a video and keep everything else in the file.

    The target appears only when it is complete. Until then the work is kept in `TARGET.job` beside it, and the same
    call resumes it after an interruption. In the main thread, Ctrl-C and SIGTERM let the current segment finish and
    then raise Interrupted, a KeyboardInterrupt; a second Ctrl-C stops at once.

    Args:
        source: A video, an image, or a folder of images; a path, or a URL such as s3://bucket/key for which fsspec has
            a driver.
        target: A video file, an image file for an image, or a folder for images.
        preset: Settings and models to start from.
        config: YAML file that changes some of the preset's settings.
        overwrite: Replace an existing target.
        resume: Resume an unfinished job; False starts it over.
        analysis: File written by `analyze_video(...).save` or `analyze -o`, edited or not. It decides which faces are
            restored and how; the video is not analysed again.
        progress: Called with (stage, frames done, frames in all or None).
        networks: Keeps the networks for later calls that are given it, too; without effect with several workers.
        overrides: Settings by name, such as `strength=0.4`; they take precedence over the file.

    Returns:
        What was done.

    Raises:
        InputError: An argument cannot be used.
        ModelError: Weights are missing.
        JobError: Restoring failed; finished work is kept.
        Interrupted: A signal asked to stop; finished work is kept.
    """
    settings = load_settings(preset, config, overrides)
    options = RunOptions(overwrite, resume, progress or ignore_progress, networks=networks)
    given = Path(analysis) if analysis is not None else None
    if is_remote(as_given(source)) or is_remote(as_given(target)):
        return _restore_remote(as_given(source), as_given(target), settings, options, given)
    return _restore_local(Path(source), Path(target), settings, options, given)


def plan_video(
    source: Path | str,
    target: Path | str,
    *,
    preset: str = "mini",
    config: Path | str | None = None,
    overwrite: bool = False,
    analysis: Path | str | None = None,
    **overrides: Unpack[Overrides],
) -> RestorePlan:
    """Check the arguments of `restore_video` and estimate what it would take; nothing is written.

    Args:
        source: As of `restore_video`, a local path.
        target: As of `restore_video`, a local path.
        preset: As of `restore_video`.
        config: As of `restore_video`.
        overwrite: As of `restore_video`.
        analysis: As of `restore_video`; with it the faces to restore are counted.
        overrides: As of `restore_video`.

    Returns:
        Length, encoding, disk space and time.

    Raises:
        InputError: An argument cannot be used.
    """
    settings, options = load_settings(preset, config, overrides), RunOptions(overwrite)
    if is_remote(as_given(source)) or is_remote(as_given(target)):
        raise InputError("what a remote file takes is known only when it is downloaded; plan with a local copy")
    source, target = Path(source), Path(target)
    free = shutil.disk_usage(target.absolute().parent).free if target.absolute().parent.is_dir() else 0
    if is_stills(source, settings.input):
        return RestorePlan(
            target, len(StillsJob(source, target, settings, options).files), None, None, None, free, None
        )
    given = Path(analysis) if analysis is not None else None
    task = VideoJob(source, target, settings, options, given).task
    expected, info, encoding = task.expected(), task.output.info, task.output.encoding
    names = (encoding.codec, encoding.pixel_format)
    plan = RestorePlan(target, expected.frames, (info.width, info.height), names, expected.disk, free, expected.seconds)
    if given is None:
        return plan
    found = resolve(chosen_analysis(given, settings))
    tracks = [one for one in found.tracks if one.restore]
    faces = sum(one.track.shown_frames for one in tracks)
    seconds = None if expected.seconds is None else restoring_seconds(faces) / (local_workers(settings.execution) or 1)
    return replace(
        plan,
        frames=found.frame_count,
        seconds=None if seconds is None else (seconds, seconds),
        faces=faces,
        people=tuple(sorted({one.person for one in tracks})),
    )


def restore_image(
    image: MemoryImage, *, preset: str = "mini", config: Path | str | None = None, **overrides: Unpack[Overrides]
) -> MemoryImage:
    """Restore all faces of an image: they are detected, aligned, restored and pasted back.

    The networks are kept for later calls on the same device. For aligned face crops use `FacePipeline`.

    Args:
        image: A PIL image of any mode, or an RGB array (H, W, 3), uint8 or float in [0, 1]; of any size.
        preset: Settings and models to start from.
        config: YAML file that changes some of the preset's settings.
        overrides: Settings by name, such as `strength=0.4`.

    Returns:
        The same kind of image, of the same size and type; pixels outside the faces keep their values.

    Raises:
        InputError: Not such an image, or a setting cannot be used.
        ModelError: Weights are missing.

    Example:
        >>> restored = restore_image(PIL.Image.open("family.jpg"), strength=0.4)
    """
    settings = still_settings(load_settings(preset, config, overrides))
    file = image_file_of(image)
    with network_threads(settings.execution.threads):
        samples, _ = restored_samples(file, _image_networks().get(settings), settings, Work())
    return as_image(samples, image)


def iter_restored_frames(
    source: Path | str,
    *,
    preset: str = "mini",
    config: Path | str | None = None,
    progress: Progress | None = None,
    **overrides: Unpack[Overrides],
) -> Iterator[RestoredFrame]:
    """Yield the frames of a video with their faces restored, without encoding them.

    The first frame comes when the whole video has been analysed. Memory holds at most one segment, whatever the length
    of the video. The frames are those that `restore_video` would encode.

    Args:
        source: A video, or a folder of images that are its frames; a path or a URL.
        preset: Settings and models to start from.
        config: YAML file that changes some of the preset's settings.
        progress: Called with (stage, frames done, frames in all or None).
        overrides: Settings by name; those of the encoding have no effect.

    Returns:
        An iterator of the frames in presentation order.

    Raises:
        InputError: An argument cannot be used; raised by the call itself.
        ModelError: Weights are missing; raised with the first frame, as are errors of decoding.

    Example:
        >>> for frame in iter_restored_frames("old.mkv"):
        ...     show(frame.rgb, at=float(frame.time))
    """
    settings = load_settings(preset, config, overrides)
    path = local_source(source, settings.execution.work)
    if is_stills(path, settings.input):
        raise InputError(f"{source} is not a video but separate images; use restore_image for each of them")
    return _restored_frames(probe_source(path, settings), settings, progress or ignore_progress)


def restore_batch(
    sources: Sequence[Path | str],
    folder: Path | str,
    *,
    preset: str = "mini",
    config: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = True,
    progress: Progress | None = None,
    on_plan: Callable[[str], None] | None = None,
    select: Callable[[str], bool] | None = None,
    **overrides: Unpack[Overrides],
) -> BatchResult:
    """Restore many videos with one pool of workers; a failed video does not stop the others.

    Videos whose output exists are skipped, unfinished jobs are resumed.

    Args:
        sources: Files, folders with videos anywhere below, and lists (.csv, .jsonl) with a video per line: `source`,
            and optionally `output`, `preset`, `config` and settings of this video by name.
        folder: For the outputs, for `batch.jsonl`, which gets a line for every segment, and for `batch.json`, the plan
            (both in `work` where the folder is a URL).
        preset: As of `restore_video`.
        config: As of `restore_video`.
        overwrite: Replace existing outputs.
        resume: Resume unfinished jobs; False starts them over.
        progress: Called with the progress of the whole batch.
        on_plan: Called with lines on videos that cannot be restored and on what the batch will take.
        select: Called with the path of each video below a folder; videos for which it returns False are skipped.
        overrides: Settings of all videos by name.

    Returns:
        The outcome for each video.

    Raises:
        InputError: The sources or settings cannot be used.
    """
    entries = read_entries([as_given(source) for source in sources], as_given(folder))
    if select is not None:
        entries = [entry for entry in entries if select(entry.source)]
    common = load_settings(preset, config, overrides)
    target = working_folder(common.execution.work) if is_remote(as_given(folder)) else Path(folder)
    make_output_folder(target)
    given = {name: value for name, value in overrides.items() if value is not None}

    def settings_of(entry: Entry) -> Settings:
        return load_settings(entry.preset or preset, entry.config or config, given | dict(entry.overrides))

    interrupted_by = None
    try:
        rows = run_batch(
            entries,
            settings_of,
            common.execution,
            RunOptions(overwrite, resume, progress or ignore_progress, (target / LOG,)),
            on_plan or (lambda line: None),
        )
    except BatchInterrupted as error:
        rows, interrupted_by = list(error.rows), error.signal
    return BatchResult(tuple(rows), target / LOG, interrupted_by)


def _restore_local(
    source: Path, target: Path, settings: Settings, options: RunOptions, analysis: Path | None
) -> RestoreResult:
    if is_stills(source, settings.input):
        if analysis is not None:
            raise InputError(f"{source} is not a video, and only videos can be restored by an analysis")
        return RestoreResult.of_stills(target, StillsJob(source, target, settings, options).run())
    result = RestoreResult.of_video(target, VideoJob(source, target, settings, options, analysis).run())
    return replace(result, record=record_of(target))


def _restore_remote(
    source: str, target: str, settings: Settings, options: RunOptions, analysis: Path | None
) -> RestoreResult:
    work = working_folder(settings.execution.work)
    if is_remote(target):
        check_uploadable(target)
    if is_remote(target) and not options.overwrite and exists(target):
        raise InputError(f"{target} already exists; choose another name or {OVERWRITE}")
    here = local_source(source, settings.execution.work)
    made = local_name(target, work) if is_remote(target) else Path(target)
    made.parent.mkdir(parents=True, exist_ok=True)
    # A complete output in the working folder is an earlier run's that could not upload it.
    complete = is_remote(target) and made.exists() and options.resume
    if not complete:
        options = replace(options, overwrite=options.overwrite or is_remote(target))
        result = _restore_local(here, made, settings, options, analysis)
    else:
        result = RestoreResult(made, 0, 0, 0, 0, 0, {}, ("restored by an earlier run; it only had to be uploaded",))
    if not is_remote(target):
        return result
    record = None if record_of(made) is None else f"{target}{SUFFIX}"
    upload_output(made, target)
    return replace(result, output=target, record=record)


def _restored_frames(info: VideoInfo, settings: Settings, progress: Progress) -> Iterator[RestoredFrame]:
    models = load_models(settings)
    analysis, warnings = resolve(analyze_reporting(info, settings, models, progress)), list[str]()
    chosen = settings.restoration
    plan = with_strengths(analysis, models.pipeline)
    context = PassContext(info, plan, models.pipeline, chosen.seed, chosen.grain, models.parser, in_turn=True)
    # The segments of a job: the halo of a segment decides the last bits of its frames.
    for segment in segments_of(analysis, settings):
        frames = restored_span(
            context,
            segment.start,
            segment.stop,
            keep_fields=settings.output.interlaced != "deinterlace",
            work=Work(),
            warnings=warnings,
        )
        while True:
            # Between two frames the caller has its own number of threads.
            with network_threads(settings.execution.threads):
                frame = next(frames, None)
            if frame is None:
                break
            yield RestoredFrame(frame.index, frame.time, to_display(frame.rgb(), info.display))
            progress("restore", frame.index + 1, analysis.frame_count)
    for warning in dict.fromkeys((*analysis.warnings, *warnings)):
        logger.warning("%s", warning)


@functools.lru_cache(maxsize=1)
def _image_networks() -> ModelCache:
    return ModelCache()
