"""The models of a job, loaded once per process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from dynface_video.config import Settings
from dynface_video.errors import InputError, SelectionError
from dynface_video.faces.arcface import ArcFace, ArcFaceIdentifier
from dynface_video.faces.detection.aligned import AlignedFaces
from dynface_video.faces.detection.detector import FaceDetector, FaceLocator
from dynface_video.faces.detection.factory import make_detector
from dynface_video.faces.identity import EmbeddedIdentifier, FaceIdentifier
from dynface_video.faces.landmark_locator import LandmarkLocator
from dynface_video.faces.parsing import FaceParser, ParseNetMasks
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.pixels.frame import Frame
from dynface_video.models.registry import detection_folder, detector_file, resolve
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.analyze import analyze
from dynface_video.passes.choosing import check_declared_times, check_times, choose
from dynface_video.passes.reference import matching_people, read_reference
from dynface_video.pipeline import FacePipeline
from dynface_video.precision import resolve_precision, torch_dtype


@dataclass(frozen=True)
class Models:
    """What finds faces, tells people apart, restores and pastes them.

    Without `identifier` only tracks are told apart; without `parser` all of a restored crop is pasted.
    """

    pipeline: FacePipeline
    locator: FaceLocator
    detector: FaceDetector
    identifier: FaceIdentifier | None = None
    parser: FaceParser | None = None


def load_models(settings: Settings) -> Models:
    """Load the models that the settings name.

    Args:
        settings: All of them.

    Raises:
        ModelError: Weights are missing.
    """
    precision = resolve_precision(settings.execution)
    pipeline = FacePipeline.from_settings(settings, torch_dtype=torch_dtype(precision))
    if settings.execution.cuda_graphs == "auto":
        pipeline = pipeline.with_cuda_graphs()
    return Models(
        pipeline,
        *load_finders(settings, pipeline.device),
        load_identifier(settings, pipeline.device),
        load_parser(settings, pipeline.device),
    )


def load_identifier(settings: Settings, device: torch.device) -> FaceIdentifier | None:
    """Load the network that tells people apart; None if the model set has no such network.

    Args:
        settings: All of them.
        device: Of the network.

    Raises:
        ModelError: Its weights are damaged, or the settings name a public network whose file is missing.
    """
    if settings.detection.identity == "arcface":
        return ArcFaceIdentifier(ArcFace.from_file(resolve("arcface"), device))
    folder = detection_folder(settings.models) / "identity"
    return EmbeddedIdentifier.from_pretrained(folder, device) if folder.is_dir() else None


def load_parser(settings: Settings, device: torch.device) -> FaceParser | None:
    """Load the network that segments a crop for pasting; None if the whole crop is pasted.

    Args:
        settings: All of them.
        device: Of the network.

    Raises:
        ModelError: The network is missing.
    """
    if settings.restoration.paste_mask == "crop":
        return None
    return ParseNetMasks.from_file(resolve("parsenet"), device)


def load_finders(settings: Settings, device: torch.device) -> tuple[FaceLocator, FaceDetector]:
    """Load what finds faces and their landmarks by the settings of the detection.

    Args:
        settings: All of them.
        device: Of the networks.

    Raises:
        ModelError: Weights are missing.
    """
    if settings.detection.aligned:
        return AlignedFaces(), AlignedFaces()
    folder = detection_folder(settings.models)
    public = detector_file(settings)
    locator = LandmarkLocator.from_pretrained(folder / "landmarks", device)
    return locator, make_detector(
        settings.detection,
        models=folder,
        locator=locator,
        device=device,
        weights=resolve(public) if public else None,
    )


def analyze_with(
    models: Models,
    info: VideoInfo,
    settings: Settings,
    on_frame: Callable[[int], None] | None = None,
    *,
    decoded: Iterable[Frame] | None = None,
    kept: Path | None = None,
) -> Analysis:
    """Run the first pass over a video, and write the settings' choice of faces into its result.

    Args:
        models: Loaded for `settings`.
        info: The video.
        settings: All of them.
        on_frame: Called with the number of frames done.
        decoded: Frames in memory, instead of the file's.
        kept: File that holds the first pass's result before faces are selected: it is read if it exists and written
            otherwise, so that a corrected selection needs no second pass.

    Raises:
        InputError: The video cannot be decoded, or the reference picture cannot be used.
        SelectionError: A selected person or time is not in the video; `found` is the analysis if that is neither kept
            nor of frames in memory.
    """

    def first_pass() -> Analysis:
        return analyze(
            info,
            models.detector,
            models.locator,
            models.pipeline,
            settings,
            identifier=models.identifier,
            decoded=decoded,
            on_frame=on_frame,
        )

    # Before the first pass, so that an unusable reference picture fails at once.
    reference = reference_vector(models, settings)
    if decoded is None:
        check_declared_times(info, settings.selection)
    if kept is None:
        analysis = first_pass()
    else:
        if not kept.exists():
            first_pass().save(kept)
        # Saving rounds numbers. Reading them back in every run gives the same result whether or not the selection had
        # to be corrected.
        analysis = Analysis.load(kept)
    try:
        if decoded is None:
            check_times(analysis, settings.selection)
        return choose_with(models, analysis, settings, reference)
    except SelectionError as error:
        if kept is None and decoded is None:
            error.found = analysis
        raise


def choose_with(
    models: Models, analysis: Analysis, settings: Settings, reference: np.ndarray | None = None
) -> Analysis:
    """Write the settings' choice of faces into an analysis.

    Args:
        models: Loaded for `settings`.
        analysis: Of a video.
        settings: All of them.
        reference: See `reference_vector`.

    Raises:
        SelectionError: A selected person is not in the video.
    """
    people = None
    if reference is not None and models.identifier is not None:
        people = matching_people(analysis, reference, models.identifier.same_picture)
    return choose(analysis, settings.selection, people)


def reference_vector(models: Models, settings: Settings) -> np.ndarray | None:
    """The vector of the face in the settings' reference picture, (D,); None without a reference picture.

    Raises:
        InputError: There is no network that tells people apart, or the picture shows no face, or several.
    """
    path = settings.selection.reference
    if path is None:
        return None
    if models.identifier is None:
        raise InputError(
            f"--reference needs a network that tells people apart, which the models {settings.models!r} lack; choose "
            "people by their numbers (--faces), as dynface-video faces shows them"
        )
    return read_reference(path, models.detector, models.identifier)
