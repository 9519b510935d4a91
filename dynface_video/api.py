"""The functions of the Python API: restore or analyse a video, an image, or many videos with one call."""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from dynface_video.config import Overrides, Settings, load_settings
from dynface_video.errors import OVERWRITE, InputError
from dynface_video.jobs.batch import BatchInterrupted, make_output_folder, run_batch
from dynface_video.jobs.compare import ComparisonRequest, check_comparison_name, make_comparison
from dynface_video.jobs.estimate import restoring_seconds
from dynface_video.jobs.journal import LOG
from dynface_video.jobs.manifest import Entry, read_entries
from dynface_video.jobs.preview import PreviewRequest, PreviewResult, make_preview, parse_preview
from dynface_video.jobs.record import open_record, record_of, report_path, upload_output
from dynface_video.jobs.remote import (
    as_given,
    check_uploadable,
    download,
    exists,
    is_remote,
    local_name,
    working_folder,
)
from dynface_video.jobs.segments import segments_of
from dynface_video.jobs.source import is_stills, probe_source
from dynface_video.jobs.stills import StillsJob
from dynface_video.jobs.task import Progress, RunOptions, ignore_progress, uses_gpu
from dynface_video.jobs.video_job import VideoJob, check_paths, chosen_analysis, read_analysis
from dynface_video.jobs.workers import local_workers
from dynface_video.media.io.files import write_atomically
from dynface_video.media.io.memory_image import MemoryImage, as_image, image_file_of
from dynface_video.media.output.clip import check_clip_name
from dynface_video.media.pixels.display import to_display
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import resolve, with_strengths
from dynface_video.passes.face_sheet import check_picture_format, draw_sheet, read_portraits, write_picture
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models, analyze_with, load_models
from dynface_video.passes.restore import PassContext, Work
from dynface_video.passes.span import restored_span
from dynface_video.passes.stills import restored_samples, still_settings
from dynface_video.record.archive import SUFFIX
from dynface_video.report.page import render_page
from dynface_video.results import BatchResult, ListedPerson, RestoredFrame, RestorePlan, RestoreResult
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

    The target appears only when it is complete. Until then the work lies in `TARGET.job` beside it, and the same call
    resumes it after an interruption. In the main thread, Ctrl-C and SIGTERM let the current segment finish and then
    raise Interrupted, a KeyboardInterrupt; a second Ctrl-C stops at once.

    Args:
        source: A video, an image, or a folder of images; a path, or a URL such as s3://bucket/key for which fsspec has
            a driver.
        target: A video file, an image file for an image, or a folder for images.
        preset: Settings and models to start from.
        config: YAML file that changes some of the preset's settings.
        overwrite: Replace an existing target.
        resume: Resume an unfinished job; False starts it over.
        analysis: File that `analyze_video(...).save` or `analyze -o` wrote, perhaps edited: it decides which faces are
            restored and how, and the video is not analysed again.
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
    """Check what `restore_video` would be given, and say what it would take; nothing is written.

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

    The networks are kept for the next call on the same device. For aligned face crops use `FacePipeline`.

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
    """The frames of a video with their faces restored, without encoding them.

    The first frame comes when the whole video has been analysed. Memory holds a segment's frames at most, whatever the
    length of the video. They are the frames that `restore_video` encodes.

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
    path = _local(source, settings)
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
        select: Called with the path of each video below a folder; False leaves it out.
        overrides: Settings of all videos by name.

    Returns:
        What became of each video.

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


def analyze_video(
    source: Path | str,
    *,
    preset: str = "mini",
    config: Path | str | None = None,
    progress: Progress | None = None,
    networks: ModelCache | None = None,
    **overrides: Unpack[Overrides],
) -> Analysis:
    """Find the shots and faces of a video and how they would be restored, without restoring anything.

    Args:
        source: A video, an image, or a folder of images that are the frames of a video; a path or a URL.
        preset: As of `restore_video`.
        config: As of `restore_video`.
        progress: As of `restore_video`.
        networks: As of `restore_video`.
        overrides: As of `restore_video`.

    Returns:
        Shots, tracks with their blur levels and starting steps, and the skipped faces with reasons.

    Raises:
        InputError: An argument cannot be used.
        ModelError: Weights are missing.
    """
    settings = load_settings(preset, config, overrides)
    path = _local(source, settings)
    if is_stills(path, settings.input):
        if path.is_dir():
            raise InputError(
                f"{source} holds separate images: analyse them one by one, or as frames of a video (--images sequence)"
            )
        settings = still_settings(settings)
    models = (networks or ModelCache()).get(settings)
    return _analyze(probe_source(path, settings), settings, models, progress or ignore_progress)


def preview_video(
    source: Path | str,
    target: Path | str,
    span: str,
    *,
    versions: Sequence[float] = (),
    compare: Literal["side", "split", "flip"] | None = None,
    analysis: Path | str | None = None,
    preset: str = "mini",
    config: Path | str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    networks: ModelCache | None = None,
    **overrides: Unpack[Overrides],
) -> PreviewResult:
    """Restore a short span of a video into a clip for viewing; the rest of the video is not read.

    Args:
        source: A video, or a folder of images that are its frames; a path or a URL.
        target: The clip: .mp4, .m4v, .mov or .mkv; H.264 as displayed, with the sound of the span.
        span: `LENGTH@START`, such as "5s@00:30", of up to 120 s.
        versions: Strengths, one picture each beside the source, to choose by.
        compare: Shows the source as well: beside the restored picture, in its left half, or in turn with it. None shows
            the restored pictures alone, but "side" with several versions.
        analysis: File that `analyze -o` wrote; needed where people are chosen by number.
        preset: As of `restore_video`.
        config: As of `restore_video`.
        overwrite: Replace an existing target.
        progress: As of `restore_video`.
        networks: As of `restore_video`.
        overrides: As of `restore_video`; those of the encoding have no effect.

    Raises:
        InputError: An argument cannot be used.
        ModelError: Weights are missing.
    """
    settings, target = load_settings(preset, config, overrides), Path(target)
    request = PreviewRequest(
        parse_preview(span), _checked_strengths(versions), compare, None if analysis is None else Path(analysis)
    )
    check_clip_name(target)
    path = _local(source, settings)
    check_paths(path, target, overwrite=overwrite)
    if is_stills(path, settings.input):
        raise InputError(f"{source} is not a video; restore the picture itself")
    with network_threads(settings.execution.threads):
        info = probe_source(path, settings)
        return make_preview(info, target, settings, request, progress or ignore_progress, networks)


def compare_videos(
    first: Path | str,
    second: Path | str,
    target: Path | str,
    *,
    mode: Literal["side", "split", "flip"] = "side",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> int:
    """Compare two videos, or two pictures, by eye: a clip of both, or a sheet of moments.

    Args:
        first: A video, an image, or a folder of images that are the frames of a video.
        second: The same; its pictures are brought to the size of the first's and shown at their times.
        target: A clip (.mp4, .m4v, .mov, .mkv), or a picture (.png, .jpg) for a sheet of both side by side.
        mode: "side" puts them beside each other, "split" shows the left of one and the right of the other, "flip" shows
            them in turn, a second each.
        overwrite: Replace an existing target.
        progress: As of `restore_video`.

    Returns:
        Number of moments compared.

    Raises:
        InputError: An argument cannot be used.
    """
    settings, target = load_settings(), Path(target)
    check_comparison_name(target)
    paths = Path(first), Path(second)
    for path in paths:
        check_paths(path, target, overwrite=overwrite)
    return make_comparison(paths, target, settings, ComparisonRequest(mode), progress or ignore_progress)


def _checked_strengths(strengths: Sequence[float]) -> tuple[float, ...]:
    for strength in strengths:
        if not 0 <= strength <= 1:
            raise InputError(f"the strength {strength} is not a number from 0 to 1")
    return tuple(strengths)


def list_people(
    source: Path | str,
    *,
    analysis: Path | str | None = None,
    sheet: Path | str | None = None,
    preset: str = "mini",
    config: Path | str | None = None,
    progress: Progress | None = None,
    **overrides: Unpack[Overrides],
) -> tuple[Analysis, list[ListedPerson]]:
    """Find the people of a video: who is seen when, how large and how blurred.

    Args:
        source: As of `analyze_video`.
        analysis: File that `analyze -o` wrote of the source, which is then not analysed again.
        sheet: Image file to write, with one good face of each person; not written where nobody is found.
        preset: As of `restore_video`.
        config: As of `restore_video`.
        progress: As of `restore_video`.
        overrides: As of `restore_video`.

    Returns:
        The analysis, and the people in the order of their numbers, which are those that `faces=` takes.

    Raises:
        InputError: An argument cannot be used.
        ModelError: Weights are missing.
        JobError: The analysis is of another video.
    """
    settings = load_settings(preset, config, overrides)
    if sheet is not None:
        check_picture_format(Path(sheet))
    path = _local(source, settings)
    if analysis is not None:
        found = read_analysis(Path(analysis))
    else:
        found = analyze_video(path, preset=preset, config=config, progress=progress, **overrides)
    on_gpu = uses_gpu(settings.execution.device)
    people = [ListedPerson(one, None if on_gpu else restoring_seconds(one.frames)) for one in found.summarize_people()]
    if sheet is not None and people:
        portraits = list(read_portraits(probe_source(path, settings), found))
        write_picture(Path(sheet), draw_sheet(portraits))
    return found, people


def write_report(path: Path | str, target: Path | str | None = None, *, overwrite: bool = False) -> Path:
    """Write the page that tells what a restoration did: one HTML file that needs no network.

    Args:
        path: An output with its record beside it, a record, or the directory of an unfinished job.
        target: The page; None for `OUTPUT.report.html` beside the output.
        overwrite: Replace an existing page.

    Returns:
        Where the page is.

    Raises:
        InputError: There is no record, or the page cannot be written.
        JobError: The files of an unfinished job cannot be read.
    """
    path = Path(path)
    page = Path(target) if target is not None else report_path(path)
    check_paths(path, page, overwrite=overwrite)
    text = render_page(open_record(path))
    try:
        write_atomically(page, text)
    except OSError as error:
        raise InputError(f"{page} cannot be written ({error.strerror})") from error
    return page


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
    here = _local(source, settings)
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
    analysis, warnings = resolve(_analyze(info, settings, models, progress)), list[str]()
    chosen = settings.restoration
    plan = with_strengths(analysis, models.pipeline)
    context = PassContext(info, plan, models.pipeline, chosen.seed, chosen.grain, models.parser)
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


def _analyze(info: VideoInfo, settings: Settings, models: Models, progress: Progress) -> Analysis:
    progress("analyze", 0, info.declared_frames)
    with network_threads(settings.execution.threads):
        return analyze_with(models, info, settings, lambda done: progress("analyze", done, info.declared_frames))


@functools.lru_cache(maxsize=1)
def _image_networks() -> ModelCache:
    return ModelCache()


def _local(source: Path | str, settings: Settings) -> Path:
    """The source as a local file, downloaded if it is at a URL."""
    given = as_given(source)
    return download(given, working_folder(settings.execution.work)) if is_remote(given) else Path(source)
