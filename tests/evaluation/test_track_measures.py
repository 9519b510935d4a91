"""Measures of tracks on clips whose truth is known, and the clips themselves."""

from dataclasses import replace

import numpy as np
import pytest

from dynface_video.faces.align import TEMPLATE_512
from dynface_video.tracking.observation import FaceTrack, face_side
from evaluation.face_scenes import HEIGHT, WIDTH, Head, degraded_clip, make_scene
from evaluation.track_measures import jitter, lies_on, score_tracks

FACE = (TEMPLATE_512 - TEMPLATE_512.mean(axis=0)) / face_side(TEMPLATE_512) * 50
TRUTH = np.stack(
    [np.stack([FACE + np.array([100 + 4 * t, 100]), FACE + np.array([340 - 4 * t, 100])]) for t in range(60)]
)
SEEN = np.ones((60, 2), bool)


def track(points: np.ndarray, start: int = 0) -> FaceTrack:
    length = len(points)
    return FaceTrack(0, start, points.astype(np.float32), np.ones(length, bool), np.ones(length, np.float32))


def test_perfect_tracks() -> None:
    scores = score_tracks([track(TRUTH[:, 0]), track(TRUTH[:, 1])], TRUTH, SEEN, [0])
    assert (scores.coverage, scores.switches, scores.fragments, scores.wrong) == (1.0, 0, 0, 0)
    assert scores.error < 1e-6


def test_tracks_that_swap_at_a_crossing_are_counted() -> None:
    swapped = [np.concatenate([TRUTH[:30, i], TRUTH[30:, 1 - i]]) for i in (0, 1)]
    scores = score_tracks([track(points) for points in swapped], TRUTH, SEEN, [0])
    assert (scores.coverage, scores.switches) == (1.0, 2)


def test_holes_fragments_and_wrong_tracks_are_counted() -> None:
    tracks = [
        track(TRUTH[:20, 0]),
        track(TRUTH[40:, 0], 40),
        track(TRUTH[:, 1]),
        track(TRUTH[:10, 0] + np.array([0, 150])),
    ]
    scores = score_tracks(tracks, TRUTH, SEEN, [0])
    assert scores.coverage == pytest.approx(100 / 120, abs=0.06)
    assert (scores.switches, scores.fragments, scores.wrong) == (0, 1, 1)
    assert score_tracks(tracks[:3], TRUTH, SEEN, [0, 30]).fragments == 0


def test_two_shown_on_one_face_are_a_double() -> None:
    whole, late = track(TRUTH[:, 0]), track(TRUTH[50:, 0] + 3, 50)
    assert score_tracks([whole, track(TRUTH[:20, 1])], TRUTH, SEEN, [0]).doubles == 0
    assert score_tracks([whole, late], TRUTH, SEEN, [0]).doubles == 10
    faded = replace(late, shown=np.repeat(np.array([0, 1], np.float32), 5))
    assert score_tracks([whole, faded], TRUTH, SEEN, [0]).doubles == 5


def test_jitter_is_in_pixels_of_the_crop() -> None:
    noise = np.random.default_rng(0).normal(0, 0.5, (400, 5, 2))
    face = TEMPLATE_512 / 4
    assert jitter(face + noise) == pytest.approx(0.5 * np.sqrt(2) * 2, rel=0.1)


@pytest.mark.parametrize("kind", ["moving", "crossing", "occluded", "cut", "still"])
def test_made_clips_say_where_their_faces_are(kind: str) -> None:
    dotted = np.full((128, 128, 3), 200, np.uint8)
    for x, y in (TEMPLATE_512 / 4).astype(int):
        dotted[y - 3 : y + 4, x - 3 : x + 4] = 0
    heads = [Head(dotted, TEMPLATE_512 / 4 - 0.375)] * 3
    scene = make_scene(kind, heads, [np.full((90, 160, 3), 120, np.uint8)] * 2, np.random.default_rng(1), length=12)
    assert scene.frames.shape == (12, HEIGHT, WIDTH, 3) and scene.visible.any()
    assert scene.cuts == ((0, 6) if kind == "cut" else (0,))
    for t, n in zip(*np.nonzero(scene.visible), strict=True):
        x, y = scene.truth[t, n, 2].round().astype(int)
        if 0 <= x < WIDTH and 0 <= y < HEIGHT:
            assert scene.frames[t, y, x].max() < 110
    assert degraded_clip(scene.frames[:2], "medium", np.random.default_rng(0)).shape == scene.frames[:2].shape


def test_a_face_is_covered_by_landmarks_whose_middle_lies_on_it() -> None:
    faces = np.stack([FACE, FACE + np.array([300, 0])])
    assert lies_on(faces[:1] + 5, faces).tolist() == [True, False]
    assert lies_on(faces[:1] + np.array([150, 0]), faces).tolist() == [False, False]
    assert lies_on(np.zeros((0, 5, 2)), faces).tolist() == [False, False]
