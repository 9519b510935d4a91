"""Pictures of their own: each is analysed and restored by itself, whatever its size; the models are loaded once."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from dynface_video.config import Settings
from dynface_video.device import resolve_device
from dynface_video.errors import InputError
from dynface_video.jobs.directory import JobDirectory, job_lock
from dynface_video.jobs.disk import disk_errors
from dynface_video.jobs.output import PICTURES, ending_of, image_names, is_folder, publish_folder
from dynface_video.jobs.plan import Plan
from dynface_video.jobs.run import Models, Progress, check_paths, describe_plan, load_models
from dynface_video.jobs.source import images_digest
from dynface_video.media.io.images import FORMATS, read_image, write_image
from dynface_video.media.io.read import read_frames
from dynface_video.media.io.sequence import image_files, probe_images, samples_of
from dynface_video.passes.analyze import analyze
from dynface_video.passes.restore import Work, restored_frames

WORKING_SIZE = 1280
"""Least size of the picture that the detector sees: a photograph is looked at once, and holds smaller faces."""


@dataclass
class StillsResult:
    """What was done in this run. restored: pictures with a face restored; skipped_faces as in `Totals`."""

    pictures: int = 0
    tracks: int = 0
    skipped_faces: int = 0
    work: Work = field(default_factory=Work)
    warnings: list[str] = field(default_factory=list)


class StillsJob:
    """One picture into an image file, or a folder of them into a folder."""

    def __init__(self, source: Path, target: Path, settings: Settings, *, overwrite: bool, resume: bool) -> None:
        """Check that source and target can be used; raises InputError."""
        source, target = source.absolute(), target.absolute()
        check_paths(source, target, overwrite=overwrite)
        resolve_device(settings.execution.device)
        self.source, self.target, self.settings, self.resume = source, target, settings, resume
        self.files = image_files(source)
        self.into_folder = is_folder(target)
        _check_target(source, target, settings)
        self.names = image_names(self.files, ending_of(settings.output)) if self.into_folder else [target.name]
        if len(self.files) == 1:
            # A single one that cannot be read is an error at once, among others a warning.
            read_image(self.files[0])

    def run(self, progress: Progress | None = None) -> StillsResult:
        """Restore what is left; the target appears when all are done. Raises JobError as `VideoJob.run` does."""
        path = self.target.with_name(f"{self.target.name}.job")
        with job_lock(path), disk_errors(path):
            plan = self._plan()
            directory = JobDirectory.open(path, plan, resume=self.resume)
            result = self._run_all(path / PICTURES, progress or (lambda stage, done, total: None))
            if self.into_folder:
                publish_folder(path / PICTURES, self.target)
            else:
                os.replace(path / PICTURES / self.target.name, self.target)
            directory.remove()
        return result

    def _plan(self) -> Plan:
        return describe_plan(
            self.source, images_digest(self.files), self.settings, {"image_format": self.settings.output.image_format}
        )

    def _run_all(self, folder: Path, report: Progress) -> StillsResult:
        folder.mkdir(exist_ok=True)
        result, models = StillsResult(), None
        if self.settings.execution.workers > 1:
            result.warnings.append("pictures of their own are restored by one process, whatever --workers says")
        settings = for_stills(self.settings)
        for number, (path, name) in enumerate(zip(self.files, self.names, strict=True)):
            report("restore", number, len(self.files))
            if (folder / name).exists():
                result.pictures += 1
                continue
            models = models or load_models(settings)
            self._restore(path, folder / name, models, settings, result)
        if not result.pictures:
            raise InputError(f"{self.source}: not one of its {len(self.files)} images can be read")
        report("restore", len(self.files), len(self.files))
        return result

    def _restore(self, path: Path, target: Path, models: Models, settings: Settings, result: StillsResult) -> None:
        try:
            info = probe_images(path, Fraction(1))
        except InputError as error:
            if len(self.files) == 1:
                raise
            result.warnings.append(f"{error}; it is not in the output")
            return
        began = time.perf_counter()
        analysis = analyze(info, models.detector, models.locator, models.restorer, settings)
        seconds = result.work.seconds
        seconds["analyze"] = seconds.get("analyze", 0.0) + time.perf_counter() - began
        chosen = settings.restoration
        (frame,) = restored_frames(
            read_frames(info),
            info,
            analysis,
            models.restorer,
            0,
            1,
            seed=chosen.seed,
            grain=chosen.grain,
            work=result.work,
        )
        result.warnings += write_image(target, samples_of(frame.picture, frame.colour), read_image(path))
        result.tracks += sum(track.restore for track in analysis.tracks)
        result.skipped_faces += analysis.skipped_face_count
        result.pictures += 1


def for_stills(settings: Settings) -> Settings:
    """Settings under which a face that is seen once counts, and small ones are found."""
    detection = settings.detection.model_copy(
        update={
            "interval": 1,
            "minimum_length": 1,
            "maximum_gap": 0,
            "landmark_smoothing": 0.0,
            "working_size": max(settings.detection.working_size, WORKING_SIZE),
        }
    )
    restoration = settings.restoration.model_copy(update={"level_interval": 1, "level_smoothing": 0.0})
    return settings.model_copy(update={"detection": detection, "restoration": restoration})


def _check_target(source: Path, target: Path, settings: Settings) -> None:
    if is_folder(target):
        return
    endings = ", ".join(FORMATS)
    if source.is_dir():
        raise InputError(
            f"{source} is taken as pictures of their own, which become a folder: name one without an ending; if they "
            "are the frames of a film, give --images sequence"
        )
    if target.suffix.lower() not in FORMATS:
        raise InputError(f"{target}: an image becomes a file ending in one of {endings}, or a folder")
