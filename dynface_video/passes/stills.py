"""Restoring one picture: like a video of one frame, with settings for faces that are seen once."""

from __future__ import annotations

import filecmp
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dynface_video.config import Settings
from dynface_video.media.io.images import ImageFile, read_image, write_image
from dynface_video.media.io.sequence import image_info, picture_of, samples_of
from dynface_video.media.pixels.frame import Frame
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import resolve, with_strengths
from dynface_video.passes.face_account import FaceAccount, face_accounts
from dynface_video.passes.networks import Models, analyze_with
from dynface_video.passes.restore import PassContext, Work, restored_frames

IN_MEMORY = Path("the image")
"""Name of an image that was not read from a file, for messages."""
WORKING_SIZE = 1280
"""Least size of the picture that the detector sees, pixels: a photograph is searched once, and holds smaller faces."""

LARGEST_SIDE = 1 << 16
"""Side of the largest stage, pixels, where the settings say "auto": no limit, a photograph has the time for all stages
on a CPU, too."""


@dataclass(frozen=True)
class StillResult:
    """The result of restoring a picture.

    Attributes:
        tracks: Faces restored.
        skipped_faces: Visible faces that are not restored.
        skip_reasons: Their number by the kind of reason.
        warnings: Of writing the file.
        faces: All faces, each restored or not and why.
        unchanged: Whether the file is the source byte for byte.
    """

    tracks: int
    skipped_faces: int
    skip_reasons: Counter[str]
    warnings: tuple[str, ...]
    faces: tuple[FaceAccount, ...] = ()
    unchanged: bool = False


def still_settings(settings: Settings) -> Settings:
    """Adapt settings to single pictures: a face that is seen once counts, small ones are found, large ones kept large.

    Args:
        settings: Those of videos.
    """
    detection = settings.detection.model_copy(
        update={
            "interval": 1,
            "minimum_length": 1,
            "maximum_gap": 0,
            "landmark_smoothing": 0.0,
            "working_size": max(settings.detection.working_size, WORKING_SIZE),
        }
    )
    restoration = settings.restoration.model_copy(
        update={
            "level_interval": 1,
            "level_smoothing": 0.0,
            "resolution": settings.restoration.largest_side or LARGEST_SIDE,
            "self_ensemble": settings.restoration.self_ensemble is not False,
        }
    )
    return settings.model_copy(update={"detection": detection, "restoration": restoration})


def restore_still(source: Path, target: Path, models: Models, settings: Settings, work: Work) -> StillResult:
    """Restore the faces of an image file.

    Args:
        source: An image file.
        target: The image file to write; it appears only when it is complete.
        models: Loaded for `settings`.
        settings: From `still_settings`.
        work: Added to.

    Raises:
        InputError: The image cannot be read.
    """
    image = read_image(source)
    samples, analysis = restored_samples(image, models, settings, work)
    return StillResult(
        tracks=sum(track.restore for track in analysis.tracks),
        skipped_faces=analysis.skipped_face_count,
        skip_reasons=analysis.skip_reasons,
        warnings=write_image(target, samples, image),
        faces=face_accounts(analysis),
        unchanged=filecmp.cmp(source, target, shallow=False),
    )


def restored_samples(image: ImageFile, models: Models, settings: Settings, work: Work) -> tuple[np.ndarray, Analysis]:
    """Restore the faces of an image.

    Args:
        image: Read from a file, or made from an image in memory.
        models: Loaded for `settings`.
        settings: From `still_settings`.
        work: Added to.

    Returns:
        The restored samples, of the shape and type of `image.samples`, and what was found.
    """
    info = image_info(image, image.path or IN_MEMORY)
    frame = Frame(0, 0, info.time_base, picture_of(image), info.colour)
    began = time.perf_counter()
    analysis = with_strengths(resolve(analyze_with(models, info, settings, decoded=[frame])), models.pipeline)
    work.seconds["analyze"] = work.seconds.get("analyze", 0.0) + time.perf_counter() - began
    chosen = settings.restoration
    context = PassContext(info, analysis, models.pipeline, chosen.seed, chosen.grain, models.parser)
    (restored,) = restored_frames([frame], context, 0, 1, work=work)
    return samples_of(restored.picture, restored.colour), analysis
