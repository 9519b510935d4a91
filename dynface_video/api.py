"""What `import dynface_video` gives: restore or analyse a video with one call."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dynface_video.config import Settings, load_settings
from dynface_video.errors import InputError
from dynface_video.jobs.analysis import Analysis
from dynface_video.jobs.run import Progress, VideoJob, analyze_with
from dynface_video.jobs.source import is_stills, look_at
from dynface_video.jobs.stills import StillsJob, for_stills
from dynface_video.restorer import FaceRestorer

__all__ = ["Analysis", "FaceRestorer", "Progress", "RestoreResult", "analyze_video", "restore_video"]


@dataclass(frozen=True)
class RestoreResult:
    """What was done. faces: face crops restored, one a face and frame; seconds: wall time by stage."""

    output: Path
    frames: int
    faces: int
    tracks: int
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
    fresh: bool = False,
    progress: Progress | None = None,
    **overrides: Any,
) -> RestoreResult:
    """Restore the faces of a video and leave everything else in the file as it is.

    Images are taken too: one into an image file, a folder of them into a folder, or, as the frames of a film, into a
    video; and a video into a folder of images.

    The target appears only when it is complete. Until then the work lies in `TARGET.job` beside it; the same call goes
    on where an interrupted one stopped.

    config: a YAML file over the preset; overwrite: replace an existing target; fresh: drop an unfinished job;
    progress: called with (stage, frames done, frames in all or None);
    overrides: strength, steps, faces, seed, workers, address, threads, device, codec, crf, encoder_preset, pix_fmt, interlaced,
    mezzanine, copy_untouched, image_format, images, fps, grayscale, grain,
    detector, as on the command line
    Raises InputError for unusable arguments, ModelError for missing weights, JobError when restoring fails.
    """
    source, target = Path(source), Path(target)
    settings = _settings(preset, config, overrides)
    if is_stills(source, settings.input):
        return _restore_stills(StillsJob(source, target, settings, overwrite=overwrite, fresh=fresh), progress)
    result = VideoJob(source, target, settings, overwrite=overwrite, fresh=fresh).run(progress)
    restored = [track for track in result.analysis.tracks if track.restore]
    return RestoreResult(
        output=target,
        frames=result.analysis.frame_count,
        faces=sum(segment.faces for segment in result.segments),
        tracks=len(restored),
        unet_evaluations=sum(segment.unet_evaluations for segment in result.segments),
        seconds=result.seconds,
        warnings=(*result.warnings, *_nothing_done(result.analysis)),
    )


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
        settings = for_stills(settings)
    info = look_at(source, settings)
    return analyze_with(info, settings, progress or (lambda stage, done, total: None))


def _restore_stills(job: StillsJob, progress: Progress | None) -> RestoreResult:
    result = job.run(progress)
    nothing = [] if result.tracks else ["no face was found: the pictures are unchanged"]
    return RestoreResult(
        output=job.target,
        frames=result.pictures,
        faces=result.work.faces,
        tracks=result.tracks,
        unet_evaluations=result.work.unet_evaluations,
        seconds=result.work.seconds,
        warnings=(*dict.fromkeys(result.warnings), *nothing),
    )


def _nothing_done(analysis: Analysis) -> list[str]:
    if any(track.restore for track in analysis.tracks):
        return []
    reason = "all faces are to be left alone" if analysis.tracks else "no face was found"
    return [f"{reason}: the pictures are unchanged"]


def _settings(preset: str, config: Path | str | None, overrides: dict[str, Any]) -> Settings:
    return load_settings(preset, Path(config) if config is not None else None, overrides)
