"""What a face becomes depends on its neighbours in its shot, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest

from dynface_video.config import RestorationSettings
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.faces.colour import LUMINANCE
from dynface_video.faces.detection.detector import Detection
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analysis import AnalyzedTrack
from dynface_video.passes.analyze import LevelReader, noise_numbers
from dynface_video.pipeline import FaceRestorer, RestoredFaces
from dynface_video.tracking.observation import FaceTrack, Observation
from dynface_video.video_pipeline import (
    DETAIL_RADIUS,
    WINDOWS_AT_ONCE,
    FaceAt,
    FacesInTime,
    ShownFace,
    reach,
)

SIZE, LENGTH = 32, 24
RNG = np.random.default_rng(0)
FACE = RNG.random((SIZE, SIZE, 3), dtype=np.float32) * 0.4 + 0.3
CROPS = [np.clip(FACE + RNG.normal(0, 0.02, FACE.shape), 0, 1).astype(np.float32) for _ in range(LENGTH)]
POINTS = np.array([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]], np.float32)


@dataclass
class Tracing:
    """Means over windows in place of RM, and a sampler that adds to each face what its noise key says."""

    settings: RestorationSettings
    window_radius: int = 1
    has_cascade: bool = True
    resolution: int = SIZE
    windows: list[int] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)
    keys: list[NoiseKey] = field(default_factory=list)

    def detail(self, faces: np.ndarray, keys: Sequence[NoiseKey]) -> tuple[np.ndarray, int]:
        noise = [np.random.default_rng(key.frame).normal(0, 0.1, (2 * SIZE, 2 * SIZE, 3)) for key in keys]
        return np.array(noise, np.float32), 3 * len(faces)

    def restoration(self, crops: np.ndarray, windows: Sequence[np.ndarray]) -> np.ndarray:
        self.windows += [len(window) for window in windows]
        self.calls.append(len(windows))
        means = [np.concatenate([crop[None], window]).mean(axis=0) for crop, window in zip(crops, windows, strict=True)]
        return np.stack(means)

    def estimate(self, crops: np.ndarray, windows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        self.windows += [len(window) for window in windows]
        return np.ones(len(crops)), np.ones(len(crops))

    def sample(self, estimates: np.ndarray, levels: Any, steps: Any, keys: Sequence[NoiseKey]) -> RestoredFaces:
        self.keys += keys
        return RestoredFaces(np.clip(estimates + 0.01, 0, 1), len(estimates))


def tracing(**changes: Any) -> Tracing:
    return Tracing(RestorationSettings(**changes))


def track(number: int = 0, start: int = 0, length: int = LENGTH) -> FaceTrack:
    points = np.repeat(POINTS[None], length, axis=0)
    return FaceTrack(number, start, points, np.ones(length, bool), np.ones(length, np.float32))


def analyzed(one: FaceTrack, level: float = 1.0) -> AnalyzedTrack:
    length = one.stop - one.start
    return AnalyzedTrack(one, np.full(length, level), np.ones(length, np.int64), grey=False, noise=5)


def restore(restorer: Tracing, one: AnalyzedTrack, start: int, stop: int, *, block: int) -> list[np.ndarray]:
    """Frames start .. stop - 1 in blocks, given only the halo they may depend on."""
    far = reach(cast(FaceRestorer, restorer))
    faces = FacesInTime(cast(FaceRestorer, restorer), {0: one}, seed=3)
    shown: list[np.ndarray] = []
    seen = max(0, start - far)
    for first in range(start, stop, block):
        last = min(first + block, stop)
        while seen < min(last + far, LENGTH):
            faces.see(FaceAt(0, seen), CROPS[seen])
            seen += 1
        shown += [face.picture for face in faces.shown([FaceAt(0, at) for at in range(first, last)])]
        faces.forget({0: last})
    return shown


@pytest.mark.parametrize("cuts", [[0, 24], [0, 7, 15, 24], [0, 3, 7, 10, 14, 17, 21, 24]])
def test_segments_make_what_the_whole_makes(cuts: list[int]) -> None:
    whole = restore(tracing(), analyzed(track()), 0, LENGTH, block=LENGTH)
    parts = [
        face for start, stop in pairwise(cuts) for face in restore(tracing(), analyzed(track()), start, stop, block=5)
    ]
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_fresh_noise_of_the_source_is_drawn_out_and_the_face_stays() -> None:
    def spread(faces: Sequence[np.ndarray]) -> float:
        return float(np.std(faces, axis=0).mean())

    alone = restore(Tracing(RestorationSettings(temporal_radius=0), window_radius=0), analyzed(track()), 0, 24, block=8)
    together = restore(tracing(), analyzed(track()), 0, 24, block=8)
    assert spread(together) < 0.4 * spread(alone)
    change = np.mean(together, axis=0) - np.mean(alone, axis=0)
    # The less noise there is, the less of the chroma is taken for noise.
    assert np.abs(change @ LUMINANCE).mean() < 0.003 and np.abs(change).mean() < 0.02


def test_the_sharper_a_face_is_the_less_it_is_drawn() -> None:
    spreads = []
    for level in (0.0, 0.1, 1.0):
        shown = restore(tracing(), analyzed(track(), level), 0, LENGTH, block=8)
        spreads.append(float(np.std(shown, axis=0).mean()))
    assert spreads[0] > spreads[1] > spreads[2]


def test_strength_and_radius_of_nothing_leave_every_frame_to_itself() -> None:
    for none in ({"temporal_radius": 0}, {"temporal_weight": 0.0}):
        restorer = Tracing(RestorationSettings(**none), window_radius=0)
        assert reach(cast(FaceRestorer, restorer)) == 0
        alone = restore(restorer, analyzed(track()), 4, 5, block=1)
        np.testing.assert_array_equal(alone, restore(restorer, analyzed(track()), 0, 24, block=24)[4:5])


def test_windows_are_smaller_at_the_ends_of_a_track_and_over_gaps() -> None:
    one = track()
    one.observed[12] = False
    restorer = Tracing(RestorationSettings(temporal_radius=0), window_radius=2)
    restore(restorer, analyzed(one), 0, LENGTH, block=8)
    assert restorer.windows[:3] == [2, 3, 4] and restorer.windows[-3:] == [4, 3, 2]
    assert restorer.windows[10:15] == [3, 3, 4, 3, 3]


def test_a_crowd_is_read_a_few_windows_at_a_time() -> None:
    restorer = tracing()
    tracks = {number: analyzed(track(number)) for number in range(4)}
    faces = FacesInTime(cast(FaceRestorer, restorer), tracks, seed=0)
    everyone = [FaceAt(number, at) for number in tracks for at in range(LENGTH)]
    for face in everyone:
        faces.see(face, CROPS[face.at])
    assert len(faces.shown(everyone)) == sum(restorer.calls) == 4 * LENGTH
    assert max(restorer.calls) <= WINDOWS_AT_ONCE


def test_noise_is_told_the_face_the_frame_and_the_correlation() -> None:
    restorer = tracing(noise_correlation=0.5, temporal_radius=0)
    restore(restorer, analyzed(track()), 2, 4, block=2)
    assert restorer.keys == [NoiseKey(3, 5, 2, 0.5), NoiseKey(3, 5, 3, 0.5)]


def detailed(restorer: Tracing, start: int, stop: int, shares: Sequence[float], *, block: int) -> list[ShownFace]:
    """Frames start .. stop - 1 in blocks, given only the halo they may depend on; shares: of detail, of every frame."""
    far, shown, seen = reach(cast(FaceRestorer, restorer)), list[ShownFace](), 0
    faces = FacesInTime(cast(FaceRestorer, restorer), {0: analyzed(track())}, seed=0)
    seen = max(0, start - far)
    for first in range(start, stop, block):
        last = min(first + block, stop)
        while seen < min(last + far, LENGTH):
            faces.see(FaceAt(0, seen), CROPS[seen], shares[seen])
            seen += 1
        shown += faces.shown([FaceAt(0, at) for at in range(first, last)])
        faces.forget({0: last})
    return shown


def test_faces_with_a_share_of_detail_get_it_and_no_others() -> None:
    shares = [0.0] * 2 + [0.5] + [0.0] * 2 + [1.0] + [0.0] * (LENGTH - 6)
    restorer = tracing(temporal_radius=0)
    shown = detailed(restorer, 0, 7, shares, block=3)
    assert [face.detail is None for face in shown] == [True, True, False, True, True, False, True]
    assert [face.detail_weight for face in shown] == shares[:7]


def test_detail_is_drawn_along_the_flow_and_its_share_is_smooth() -> None:
    shares = [1.0, 0.0] * (LENGTH // 2)
    alone, together = (
        detailed(tracing(noise_correlation=0.5, temporal_radius=radius), 8, 16, shares, block=8) for radius in (0, 4)
    )
    steadiness = [
        np.std([face.detail for face in shown if face.detail is not None], axis=0).mean() for shown in (alone, together)
    ]
    assert steadiness[1] < 0.4 * steadiness[0]
    assert all(0.4 < face.detail_weight < 0.6 for face in together)


@pytest.mark.parametrize("block", [1, 2, 5])
def test_detail_is_the_same_in_every_segment(block: int) -> None:
    shares = np.random.default_rng(1).choice([0.0, 1.0], LENGTH, p=[0.7, 0.3]).tolist()
    restorer = tracing(noise_correlation=0.5, temporal_radius=2)
    assert reach(cast(FaceRestorer, restorer)) < 9
    whole = detailed(restorer, 0, LENGTH, shares, block=LENGTH)
    parts = [
        face
        for start, stop in pairwise((0, 9, 14, LENGTH))
        for face in detailed(restorer, start, stop, shares, block=block)
    ]
    assert len(parts) == LENGTH
    for one, other in zip(whole, parts, strict=True):
        assert one.detail_weight == pytest.approx(other.detail_weight)
        assert (one.detail is None) == (other.detail is None)
        if one.detail is not None and other.detail is not None:
            np.testing.assert_allclose(one.detail, other.detail, atol=1e-6)


def test_without_a_second_stage_fewer_frames_are_needed() -> None:
    restorer, without = tracing(), tracing()
    without.has_cascade = False
    assert reach(cast(FaceRestorer, restorer)) == reach(cast(FaceRestorer, without)) + DETAIL_RADIUS


def test_nothing_is_kept_that_no_face_will_need() -> None:
    faces = FacesInTime(cast(FaceRestorer, tracing(temporal_radius=2)), {0: analyzed(track())}, seed=0)
    for at in range(LENGTH):
        faces.see(FaceAt(0, at), CROPS[at], 1.0)
    faces.shown([FaceAt(0, at) for at in range(10)])
    faces.forget({0: 10})
    far = reach(faces.restorer)
    assert far == 1 + 2 * 2 + 2
    assert min(face.at for face in faces._crops) == 10 - far
    assert min(face.at for face in faces._faces) == 10 - 4
    assert min(face.at for face in faces._details) == min(face.at for face in faces._shown) == 10 - 2
    assert min(face.at for face in faces._motions) == 10


def test_a_shot_has_the_same_noise_wherever_it_stands() -> None:
    alone = [track(0, 0, 10), track(1, 2, 5)]
    joined = [track(0, 0, 8), track(1, 20, 10), replace(track(2, 22, 5), face=1)]
    assert noise_numbers(alone, [Shot(0, 10)]) == [0, 1]
    assert noise_numbers(joined, [Shot(0, 20), Shot(20, 30)]) == [0, 0, 0]


def test_levels_are_read_with_the_window_that_the_crop_will_be_restored_with() -> None:
    restorer = Tracing(RestorationSettings(), window_radius=2)
    reader = LevelReader(cast(FaceRestorer, restorer), interval=3)
    picture = np.zeros((64, 64, 3), np.uint8)
    for index in range(8):
        seen = Detection(np.zeros(4, np.float32), POINTS + 16, np.ones(5, np.float32), 1.0)
        reader.see(index, picture, [Observation(index, 0, seen, detected=True)])
    reader.flush()
    assert [reading.frame for reading in reader.readings] == [0, 3, 6]
    assert restorer.windows == [2, 4, 3]
    assert sum(map(len, reader._crops.values())) <= 2 * restorer.window_radius
