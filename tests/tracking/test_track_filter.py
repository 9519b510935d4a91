"""Faces that are left alone, and those that fade while they are turned away."""

from dataclasses import replace

import numpy as np
import pytest

from dynface_video.config import DetectionSettings
from dynface_video.faces.align import TEMPLATE_512
from dynface_video.faces.detection.detector import Detection
from dynface_video.faces.landmarks import box_from_landmarks, face_square
from dynface_video.tracking.focus import Focus
from dynface_video.tracking.observation import FaceTrack, Observation, SkippedFace
from dynface_video.tracking.post_processing import post_process_tracks
from dynface_video.tracking.track_filter import shown_while_turning, turn_of

HEAD = np.array([[-1, -1, 0], [1, -1, 0], [0, 0, 1.0], [-0.8, 1, 0], [0.8, 1, 0]]) * 30
"""Five points of a head in space, the nose half the eyes' distance before them."""
SETTINGS = DetectionSettings()


def head(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.column_stack([c * HEAD[:, 0] + s * HEAD[:, 2], HEAD[:, 1]]) + 100


def observed(
    turns: list[float], *, deviation: float = 1.0, brightness: float = 0.4, known: list[bool] | None = None
) -> list[Observation]:
    look = np.concatenate([np.full(64, 1 / 8), [0.1, 0.0, brightness]]).astype(np.float32)
    seen = []
    for frame, turn in enumerate(turns):
        points = head(turn).astype(np.float32)
        face = Detection(box_from_landmarks(points), points, np.full(5, deviation, np.float32), 0.9)
        sure = known is None or known[frame]
        seen.append(Observation(frame, 0, face, sure, look, not sure))
    return seen


def finished(observations: list[Observation]) -> tuple[list[FaceTrack], list[SkippedFace]]:
    return post_process_tracks(observations, [0], settings=SETTINGS)


@pytest.mark.parametrize("degrees", [-70, -30, 0, 45, 80])
def test_the_turn_of_a_head_is_read_off_its_landmarks(degrees: float) -> None:
    assert turn_of(head(degrees)) == pytest.approx(abs(degrees), abs=6)


def test_the_turn_does_not_depend_on_where_up_is() -> None:
    sideways = head(40) @ np.array([[0, 1], [-1, 0]])
    assert turn_of(sideways) == pytest.approx(float(turn_of(head(40))), abs=1e-6)
    assert turn_of(np.stack([TEMPLATE_512] * 3)).shape == (3,)


def test_a_face_in_profile_is_left_alone() -> None:
    tracks, (left,) = finished(observed([80.0] * 20))
    assert tracks == [] and (left.start, left.stop) == (0, 20)
    assert left.reason.startswith("seen from the side: turned by 7") or "turned by 8" in left.reason


def test_a_face_that_turns_away_fades_and_comes_back() -> None:
    turns = [0.0] * 15 + [*np.linspace(0, 85, 10)] + [85.0] * 10 + [*np.linspace(85, 0, 10)] + [0.0] * 15
    ((track,), (left,)) = finished(observed(turns))
    assert track.shown is not None and (track.start, track.stop) == (0, 60)
    assert (track.shown[:15] == 1).all() and (track.shown[-15:] == 1).all() and (track.shown[26:34] == 0).all()
    assert np.abs(np.diff(track.shown)).max() < 1.0
    assert left.start > 15 and left.stop < 45 and left.reason.startswith("seen from the side")


def test_what_is_shown_falls_with_the_turn() -> None:
    shown = [shown_while_turning(np.stack([head(t)] * 5), 60.0).mean() for t in (0, 57, 80)]
    assert shown[0] == 1 and 0 < shown[1] < 1 and shown[2] == 0


def test_blurred_and_dark_faces_are_left_alone_with_the_reason() -> None:
    side = face_square(head(0)).side
    assert finished(observed([0.0] * 9))[1] == []
    (blurred,) = finished(observed([0.0] * 9, deviation=0.1 * side))[1]
    assert blurred.reason == "too blurred: landmarks uncertain by 10.0 % of its side, 6 % at most"
    (dark,) = finished(observed([0.0] * 9, brightness=0.03))[1]
    assert dark.reason == "too dark: brightness 0.030 of at least 0.06"


def test_what_the_detector_hardly_knows_is_left_alone() -> None:
    (left,) = finished(observed([0.0] * 10, known=[True] + [False] * 9))[1]
    assert left.reason == "too uncertain: confirmed by 1 of 10 detections"
    assert finished(observed([0.0] * 10, known=[True] * 5 + [False] * 5))[1] == []


def test_tracks_remember_what_is_shown_in_json() -> None:
    ((track,), _) = finished(observed([0.0] * 20 + [*np.linspace(0, 80, 10)] + [80.0] * 10))
    again = FaceTrack.from_json(track.to_json())
    assert again.shown is not None and track.shown is not None
    np.testing.assert_allclose(again.shown, track.shown, atol=0.006)
    assert again.shown_at(0) == 1 and again.shown_at(39) == 0


def focused(track: int, focus: Focus, *, side: float = 1.0, x: float = 0.0) -> list[Observation]:
    seen = []
    for one in observed([0.0] * 9):
        points = ((one.detection.landmarks - 100) * side + 100 + [x, 0]).astype(np.float32)
        face = replace(one.detection, landmarks=points, box=box_from_landmarks(points))
        seen.append(replace(one, track=track, detection=face, focus=focus))
    return seen


SHARP, BLURRED = Focus(0.01, 0.01), Focus(0.08, 0.06)


def test_a_face_far_more_blurred_than_its_surroundings_is_skipped() -> None:
    tracks, (face,) = finished(focused(0, Focus(0.06, 0.01)))
    assert tracks == [] and face.reason == "out of focus: 6.0 times as blurred as its surroundings"
    assert finished(focused(0, Focus(0.02, 0.004)))[1] == []
    assert finished(focused(0, Focus(0.06, None)))[1] == []


def test_a_face_far_more_blurred_than_the_main_face_is_skipped() -> None:
    (main,), (face,) = finished(focused(0, SHARP, side=1.5) + focused(1, BLURRED, x=400))
    assert main.number == 1 and face.reason == "out of focus: 5.3 times as blurred as the main face"
    assert finished(focused(0, BLURRED, side=1.5) + focused(1, BLURRED, x=400))[1] == []


def test_the_main_face_is_not_skipped_for_being_blurred_among_sharp_ones() -> None:
    tracks, skipped = finished(focused(0, BLURRED, side=1.5) + focused(1, SHARP, x=400))
    assert len(tracks) == 2 and skipped == []


def test_faces_out_of_focus_are_restored_when_asked() -> None:
    settings = SETTINGS.model_copy(update={"skip_blurred_background": False})
    tracks, skipped = post_process_tracks(focused(0, Focus(0.06, 0.01)), [0], settings=settings)
    assert len(tracks) == 1 and skipped == []
