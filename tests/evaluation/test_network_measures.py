from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dynface_video.models.registry import model_folder
from evaluation.faces import CleanFace, degrade_faces, load_clean_faces
from evaluation.network_measures import identity_measure, landmark_measure, network_measures, perceptual_measure
from teachers.weights import teacher_folder
from training.degradation import LARGE_FACE_STRENGTHS


@pytest.fixture(scope="module")
def teachers() -> Path:
    if not teacher_folder().is_dir():
        pytest.skip(f"no teachers in {teacher_folder()}: set DYNFACE_DATA")
    return teacher_folder()


@pytest.fixture(scope="module")
def people(teachers: Path) -> list[CleanFace]:
    return load_clean_faces(teachers.parent / "faces_eval", 512, limit=3)


def test_measures_without_weights_are_named_with_what_to_do(tmp_path: Path) -> None:
    measures, missing = network_measures(tmp_path)
    assert list(measures) == ["landmarks"]
    assert [message.split()[0] for message in missing] == ["perceptual", "perceptual_native", "identity"]
    assert all(str(tmp_path) in message and "DYNFACE_DATA" in message for message in missing)


def test_every_measure_is_zero_for_equal_and_grows_with_the_strength(teachers: Path, people: list[CleanFace]) -> None:
    measures, missing = network_measures(teachers)
    assert missing == []
    for name, measure in measures.items():
        assert measure(people[0].image, people[0].image) == pytest.approx(0, abs=2e-4), name
        series = [
            np.mean([measure(face.image, face.clean.image) for face in degrade_faces(people[:1], strength)])
            for strength in LARGE_FACE_STRENGTHS
        ]
        assert series == sorted(series) and series[0] > 0, name


def test_another_person_is_further_than_dlib_allows(teachers: Path, people: list[CleanFace]) -> None:
    # The halves of the set are the same people, neutral and smiling; thirds are not.
    assert identity_measure(teachers)(people[0].image, people[1].image) > 0.6


def test_large_faces_are_compared_at_the_reduced_size(teachers: Path, people: list[CleanFace]) -> None:
    large = [face.image for face in people[:2]]
    small = [cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA) for picture in large]
    reducing = perceptual_measure(teachers, largest=256)
    assert reducing(*large) == pytest.approx(perceptual_measure(teachers)(*small), abs=1e-5)
    assert reducing(*large) != pytest.approx(perceptual_measure(teachers)(*large), abs=1e-2)


def test_grain_does_not_improve_the_perceptual_distance_of_a_blurred_face(
    teachers: Path, people: list[CleanFace]
) -> None:
    (face,) = degrade_faces(people[:1], "severe")
    grain = np.random.default_rng(0).normal(0, 0.06, face.image.shape)
    noisy = np.clip(face.image + grain, 0, 1).astype(np.float32)
    measure = perceptual_measure(teachers, largest=256)
    assert measure(noisy, face.clean.image) > measure(face.image, face.clean.image)


def test_landmarks_that_move_are_seen_in_percent_of_the_eye_distance(people: list[CleanFace]) -> None:
    measure, clean = landmark_measure(model_folder("mini")), people[0].image
    shifted = np.roll(clean, 12, axis=1)  # the eyes are 126 pixels apart in a crop of 512
    assert measure(shifted, clean) == pytest.approx(100 * 12 / 126, rel=0.2)
