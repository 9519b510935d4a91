"""Grouping tracks into people by their vectors and by when they are seen."""

from __future__ import annotations

import numpy as np
import pytest

from dynface_video.tracking.observation import FaceTrack
from dynface_video.tracking.people import average_linkage, group_people


def track(number: int, start: int, length: int = 10, face: int | None = None) -> FaceTrack:
    landmarks = np.zeros((length, 5, 2), np.float32)
    return FaceTrack(number, start, landmarks, np.ones(length, bool), np.ones(length, np.float32), None, face)


def near(axis: int, turned: float = 0.0) -> np.ndarray:
    vector = np.zeros(4)
    vector[axis], vector[3] = np.cos(turned), np.sin(turned)
    return vector


def test_a_person_has_one_number_on_both_sides_of_a_cut() -> None:
    tracks = [track(0, 0), track(1, 10), track(2, 20)]
    assert group_people(tracks, [near(0), near(1), near(0, 0.5)], same_person=0.7) == [1, 2, 1]


def test_people_are_numbered_by_their_first_frames() -> None:
    tracks = [track(0, 30), track(1, 0), track(2, 15)]
    assert group_people(tracks, [near(0), near(1), near(2)], same_person=0.7) == [3, 1, 2]


def test_faces_seen_together_are_never_one_person_however_alike() -> None:
    twins = [track(0, 0, 20), track(1, 5, 20), track(2, 40)]
    numbers = group_people(twins, [near(0), near(0), near(0)], same_person=0.7)
    assert numbers[0] != numbers[1] and numbers[2] in numbers[:2]


def test_a_track_that_begins_as_another_ends_may_continue_it() -> None:
    assert group_people([track(0, 0, 10), track(1, 8, 10)], [near(0), near(0)], same_person=0.7) == [1, 1]


def test_a_track_without_a_vector_follows_the_face_of_its_shot() -> None:
    tracks = [track(0, 0), track(1, 10), track(2, 20, face=0), track(3, 30)]
    assert group_people(tracks, [near(0), near(1), None, None], same_person=0.7) == [1, 2, 1, 3]


def test_without_any_vectors_the_faces_of_shots_are_the_people() -> None:
    assert group_people([track(0, 0), track(1, 20, face=0), track(2, 40)], [None] * 3, same_person=1.0) == [1, 1, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_nobody_and_one(count: int) -> None:
    assert group_people([track(0, 0)] * count, [near(0)] * count, same_person=0.7) == [1] * count


def test_linkage_is_that_of_scipy_where_nothing_is_excluded() -> None:
    from scipy.cluster.hierarchy import fcluster, linkage

    vectors = np.random.default_rng(3).normal(size=(60, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    distances = (1 - vectors @ vectors.T)[np.triu_indices(60, 1)]
    for threshold in (0.2, 0.5, 0.8):
        expected = fcluster(linkage(distances, "average"), 1 - threshold, "distance")
        found = average_linkage(vectors, np.zeros((60, 60), bool), threshold)
        pairs = {(a, b) for a in range(60) for b in range(60) if found[a] == found[b]}
        assert pairs == {(a, b) for a in range(60) for b in range(60) if expected[a] == expected[b]}


def test_an_exclusion_holds_for_the_whole_group() -> None:
    vectors = np.stack([near(0), near(0, 0.01), near(0, 0.02)])
    apart = np.zeros((3, 3), bool)
    apart[0, 2] = apart[2, 0] = True
    groups = average_linkage(vectors, apart, 0.5)
    assert groups[0] != groups[2] and groups[1] in (groups[0], groups[2])
