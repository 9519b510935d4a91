"""The second look: what is linked, what is bridged, what is left alone and why."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from dynface_video.config import DetectionSettings
from dynface_video.faces.align import TEMPLATE_512
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import box_from_landmarks
from dynface_video.tracking.observation import Observation, SkippedFace, face_side
from dynface_video.tracking.post_processing import bridge, post_process_tracks

FACE = (TEMPLATE_512 - TEMPLATE_512.mean(axis=0)) / face_side(TEMPLATE_512)
"""Five points around their mean for a face box of side 1."""
SETTINGS = DetectionSettings(maximum_gap=12, minimum_length=3, minimum_size=24, minimum_score=0.5)
RED, BLUE = (np.concatenate([np.full(64, sign / 8), [0.1, 0.0, 0.5]]).astype(np.float32) for sign in (1, -1))


def seen(
    frames: Iterable[int],
    track: int,
    *,
    x: float = 100.0,
    speed: float = 0.0,
    side: float = 50.0,
    score: float = 0.9,
    look: np.ndarray | None = None,
) -> list[Observation]:
    observations = []
    for frame in frames:
        points = (FACE * side + [x + speed * frame, 120.0]).astype(np.float32)
        detection = Detection(box_from_landmarks(points), points, np.ones(5, np.float32), score)
        observations.append(Observation(frame, track, detection, True, look))
    return observations


def spans(observations: list[Observation], cuts: tuple[int, ...] = (0,)) -> list[tuple[int, int]]:
    return [(t.start, t.stop) for t in post_process_tracks(observations, cuts, settings=SETTINGS)[0]]


def test_nothing_seen_gives_nothing() -> None:
    assert post_process_tracks([], [0], settings=SETTINGS) == ([], [])


def test_the_order_of_observations_does_not_matter() -> None:
    observations = seen(range(20), 0) + seen(range(20), 1, x=300)
    first, again = (post_process_tracks(o, [0], settings=SETTINGS)[0] for o in (observations, observations[::-1]))
    assert [t.to_json() for t in first] == [t.to_json() for t in again]
    assert [t.landmarks[0, 0, 0] < 200 for t in first] == [True, False]


def test_fragments_of_a_walking_face_are_linked_and_bridged() -> None:
    ((track,), left) = post_process_tracks(
        seen(range(20), 0, speed=3) + seen(range(28, 50), 1, speed=3), [0], settings=SETTINGS
    )
    assert (track.start, track.stop, left) == (0, 50, [])
    assert np.flatnonzero(~track.observed).tolist() == list(range(20, 28))
    centres = track.landmarks.mean(axis=1)
    np.testing.assert_allclose(centres[:, 0], 100 + 3 * np.arange(50), atol=0.5)


def test_longer_absences_are_not_linked() -> None:
    assert spans(seen(range(20), 0) + seen(range(33, 50), 1)) == [(0, 20), (33, 50)]
    assert spans(seen(range(20), 0) + seen(range(32, 50), 1)) == [(0, 50)]


def test_nothing_is_linked_over_a_cut() -> None:
    observations = seen(range(20), 0) + seen(range(20, 40), 1)
    assert spans(observations, (0, 20)) == [(0, 20), (20, 40)]
    assert spans(seen(range(40), 0), (0, 20)) == [(0, 20), (20, 40)]


def test_a_face_elsewhere_or_of_another_size_is_another_face() -> None:
    assert spans(seen(range(20), 0) + seen(range(22, 40), 1, x=200)) == [(0, 20), (22, 40)]
    assert spans(seen(range(20), 0) + seen(range(22, 40), 1, side=110)) == [(0, 20), (22, 40)]


def test_a_face_that_looks_different_is_another_face() -> None:
    first = seen(range(20), 0, look=RED)
    assert spans(first + seen(range(22, 40), 1, look=BLUE)) == [(0, 20), (22, 40)]
    assert spans(first + seen(range(22, 40), 1, look=RED)) == [(0, 40)]


def test_appearance_decides_who_comes_out_from_behind_whom() -> None:
    before = seen(range(20), 0, x=100, look=RED) + seen(range(20), 1, x=130, look=BLUE)
    after = seen(range(24, 40), 2, x=126, look=RED) + seen(range(24, 40), 3, x=103, look=BLUE)
    tracks, _ = post_process_tracks(before + after, [0], settings=SETTINGS)
    moved = [float(t.landmarks[-1, 0, 0] - t.landmarks[0, 0, 0]) for t in tracks]
    np.testing.assert_allclose(moved, [26, -27], atol=2)


def test_two_tracks_on_one_face_become_one() -> None:
    assert spans(seen(range(30), 0) + seen(range(20, 50), 1, x=103)) == [(0, 50)]


def test_a_face_bridged_behind_another_is_not_shown_on_it() -> None:
    behind = seen(range(20), 0, speed=4) + seen(range(30, 50), 1, speed=4)
    before = seen(range(50), 2, x=200, side=60)
    tracks, left = post_process_tracks(behind + before, [0], settings=SETTINGS)
    assert [(t.start, t.stop) for t in tracks] == [(0, 50), (0, 50)]
    hidden = [frame for frame in range(50) if tracks[0].shown_at(frame) == 0]
    apart = np.abs(100 + 4 * np.arange(50) - 200)
    assert hidden == [frame for frame in range(20, 30) if apart[frame] < 0.4 * 50]
    assert [tracks[1].shown_at(frame) for frame in range(50)] == [1.0] * 50
    assert [(a.start, a.stop, a.reason) for a in left] == [(hidden[0], hidden[-1] + 1, "hidden by another face")]
    shares = [tracks[0].shown_at(frame) for frame in range(50)]
    assert max(abs(b - a) for a, b in pairwise(shares)) < 0.21


def test_a_small_face_bridged_behind_a_large_one_is_hidden_all_over_it() -> None:
    behind = seen(range(20), 0, side=30, speed=4) + seen(range(30, 50), 1, side=30, speed=4)
    tracks, _ = post_process_tracks(behind + seen(range(50), 2, x=200, side=100), [0], settings=SETTINGS)
    (small,) = [track for track in tracks if not track.observed.all()]
    assert [frame for frame in range(50) if small.shown_at(frame) == 0] == list(range(20, 30))


def test_one_observation_lost_to_noise_does_not_move_the_face() -> None:
    observations = seen(range(40), 0)
    points = (FACE * 50 + [118.0, 120.0]).astype(np.float32)
    detection = Detection(box_from_landmarks(points), points, np.ones(5, np.float32), 0.9)
    observations[20] = Observation(20, 0, detection, True)
    (track,) = post_process_tracks(observations, [0], settings=SETTINGS)[0]
    np.testing.assert_allclose(track.landmarks.mean(axis=1)[:, 0], 100, atol=0.5)


def test_what_is_left_alone_says_why() -> None:
    observations = (
        seen(range(2), 0)
        + seen(range(20), 1, x=200, side=20)
        + seen(range(20), 2, x=300, score=0.4)
        + seen(range(0, 41, 8), 3, x=400)
    )
    tracks, left = post_process_tracks(observations, [0], settings=SETTINGS)
    assert tracks == []
    assert sorted(alone.reason for alone in left) == [
        "too short: 2 frames of at least 3",
        "too small: 20 pixels of at least 24",
        "too uncertain: mean score 0.40 of at least 0.5",
        "too uncertain: seen in only 6 of 41 frames",
    ]
    small = next(alone for alone in left if "small" in alone.reason)
    assert (small.start, small.stop) == (0, 20)
    np.testing.assert_allclose(small.centre, (200, 120), atol=0.1)


def test_left_alone_survives_json() -> None:
    alone = SkippedFace(3, 9, (100.0, 50.5), 20.3, "too small")
    assert SkippedFace.from_json(alone.to_json()) == alone


def test_bridging_is_linear() -> None:
    values = np.array([[0.0, 1.0], [4.0, 5.0]])
    np.testing.assert_allclose(
        bridge(np.array([2, 6]), values, np.arange(2, 7)), np.stack([np.arange(5.0), np.arange(5.0) + 1], 1)
    )


def test_a_track_inside_a_face_is_none() -> None:
    whole, part = seen(range(30), 0, side=150), seen(range(4, 30), 1, side=40, score=0.7)
    ((track,), left) = post_process_tracks(whole + part, [0], settings=SETTINGS)
    assert track.size > 100 and left == []


def test_a_face_that_returns_within_a_shot_is_known_again() -> None:
    observations = seen(range(20), 0, look=RED) + seen(range(60, 80), 1, x=300, look=RED)
    tracks = post_process_tracks(observations, [0], settings=SETTINGS)[0]
    assert [(t.number, t.identity) for t in tracks] == [(1, 1), (2, 1)]
    other = seen(range(20), 0, look=RED) + seen(range(60, 80), 1, x=300, look=BLUE)
    assert [t.identity for t in post_process_tracks(other, [0], settings=SETTINGS)[0]] == [1, 2]
    assert [t.identity for t in post_process_tracks(observations, [0, 40], settings=SETTINGS)[0]] == [1, 2]


@pytest.mark.parametrize("length", [1, 2])
def test_a_track_that_fills_its_shot_is_never_too_short(length: int) -> None:
    observations = seen(range(length), 0)
    ((track,), skipped) = post_process_tracks(observations, [0], settings=SETTINGS, frame_count=length)
    assert (track.start, track.stop, skipped) == (0, length, [])
    tracks, (face,) = post_process_tracks(observations, [0], settings=SETTINGS, frame_count=length + 1)
    assert tracks == [] and face.reason == f"too short: {length} frames of at least 3"


def test_a_short_shot_inside_a_video_is_filled_too() -> None:
    observations = seen(range(10, 12), 0)
    ((track,), _) = post_process_tracks(observations, [0, 10, 12], settings=SETTINGS, frame_count=30)
    assert (track.start, track.stop) == (10, 12)
