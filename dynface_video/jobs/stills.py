"""A job of single pictures: each is analysed and restored by itself; the models are loaded once."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dynface_video.config import Settings
from dynface_video.device import resolve_device
from dynface_video.errors import InputError
from dynface_video.jobs.album import UNREADABLE, PictureAccount, album_files, status_of, unread_in_album
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
from dynface_video.models.registry import used_models
from dynface_video.passes.analysis import unrestored_warning
from dynface_video.passes.model_cache import ModelCache
from dynface_video.passes.networks import Models
from dynface_video.passes.restore import Work
from dynface_video.passes.stills import restore_still, still_settings
from dynface_video.stage_loading import find_models
from dynface_video.threads import network_threads
from dynface_video.tracking.observation import NOT_SELECTED

ACCOUNTS = "accounts"
"""Folder in the job's directory with what became of each finished picture."""


@dataclass
class StillsResult:
    """What was done, in this run and those before it.

    Args:
        accounts: What became of each picture, in order.
        seconds: Wall time of this run by stage.
        warnings: For the user.
        models: The public networks that took part, as of `Totals`.
    """

    accounts: list[PictureAccount] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)

    @property
    def pictures(self) -> int:
        """Number of pictures in the output."""
        return sum(account.output is not None for account in self.accounts)

    @property
    def tracks(self) -> int:
        """Number of faces restored."""
        return sum(account.restored for account in self.accounts)

    @property
    def skip_reasons(self) -> Counter[str]:
        """How many faces are not restored, by the kind of reason."""
        return sum((account.skip_reasons for account in self.accounts), Counter[str]())

    @property
    def skipped_faces(self) -> int:
        """Number of visible faces that are not restored, without those not selected."""
        return self.skip_reasons.total() - self.skip_reasons[NOT_SELECTED]

    @property
    def drawn_faces(self) -> int:
        """Number of faces in which the prior drew detail."""
        return sum(account.drawn_faces for account in self.accounts)

    @property
    def unet_evaluations(self) -> int:
        """Network evaluations of the prior."""
        return sum(account.unet_evaluations for account in self.accounts)

    def add(self, account: PictureAccount) -> None:
        """Add a picture."""
        self.accounts.append(account)
        self.warnings += account.warnings


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
            ModelError: A public network that the settings name is not on this machine.
        """
        self.used = [asdict(model) for model in used_models(settings, find_models(settings).names)]
        source, target = source.absolute(), target.absolute()
        check_paths(source, target, overwrite=options.overwrite)
        resolve_device(settings.execution.device)
        self.source, self.target, self.settings, self.options = source, target, settings, options
        self.files = album_files(source, target)
        self.into_folder = is_folder(target)
        _check_target(source, target, settings)
        root = source if source.is_dir() else None
        self.names = image_names(self.files, ending_of(settings.output), root) if self.into_folder else [target.name]
        if len(self.files) == 1:
            # A single unreadable picture is an error at once; among others it is a warning.
            read_image(self.files[0])

    def run(self) -> StillsResult:
        """Restore the remaining pictures; the target appears when all are done.

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
        result = StillsResult(warnings=unread_in_album(self.source, self.target), models=self.used)
        networks = self.options.networks or ModelCache()
        workers = self.settings.execution.workers
        if workers != "auto" and workers > 1:
            result.warnings.append("single pictures are restored by one process; --workers is ignored")
        settings, work = still_settings(self.settings), Work()
        for number, (path, name) in enumerate(zip(self.files, self.names, strict=True)):
            report("restore", number, len(self.files))
            record = folder.with_name(ACCOUNTS) / f"{name}.json"
            # Written after the picture: without it the picture is of a run that was killed in between.
            account = PictureAccount.load(record) if (folder / name).exists() else None
            if account is None:
                account = self._restore(path, folder / name, networks.get(settings), settings, work)
                account.save(record)
            result.add(account)
        if not result.pictures:
            raise InputError(f"{self.source}: none of its {len(self.files)} images can be read")
        result.seconds = work.seconds
        if not result.tracks:
            result.warnings.append(unrestored_warning(result.skip_reasons))
        report("restore", len(self.files), len(self.files))
        return result

    def _restore(self, path: Path, target: Path, models: Models, settings: Settings, work: Work) -> PictureAccount:
        name = path.relative_to(self.source).as_posix() if self.source.is_dir() else path.name
        evaluations, drawn = work.unet_evaluations, work.drawn_faces
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            done = restore_still(path, target, models, settings, work)
        except InputError as error:
            if len(self.files) == 1:
                raise
            return PictureAccount(
                name, None, UNREADABLE, reason=str(error), warnings=(f"{error}; it is not in the output",)
            )
        return PictureAccount(
            name,
            target.relative_to(job_path(self.target) / PICTURES).as_posix(),
            status_of(done.faces),
            done.faces,
            unchanged=done.unchanged,
            drawn_faces=work.drawn_faces - drawn,
            unet_evaluations=work.unet_evaluations - evaluations,
            warnings=done.warnings,
        )


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
