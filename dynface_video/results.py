"""What the functions of the Python API return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.jobs.album import PictureAccount
from dynface_video.jobs.batch import BatchRow
from dynface_video.jobs.stills import StillsResult
from dynface_video.jobs.task import Totals
from dynface_video.passes.face_account import FaceAccount
from dynface_video.passes.people import PersonSummary

STATUSES = ("done", "skipped", "failed", "unfinished", "waiting")


@dataclass(frozen=True)
class RestoreResult:
    """The result for a video or for images, over this run and earlier ones.

    Attributes:
        output: Path or URL of what was written.
        frames: Frames, or images, in the output.
        faces: Face crops restored, one per face and frame.
        tracks: Face tracks restored.
        skipped_faces: Number of faces, each over a span of time, that were not restored.
        unet_evaluations: Network evaluations of the prior.
        seconds: Wall time of this run by stage.
        warnings: For the user.
        missing: For a video: what of the source is missing in the output because the file is cut off or damaged, such
            as "1.6 s of video is missing"; empty if nothing is.
        skip_reasons: How many faces were not restored, by the kind of reason.
        found_faces: For a video: every face over time, and whether it was restored or why not.
        pictures: For images: the outcome for each, with its faces.
        models: The public networks that were used, with their digests and licences (`name`, `sha256`, `licence`,
            `commercial_use`); empty with the embedded ones.
        record: Path or URL of the record, from which `write_report` makes a page; None if there is no record.
        drawn_faces: Of `faces`, those in which the prior drew detail.
    """

    output: Path | str
    frames: int
    faces: int
    tracks: int
    skipped_faces: int
    unet_evaluations: int
    seconds: Mapping[str, float]
    warnings: tuple[str, ...]
    missing: str = ""
    skip_reasons: Mapping[str, int] = field(default_factory=dict)
    found_faces: tuple[FaceAccount, ...] = ()
    pictures: tuple[PictureAccount, ...] = ()
    models: tuple[Mapping[str, Any], ...] = ()
    record: Path | str | None = None
    drawn_faces: int = 0

    @classmethod
    def of_video(cls, output: Path, totals: Totals) -> RestoreResult:
        """The result of a video job."""
        return cls(
            output=output,
            frames=totals.frames,
            faces=totals.faces,
            tracks=totals.tracks,
            skipped_faces=totals.skipped_faces,
            unet_evaluations=totals.unet_evaluations,
            seconds=totals.seconds,
            warnings=tuple(totals.warnings),
            missing=totals.missing,
            skip_reasons=totals.skip_reasons,
            found_faces=tuple(FaceAccount(**face) for face in totals.found_faces),
            models=tuple(totals.models),
            drawn_faces=totals.drawn_faces,
        )

    @classmethod
    def of_stills(cls, output: Path, result: StillsResult) -> RestoreResult:
        """The result of a job of images."""
        return cls(
            output=output,
            frames=result.pictures,
            faces=result.tracks,
            tracks=result.tracks,
            skipped_faces=result.skipped_faces,
            unet_evaluations=result.unet_evaluations,
            seconds=result.seconds,
            warnings=tuple(dict.fromkeys(result.warnings)),
            skip_reasons=dict(result.skip_reasons),
            pictures=tuple(result.accounts),
            models=tuple(result.models),
            drawn_faces=result.drawn_faces,
        )

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON data."""
        record = None if self.record is None else str(self.record)
        return asdict(self) | {"output": str(self.output), "warnings": list(self.warnings), "record": record}


@dataclass(frozen=True)
class RestorePlan:
    """An estimate of what it takes to restore a video or images.

    Attributes:
        output: Path of what would be written.
        frames: Number of frames or images; None if unknown.
        size: Width and height of a frame as stored; None for images.
        encoding: Encoder and pixel format; None for images.
        disk: Most bytes needed in the meantime; None if unknown.
        free: Free bytes where the output goes.
        seconds: Time without and with a face in every frame, by rule of thumb for CPUs; None if unknown, or on a GPU.
            With an analysis both are the time of the faces that it chooses.
        faces: Face crops to restore, one per face and frame; None if no analysis was given.
        people: Numbers of the people in these crops; None if no analysis was given.
    """

    output: Path
    frames: int | None
    size: tuple[int, int] | None
    encoding: tuple[str, str] | None
    disk: int | None
    free: int
    seconds: tuple[float, float] | None
    faces: int | None = None
    people: tuple[int, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON data."""
        return asdict(self) | {"output": str(self.output)}


@dataclass(frozen=True)
class ListedPerson:
    """A person of a video, as `list_people` gives it.

    Attributes:
        summary: Number, times, size and blur.
        seconds: Estimated time of restoring that person on one CPU core; None on a GPU.
    """

    summary: PersonSummary
    seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        """The person as JSON data."""
        return self.summary.as_dict() | {"seconds": None if self.seconds is None else round(self.seconds, 1)}


@dataclass(frozen=True)
class BatchResult:
    """The outcome for each video of a batch.

    Attributes:
        videos: A row for each, in their order.
        log: File with a line for every segment.
        interrupted_by: Number of the signal that stopped the batch; None if it was not stopped.
    """

    videos: tuple[BatchRow, ...]
    log: Path
    interrupted_by: int | None = None

    def count(self, status: str) -> int:
        """How many videos are done, skipped, failed, unfinished or waiting."""
        return sum(row.status == status for row in self.videos)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON data."""
        return {
            "videos": [row.as_dict() for row in self.videos],
            "log": str(self.log),
            **{status: self.count(status) for status in STATUSES},
        }


@dataclass(frozen=True, eq=False)
class RestoredFrame:
    """A frame of a video with its faces restored.

    Attributes:
        index: Its number from 0.
        time: Exact presentation time, seconds.
        rgb: (H, W, 3) uint8, as displayed: rotation applied, square pixels.
    """

    index: int
    time: Fraction
    rgb: np.ndarray
