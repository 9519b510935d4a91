"""Without restoring a whole video: analyses, people, previews, comparisons and reports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from dynface_video.config import Overrides, Settings, load_settings
from dynface_video.errors import InputError
from dynface_video.jobs.compare import ComparisonRequest, check_comparison_name, make_comparison
from dynface_video.jobs.estimate import restoring_seconds
from dynface_video.jobs.preview import PreviewRequest, PreviewResult, make_preview, parse_preview
from dynface_video.jobs.record import open_record, report_path
from dynface_video.jobs.remote import (
    local_source,
)
from dynface_video.jobs.source import is_stills, probe_source
from dynface_video.jobs.task import Progress, ignore_progress, uses_gpu
from dynface_video.jobs.video_job import check_paths, read_analysis
from dynface_video.media.io.files import write_atomically
from dynface_video.media.output.clip import check_clip_name
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.face_sheet import check_picture_format, draw_sheet, read_portraits, write_picture
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models, analyze_with
from dynface_video.passes.stills import still_settings
from dynface_video.report.page import render_page
from dynface_video.results import ListedPerson
from dynface_video.threads import network_threads

if TYPE_CHECKING:
    from dynface_video.media.io.probe import VideoInfo


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
    path = local_source(source, settings.execution.work)
    if is_stills(path, settings.input):
        if path.is_dir():
            raise InputError(
                f"{source} holds separate images: analyse them one by one, or as frames of a video (--images sequence)"
            )
        settings = still_settings(settings)
    models = (networks or ModelCache()).get(settings)
    return analyze_reporting(probe_source(path, settings), settings, models, progress or ignore_progress)


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
        versions: Strengths to compare, one picture each beside the source.
        compare: Shows the source as well: beside the restored picture, in its left half, or in turn with it. None shows
            the restored pictures alone, but "side" with several versions.
        analysis: File written by `analyze -o`; needed if people are chosen by number.
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
    path = local_source(source, settings.execution.work)
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
        second: The same; its pictures are resized to those of the first and shown at the same times.
        target: A clip (.mp4, .m4v, .mov, .mkv), or a picture (.png, .jpg) for a sheet of both side by side.
        mode: "side" shows them side by side, "split" the left half of one and the right half of the other, "flip" both
            in turn, a second each.
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
        analysis: File written by `analyze -o` for the source, which is then not analysed again.
        sheet: Image file to write, with one good face of each person; not written if nobody is found.
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
    path = local_source(source, settings.execution.work)
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
    """Write a page that shows what a restoration did: one HTML file that needs no network.

    Args:
        path: An output with its record beside it, a record, or the directory of an unfinished job.
        target: The page; None for `OUTPUT.report.html` beside the output.
        overwrite: Replace an existing page.

    Returns:
        Path of the page.

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


def analyze_reporting(info: VideoInfo, settings: Settings, models: Models, progress: Progress) -> Analysis:
    """Analyse a video with the settings' number of threads, and report the progress."""
    progress("analyze", 0, info.declared_frames)
    with network_threads(settings.execution.threads):
        return analyze_with(models, info, settings, lambda done: progress("analyze", done, info.declared_frames))
