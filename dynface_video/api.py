"""What `import dynface_video` gives: restore or analyse a video with one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dynface_video.config import Settings, load_settings
from dynface_video.errors import InputError
from dynface_video.jobs.batch import BatchInterrupted, BatchOptions, BatchRow, make_output_folder, run_batch
from dynface_video.jobs.journal import LOG
from dynface_video.jobs.manifest import Entry, read_entries
from dynface_video.jobs.remote import (
    as_given,
    check_uploadable,
    download,
    exists,
    is_remote,
    local_name,
    upload,
    working_folder,
)
from dynface_video.jobs.source import is_stills, probe_source
from dynface_video.jobs.stills import StillsJob
from dynface_video.jobs.task import Progress
from dynface_video.jobs.video_job import VideoJob
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.networks import analyze_with, load_models
from dynface_video.passes.stills import still_settings
from dynface_video.pipeline import FaceRestorer
from dynface_video.threads import network_threads

__all__ = [
    "Analysis",
    "BatchResult",
    "FaceRestorer",
    "Progress",
    "RestoreResult",
    "analyze_video",
    "restore_batch",
    "restore_video",
]


@dataclass(frozen=True)
class RestoreResult:
    """What was done.

    faces: face crops restored, one a face and frame
    skipped_faces: stretches of faces that can be seen and are not restored; `analyze_video` gives their reasons
    seconds: wall time by stage
    """

    output: Path | str
    frames: int
    faces: int
    tracks: int
    skipped_faces: int
    unet_evaluations: int
    seconds: dict[str, float]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        return asdict(self) | {"output": str(self.output), "warnings": list(self.warnings)}


def restore_video(
    source: Path | str,
    target: Path | str,
    *,
    preset: str = "mini",
    config: Path | str | None = None,
    overwrite: bool = False,
    resume: bool = True,
    progress: Progress | None = None,
    **overrides: Any,
) -> RestoreResult:
    """Restore the faces of a video and leave everything else in the file as it is.

    Images are taken too: one into an image file, a folder of them into a folder, or, as the frames of a film, into a
    video; and a video into a folder of images.

    The target appears only when it is complete. Until then the work lies in `TARGET.job` beside it; the same call goes
    on where an interrupted one stopped. In the main thread, Ctrl-C and SIGTERM let the segment that runs finish and
    then raise Interrupted, a KeyboardInterrupt; a second Ctrl-C stops at once.

    source, target: paths, or URLs such as s3://bucket/key where fsspec has a driver for them, worked on in `work`
    config: a YAML file over the preset; overwrite: replace an existing target; resume: go on with an unfinished job,
    False to start it over;
    progress: called with (stage, frames done, frames in all or None);
    overrides: strength, steps, faces, seed, workers, address, threads, work, device, codec, crf,
    encoder_preset, pix_fmt, interlaced, mezzanine, copy_untouched, image_format, images, fps, grayscale, grain,
    detector, as on the command line
    Raises InputError for unusable arguments, ModelError for missing weights, JobError when restoring fails.
    """
    settings = _settings(preset, config, overrides)
    if is_remote(as_given(source)) or is_remote(as_given(target)):
        return _restore_remote(as_given(source), as_given(target), settings, overwrite, resume, progress)
    source, target = Path(source), Path(target)
    if is_stills(source, settings.input):
        return _restore_stills(StillsJob(source, target, settings, overwrite=overwrite, resume=resume), progress)
    return _restore_video(source, target, settings, overwrite, resume, progress)


def _restore_remote(
    source: str, target: str, settings: Settings, overwrite: bool, resume: bool, progress: Progress | None
) -> RestoreResult:
    work = working_folder(settings.execution.work)
    if is_remote(target):
        check_uploadable(target)
    if is_remote(target) and not overwrite and exists(target):
        raise InputError(f"{target} already exists; choose another name or allow overwriting (--overwrite)")
    here = download(source, work) if is_remote(source) else Path(source)
    made = local_name(target, work) if is_remote(target) else Path(target)
    made.parent.mkdir(parents=True, exist_ok=True)
    # One that is here already was made by a run that could not send it.
    waiting = is_remote(target) and made.exists() and resume
    if not waiting:
        result = _restore_video(here, made, settings, overwrite or is_remote(target), resume, progress)
    else:
        result = RestoreResult(made, 0, 0, 0, 0, 0, {}, ("it was made by an earlier run and only had to be sent",))
    if not is_remote(target):
        return result
    upload(made, target)
    return replace(result, output=target)


def _restore_video(
    source: Path, target: Path, settings: Settings, overwrite: bool, resume: bool, progress: Progress | None
) -> RestoreResult:
    totals = VideoJob(source, target, settings, overwrite=overwrite, resume=resume, report=progress).run()
    return RestoreResult(
        output=target,
        frames=totals.frames,
        faces=totals.faces,
        tracks=totals.tracks,
        skipped_faces=totals.skipped_faces,
        unet_evaluations=totals.unet_evaluations,
        seconds=totals.seconds,
        warnings=tuple(totals.warnings),
    )


@dataclass(frozen=True)
class BatchResult:
    """What became of the videos of a batch. interrupted_by: number of the signal that stopped it, None otherwise"""

    videos: tuple[BatchRow, ...]
    log: Path
    interrupted_by: int | None = None

    def count(self, status: str) -> int:
        """How many videos have a status: done, skipped, failed, unfinished or waiting."""
        return sum(row.status == status for row in self.videos)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        return {
            "videos": [row.as_dict() for row in self.videos],
            "log": str(self.log),
            **{status: self.count(status) for status in ("done", "skipped", "failed", "unfinished", "waiting")},
        }


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
    **overrides: Any,
) -> BatchResult:
    """Restore many videos with one pool of workers; one that fails does not stop the others.

    sources: files, folders with videos somewhere below, and lists (.csv, .jsonl) with a video a line: source, and where
    wanted output, preset, config, and any setting of a video by its name on the command line
    folder: for the outputs, and for `batch.jsonl`, which gets a line for every segment, and `batch.json`, the plan (in
    `work` where `folder` is a URL); a video whose output is there is skipped, one whose job is unfinished goes on
    on_plan: told in one line what it will take; the other arguments are as for `restore_video`
    Raises InputError when sources or settings cannot be used.
    """
    entries = read_entries([as_given(source) for source in sources], as_given(folder))
    common = _settings(preset, config, overrides)
    target = working_folder(common.execution.work) if is_remote(as_given(folder)) else Path(folder)
    make_output_folder(target)
    given = {name: value for name, value in overrides.items() if value is not None}

    def settings_of(entry: Entry) -> Settings:
        return _settings(entry.preset or preset, entry.config or config, given | dict(entry.overrides))

    interrupted_by = None
    try:
        rows = run_batch(
            entries,
            settings_of,
            common.execution,
            BatchOptions(overwrite, resume, target / LOG, progress or (lambda stage, done, total: None)),
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
    **overrides: Any,
) -> Analysis:
    """Find the shots and faces of a video and what would be done to them, without restoring anything.

    Arguments and errors as for `restore_video`.
    """
    settings = _settings(preset, config, overrides)
    source = Path(source)
    if is_stills(source, settings.input):
        if source.is_dir():
            raise InputError(
                f"{source} holds pictures of their own: analyse them one by one, or give --images sequence"
            )
        settings = still_settings(settings)
    info = probe_source(source, settings)
    report = progress or (lambda stage, done, total: None)
    models = load_models(settings)
    report("analyze", 0, info.declared_frames)
    with network_threads(settings.execution.threads):
        return analyze_with(models, info, settings, lambda done: report("analyze", done, info.declared_frames))


def _restore_stills(job: StillsJob, progress: Progress | None) -> RestoreResult:
    result = job.run(progress)
    return RestoreResult(
        output=job.target,
        frames=result.pictures,
        faces=result.work.faces,
        tracks=result.tracks,
        skipped_faces=result.skipped_faces,
        unet_evaluations=result.work.unet_evaluations,
        seconds=result.work.seconds,
        warnings=tuple(dict.fromkeys(result.warnings)),
    )


def _settings(preset: str, config: Path | str | None, overrides: dict[str, Any]) -> Settings:
    return load_settings(preset, Path(config) if config is not None else None, overrides)
