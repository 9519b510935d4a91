"""A job of single pictures: each is analysed and restored by itself; the models are loaded once."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dynface_video.config import Settings
from dynface_video.device import resolve_device
from dynface_video.errors import InputError
from dynface_video.jobs.directory import JobDirectory, job_path
from dynface_video.jobs.failures import disk_errors
from dynface_video.jobs.lock import job_lock
from dynface_video.jobs.output import PICTURES, ending_of, image_names, is_folder, publish_folder
from dynface_video.jobs.plan import Plan
from dynface_video.jobs.source import images_digest
from dynface_video.jobs.task import Progress, RunOptions
from dynface_video.jobs.video_job import check_paths, describe_plan
from dynface_video.media.io.image_file import WRITTEN_KINDS
from dynface_video.media.io.images import read_image
from dynface_video.media.io.sequence import image_files, unread_files
from dynface_video.passes.analysis import unrestored_warning
from dynface_video.passes.networks import Models, load_models
from dynface_video.passes.restore import Work
from dynface_video.passes.stills import restore_still, still_settings
from dynface_video.threads import network_threads


@dataclass
class StillsResult:
    """What was done in this run.

    Args:
        pictures: In the output.
        tracks: Faces restored.
        skipped_faces: Visible faces that are not restored.
        skip_reasons: Their number by the kind of reason.
        work: Crops, network evaluations and wall time.
        warnings: For the user.
    """

    pictures: int = 0
    tracks: int = 0
    skipped_faces: int = 0
    skip_reasons: Counter[str] = field(default_factory=Counter)
    work: Work = field(default_factory=Work)
    warnings: list[str] = field(default_factory=list)


class StillsJob:
    """One picture into an image file, or a folder of them into a folder."""

    def __init__(self, source: Path, target: Path, settings: Settings, options: RunOptions) -> None:
        """Check that source and target can be used.

        Args:
            source: An image, or a folder of images.
            target: An image file, or a folder.
            settings: All of them.
            options: Of this run.

        Raises:
            InputError: One of them cannot be used.
        """
        source, target = source.absolute(), target.absolute()
        check_paths(source, target, overwrite=options.overwrite)
        resolve_device(settings.execution.device)
        self.source, self.target, self.settings, self.options = source, target, settings, options
        self.files = image_files(source)
        self.into_folder = is_folder(target)
        _check_target(source, target, settings)
        self.names = image_names(self.files, ending_of(settings.output)) if self.into_folder else [target.name]
        if len(self.files) == 1:
            # A single unreadable picture is an error at once; among others it is a warning.
            read_image(self.files[0])

    def run(self) -> StillsResult:
        """Restore what is left; the target appears when all pictures are done.

        Progress is reported in pictures, with the stage "restore".

        Raises:
            JobError: The job's directory holds another job, or something failed; finished pictures are kept.
        """
        path = job_path(self.target)
        with job_lock(path), disk_errors(path), network_threads(self.settings.execution.threads):
            plan = self._plan()
            directory = JobDirectory.open(path, plan, resume=self.options.resume)
            result = self._run_all(path / PICTURES, self.options.report)
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
        result, models = StillsResult(warnings=unread_files(self.source)), None
        workers = self.settings.execution.workers
        if workers != "auto" and workers > 1:
            result.warnings.append("single pictures are restored by one process; --workers is ignored")
        settings = still_settings(self.settings)
        for number, (path, name) in enumerate(zip(self.files, self.names, strict=True)):
            report("restore", number, len(self.files))
            if (folder / name).exists():
                result.pictures += 1
                continue
            models = models or load_models(settings)
            self._restore(path, folder / name, models, settings, result)
        if not result.pictures:
            raise InputError(f"{self.source}: none of its {len(self.files)} images can be read")
        # Without models, all pictures are an earlier run's, which has given the warning.
        if models is not None and not result.tracks:
            result.warnings.append(unrestored_warning(result.skip_reasons))
        report("restore", len(self.files), len(self.files))
        return result

    def _restore(self, path: Path, target: Path, models: Models, settings: Settings, result: StillsResult) -> None:
        try:
            done = restore_still(path, target, models, settings, result.work)
        except InputError as error:
            if len(self.files) == 1:
                raise
            result.warnings.append(f"{error}; it is not in the output")
            return
        result.warnings += done.warnings
        result.tracks += done.tracks
        result.skipped_faces += done.skipped_faces
        result.skip_reasons += done.skip_reasons
        result.pictures += 1


def _check_target(source: Path, target: Path, settings: Settings) -> None:
    if is_folder(target):
        return
    endings = ", ".join(WRITTEN_KINDS)
    if source.is_dir():
        raise InputError(
            f"{source} holds single pictures, which become a folder: name one without an ending; if they are the "
            "frames of a film, give --images sequence"
        )
    if target.suffix.lower() not in WRITTEN_KINDS:
        raise InputError(f"{target}: an image becomes a file ending in one of {endings}, or a folder")
