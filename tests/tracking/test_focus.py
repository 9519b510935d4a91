"""Blur of faces and of what surrounds them, on a photograph that is blurred in parts."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS
from dynface_video.faces.landmarks import face_square
from dynface_video.tracking.focus import Focus, measure_focus

POINTS = np.array(PHOTOGRAPH_LANDMARKS)
FACE = face_square(POINTS)


def head_mask(picture: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    distance = np.hypot(x - FACE.centre[0], y - FACE.centre[1]) / FACE.side
    return np.clip((0.9 - distance) / 0.2, 0, 1)[..., None]


def blurred(picture: np.ndarray, share: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), share * FACE.side)


def measured(picture: np.ndarray) -> Focus:
    focus = measure_focus(picture.astype(np.uint8), POINTS)
    assert focus is not None
    return focus


@pytest.mark.parametrize("share", [0.03, 0.06])
def test_the_blur_of_a_face_is_read_off_its_edges(share: float) -> None:
    assert measured(blurred(astronaut(), share)).face == pytest.approx(share, rel=0.35)
    assert measured(astronaut()).face < 0.02


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_it_does_not_depend_on_the_size_of_the_picture(scale: float) -> None:
    picture = cv2.resize(blurred(astronaut(), 0.05), None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    focus = measure_focus(picture, (POINTS + 0.5) * scale - 0.5)
    assert focus is not None and focus.face == pytest.approx(measured(blurred(astronaut(), 0.05)).face, rel=0.25)


def test_a_blurred_face_in_a_sharp_picture_stands_out() -> None:
    picture, mask = astronaut(), head_mask(astronaut())
    focus = measured(mask * blurred(picture, 0.06) + (1 - mask) * picture)
    assert focus.surroundings is not None and focus.face / focus.surroundings > 3


def test_a_picture_blurred_as_a_whole_has_nothing_that_stands_out() -> None:
    random = np.random.default_rng(0)
    picture = np.clip(blurred(astronaut(), 0.05) + random.normal(0, 4, astronaut().shape), 0, 255)
    focus = measured(picture)
    assert focus.surroundings is None or focus.face / focus.surroundings < 1.6


def test_a_caption_below_a_blurred_face_is_no_sharp_surrounding() -> None:
    picture = blurred(astronaut(), 0.06)
    below = int(FACE.centre[1] + 0.95 * FACE.side)
    cv2.putText(picture, "JANE SMITH, PILOT", (90, below), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
    focus = measured(picture)
    assert focus.surroundings is None or focus.face / focus.surroundings < 1.6


def test_a_picture_without_edges_cannot_be_measured() -> None:
    assert measure_focus(np.full((200, 200, 3), 128, np.uint8), POINTS / 2) is None
