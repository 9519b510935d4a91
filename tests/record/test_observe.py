"""Pictures and measures that are taken while frames pass by."""

from __future__ import annotations

import io
import time as clock
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image

from dynface_video.faces.align import template
from dynface_video.record import observe as observing
from dynface_video.record.measure import FaceReaders, RunCrops, RunMeasures, landmark_motion, measure_run
from dynface_video.record.moments import Excerpt, Moments, Run
from dynface_video.record.pictures import ExcerptWriter, close_up_box, fitted, jpeg, square_around
from identity import FACE, FoundFace
from made_records import made_analysis, made_track


def noise(seed: int, size: int = 96) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8)


def test_an_excerpt_holds_the_source_above_and_the_output_below_at_their_times(tmp_path: Path) -> None:
    writer = ExcerptWriter(tmp_path / "a.mp4", None, 64, Fraction(25))
    times = [Fraction(0), Fraction(1, 25), Fraction(7, 25)]
    for k, at in enumerate(times):
        writer.add(np.full((48, 64, 3), 60 + 20 * k, np.uint8), np.full((48, 64, 3), 160, np.uint8), at)
    done = writer.close()
    assert (done.width, done.height) == (64, 48) and done.seconds == pytest.approx(8 / 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [frame.pts * frame.time_base for frame in frames] == times
    last = frames[-1].to_ndarray(format="rgb24").astype(int)
    assert abs(last[:44].mean() - 100) < 4 and abs(last[52:].mean() - 160) < 4


@pytest.mark.parametrize("shape", [(9, 7), (333, 77), (40, 1000)])
def test_excerpts_of_any_shape_are_even_and_bounded(shape: tuple[int, int], tmp_path: Path) -> None:
    writer = ExcerptWriter(tmp_path / "a.mp4", None, 320, Fraction(25))
    for k in range(2):
        writer.add(np.zeros((*shape, 3), np.uint8), np.zeros((*shape, 3), np.uint8), Fraction(k, 25))
    done = writer.close()
    assert done.width % 2 == done.height % 2 == 0 and min(done.width, done.height) >= 16
    assert max(done.width, done.height) <= 320


def test_a_square_stays_inside_the_picture() -> None:
    assert square_around((50, 40), 20, 100, 80) == (40, 30, 60, 50)
    assert square_around((2, 79), 20, 100, 80) == (0, 60, 20, 80)
    assert square_around((50, 40), 500, 100, 80) == (0, 0, 100, 80)


def test_a_close_up_holds_the_face_in_every_frame() -> None:
    analyzed = made_track(0, 10, 50, side=40)
    x0, y0, x1, y1 = close_up_box(analyzed, 20, 60, 640, 480)
    points = analyzed.track.landmarks[10:]
    assert x0 < points[..., 0].min() and points[..., 0].max() < x1
    assert y0 < points[..., 1].min() and points[..., 1].max() < y1


def test_pictures_are_reduced_and_never_enlarged() -> None:
    assert fitted(noise(0), 48).shape == (48, 48, 3) and fitted(noise(0), 500).shape == (96, 96, 3)
    assert Image.open(io.BytesIO(jpeg(noise(0), (10, 10, 50, 30), 100))).size == (40, 20)


def test_a_face_that_was_not_changed_has_equal_measures_before_and_after() -> None:
    landmarks = template(96)
    crops = RunCrops.of(landmarks)
    for k in range(3):
        crops.add(noise(k), noise(k), landmarks)
    found = measure_run(4, 10, crops, FaceReaders(FoundFace((64, 64))))
    assert (found.track, found.start, found.stop) == (4, 10, 13)
    assert found.invented == pytest.approx(0, abs=1e-6)
    assert found.flicker[0] == found.flicker[1] > 0 and found.landmark_motion == (0, 0)


def test_what_was_drawn_in_place_of_the_source_is_invented() -> None:
    landmarks = template(96)
    crops = RunCrops.of(landmarks)
    for k in range(3):
        crops.add(noise(k), noise(k + 50), landmarks)
    assert measure_run(0, 0, crops, FaceReaders(FoundFace((64, 64)))).invented > 0.9


class MeanColour:
    """Tells faces apart by their mean colour."""

    name, same_person, same_picture = "mean colour", 0.5, 0.5

    def embed(self, picture: np.ndarray, landmarks: Sequence[np.ndarray]) -> np.ndarray:
        means = np.repeat(picture.mean(axis=(0, 1))[None], len(landmarks), axis=0)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def test_identity_is_compared_in_the_middle_of_the_run() -> None:
    landmarks, crops = template(96), RunCrops(128)
    red, blue = (np.full((96, 96, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    for output in (blue, red, blue):
        crops.add(red, output, landmarks)
    readers = FaceReaders(FoundFace((64, 64)), MeanColour())
    assert measure_run(0, 0, crops, readers).identity == pytest.approx(1)
    crops.output[1] = crops.output[0]
    assert measure_run(0, 0, crops, readers).identity == pytest.approx(0, abs=1e-6)


def test_landmarks_that_move_are_measured_in_percent_of_the_eye_distance() -> None:
    class Moving:
        def __init__(self) -> None:
            self.calls = 0

        def locate(self, picture: np.ndarray, boxes: np.ndarray) -> object:
            self.calls += 1
            return FoundFace((40 + 3 * self.calls, 40)).locate(picture, boxes)

    eyes = float(np.linalg.norm(np.diff(template(128)[:2], axis=0)))
    crops = np.zeros((4, 128, 128, 3), np.float32)
    assert landmark_motion(crops, Moving()) == pytest.approx(100 * 3 / eyes, rel=1e-3)  # type: ignore[arg-type]
    assert len(FACE) == 5


def test_few_pairs_wait_to_be_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    count, written, waiting = 24, list[int](), list[int]()

    class SlowWriter(ExcerptWriter):
        def add(self, source: np.ndarray, output: np.ndarray, time: Fraction) -> None:
            clock.sleep(0.01)
            super().add(source, output, time)
            written.append(len(written))

    def pairs() -> Iterator[observing.FramePair]:
        for index in range(count):
            waiting.append(index - len(written))
            yield observing.FramePair(index, noise(0), noise(1))

    monkeypatch.setattr(observing, "ExcerptWriter", SlowWriter)
    info = SimpleNamespace(display=SimpleNamespace(width=96, height=96), frame_rate=Fraction(25))
    moments = Moments((Excerpt(0, count),), (), (), {}, {})
    analysis = made_analysis([made_track(1, 0, count)], count, 1)
    record = observing.observe(pairs(), moments, analysis, info, FaceReaders(FoundFace((64, 64))), {})  # type: ignore[arg-type]
    assert len(written) == count and len(record.excerpts) == 1
    assert 1 < max(waiting) <= observing.PAIRS_AHEAD + 1


def test_few_runs_wait_to_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = 16
    monkeypatch.setattr(observing, "RUNS_AHEAD", 3)
    measured, waiting = list[int](), list[int]()

    def slow(track: int, start: int, crops: RunCrops, readers: FaceReaders) -> RunMeasures:
        clock.sleep(0.05)
        measured.append(start)
        return measure

    def pairs() -> Iterator[observing.FramePair]:
        for index in range(2 * runs):
            waiting.append(index // 2 - len(measured))
            yield observing.FramePair(index, picture, picture)

    crops = RunCrops.of(template(96))
    for seed in range(2):
        crops.add(noise(seed), noise(seed), template(96))
    measure, picture = measure_run(1, 0, crops, FaceReaders(FoundFace((64, 64)))), noise(0)
    monkeypatch.setattr(observing, "measure_run", slow)
    moments = Moments((), tuple(Run(1, start, start + 2) for start in range(0, 2 * runs, 2)), (), {}, {})
    analysis = made_analysis([made_track(1, 0, 2 * runs)], 2 * runs, 1)
    readers, info = FaceReaders(FoundFace((64, 64))), SimpleNamespace(display=SimpleNamespace(width=96, height=96))
    record = observing.observe(pairs(), moments, analysis, info, readers, {})  # type: ignore[arg-type]
    assert len(record.measures) == runs and measured == sorted(measured)
    assert 1 < max(waiting) <= 3 + 1


def test_measures_are_read_back_as_written() -> None:
    found = RunMeasures(3, 10, 19, 0.25, (1.5, 1.25), (2.0, 1.0), 0.75)
    assert RunMeasures.from_json(found.to_json()) == found
    without = RunMeasures(3, 10, 19, 0.25, (1.5, 1.25), (2.0, 1.0))
    assert RunMeasures.from_json(without.to_json()) == without
