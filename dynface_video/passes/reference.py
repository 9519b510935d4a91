"""The person of a reference picture among those of a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dynface_video.errors import InputError, SelectionError
from dynface_video.faces.detection.detector import FaceDetector
from dynface_video.faces.identity import FaceIdentifier
from dynface_video.media.io.images import read_image
from dynface_video.media.io.sequence import image_info, picture_of
from dynface_video.media.pixels.display import to_display
from dynface_video.media.pixels.frame import Frame
from dynface_video.passes.analysis import Analysis
from dynface_video.tracking.observation import face_side

SMALL_SHARE = 0.5
"""Faces smaller than this share of the largest one are taken for bystanders."""


def read_reference(path: Path, detector: FaceDetector, identifier: FaceIdentifier) -> np.ndarray:
    """The vector of the face in a picture, (D,).

    Args:
        path: Of the picture.
        detector: Finds the face.
        identifier: Reads it.

    Raises:
        InputError: The picture cannot be read, or shows no face, or several of like size.
    """
    image = read_image(path)
    info = image_info(image, path)
    picture = to_display(Frame(0, 0, info.time_base, picture_of(image), info.colour).working_rgb(), info.display)
    found = sorted(detector.detect(picture), key=lambda face: -face_side(face.landmarks))
    if not found:
        raise InputError(f"{path}: no face was found in the reference picture; use one with a larger face")
    largest = face_side(found[0].landmarks)
    if len(found) > 1 and face_side(found[1].landmarks) > SMALL_SHARE * largest:
        raise InputError(f"{path}: the reference picture shows several faces; crop it to one face")
    return identifier.embed(picture, [found[0].landmarks])[0]


def matching_people(analysis: Analysis, reference: np.ndarray, least: float) -> tuple[int, ...]:
    """The numbers of the people who are like a reference.

    Args:
        analysis: Of a video.
        reference: (D,) of length 1.
        least: Cosine similarity from which they are.

    Raises:
        InputError: The analysis has no vectors, or those of another network.
        SelectionError: Nobody is like the reference.
    """
    measured = [person for person in analysis.people if person.vector is not None]
    if analysis.people and not measured:
        raise InputError(
            "the analysis does not hold the people's vectors that --reference needs; analyse the video again"
        )
    if any(person.vector.shape != reference.shape for person in measured if person.vector is not None):
        raise InputError("the analysis was made with another identity network; analyse the video again")
    similar = {person.number: float(person.vector @ reference) for person in measured if person.vector is not None}
    alike = tuple(number for number, likeness in similar.items() if likeness >= least)
    if not alike:
        nearest = max(similar, key=lambda number: similar[number], default=None)
        told = (
            "nobody was found" if nearest is None else f"the most similar is person {nearest} ({similar[nearest]:.2f})"
        )
        raise SelectionError(
            f"nobody in the video matches the reference picture: {told}, {least:.2f} is needed; use --faces instead"
        )
    return alike
