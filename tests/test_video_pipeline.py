"""What a face becomes depends on its neighbours in its shot, and on nothing else."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from dynface_video import video_pipeline
from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.deferred import Deferred
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.face_records import FaceKey, FaceRecord, FaceRecords
from dynface_video.faces.colour import LUMINANCE
from dynface_video.lanes import Lanes
from dynface_video.media.timing.shots import Shot
from dynface_video.models.damage_detector import DamageDetector
from dynface_video.passes.analyze import noise_numbers
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Estimates, Stage
from dynface_video.tracking.observation import FaceTrack
from dynface_video.video_pipeline import (
    FULL_WEIGHT_LEVEL,
    LANES,
    LEAST_WEIGHT,
    REGRESSION,
    VideoPipeline,
    reach,
)
from tracing_stages import BATCH, POINTS, SIZE, Reader, trace_of, tracing

LENGTH = 24
RNG = np.random.default_rng(0)
FACE = RNG.random((SIZE, SIZE, 3), dtype=np.float32) * 0.4 + 0.3
CROPS = [np.clip(FACE + RNG.normal(0, 0.02, FACE.shape), 0, 1).astype(np.float32) for _ in range(LENGTH)]


def track(number: int = 0, start: int = 0, length: int = LENGTH) -> FaceTrack:
    points = np.repeat(POINTS[None], length, axis=0)
    return FaceTrack(number, start, points, np.ones(length, bool), np.ones(length, np.float32))


def analyzed(one: FaceTrack, level: float = 1.0, stages: int = 1) -> AnalyzedTrack:
    shape = (stages, one.stop - one.start)
    return AnalyzedTrack(one, np.full(shape, level), np.ones(shape, np.int64), grey=False, noise=5)


def crops_of(at: int, stages: int = 1) -> list[np.ndarray]:
    return [cv2.resize(CROPS[at], (SIZE << k, SIZE << k), interpolation=cv2.INTER_CUBIC) for k in range(stages)]


def restore(pipeline: FacePipeline, one: AnalyzedTrack, start: int, stop: int, *, block: int) -> list[np.ndarray]:
    """Frames start .. stop - 1 in blocks, given only the halo they may depend on."""
    far = reach(pipeline.stages)
    video = VideoPipeline(pipeline, {0: one}, seed=3)
    faces: list[np.ndarray] = []
    seen = max(0, start - far)
    for first in range(start, stop, block):
        last = min(first + block, stop)
        while seen < min(last + far, LENGTH):
            video.add(FaceKey(0, seen), crops_of(seen, one.stage_count))
            seen += 1
        faces += video.restore([FaceKey(0, at) for at in range(first, last)])
        video.discard({0: last})
    return faces


@pytest.mark.parametrize("stages", [1, 2])
@pytest.mark.parametrize(
    ("cuts", "block"), [([0, 24], 5), ([0, 7, 15, 24], 1), ([0, 7, 15, 24], 2), ([0, 3, 7, 10, 14, 17, 21, 24], 5)]
)
def test_segments_make_what_the_whole_makes(cuts: list[int], block: int, stages: int) -> None:
    one = track()
    one.observed[[5, 6, 13]] = False

    def made(start: int, stop: int, block: int) -> list[np.ndarray]:
        pipeline = tracing(stages=stages, radius=8 if stages == 1 else 4)
        return restore(pipeline, analyzed(one, stages=stages), start, stop, block=block)

    whole = made(0, LENGTH, LENGTH)
    parts = [face for start, stop in pairwise(cuts) for face in made(start, stop, block)]
    assert whole[0].shape == (SIZE * stages, SIZE * stages, 3)
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("stages", [1, 2])
def test_damage_of_single_frames_goes_whatever_the_segments(stages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clean, at, spot = list(CROPS), 11, np.s_[14:17, 4:28]
    damaged = CROPS[at].copy()
    damaged[spot] = 1
    monkeypatch.setattr(sys.modules[__name__], "CROPS", [*clean[:at], damaged, *clean[at + 1 :]])

    def made(cuts: list[int], *, remove: bool) -> list[np.ndarray]:
        pipeline = tracing(2, stages=stages, radius=2, temporal_weight=0.0, remove_damage=remove)
        one = analyzed(track(), stages=stages)
        return [face for start, stop in pairwise(cuts) for face in restore(pipeline, one, start, stop, block=4)]

    whole, kept = made([0, LENGTH], remove=True), made([0, LENGTH], remove=False)
    for a, b in zip(whole, made([0, 7, 11, 13, 24], remove=True), strict=True):
        np.testing.assert_array_equal(a, b)
    scale = 1 << (stages - 1)
    place = np.s_[spot[0].start * scale : spot[0].stop * scale, spot[1].start * scale : spot[1].stop * scale]
    wanted = cv2.resize(clean[at], (SIZE * scale, SIZE * scale), interpolation=cv2.INTER_CUBIC)[place]
    errors = [np.abs(faces[at][place] - wanted).mean() for faces in (whole, kept)]
    assert errors[0] < 0.5 * errors[1]


def test_what_crops_show_beyond_the_border_has_no_part_in_the_rest() -> None:
    inside, block = SIZE // 2, 5
    validity = np.ones((SIZE, SIZE), np.float32)
    validity[:, inside:] = 0

    def made(*, spoilt: bool, validity: np.ndarray | None) -> list[np.ndarray]:
        video = VideoPipeline(tracing(), {0: analyzed(track())}, seed=3)
        for at in range(LENGTH):
            (crop,) = crops_of(at)
            if spoilt and at % 2:
                crop[:, inside:] = at / LENGTH
            # Faces whose crop lies in the picture stand beside those whose crop does not.
            video.add(FaceKey(0, at), [crop], validity if at % 2 else None)
        wanted = [FaceKey(0, at) for at in range(LENGTH)]
        return [face for first in range(0, LENGTH, block) for face in video.restore(wanted[first : first + block])]

    def error(**how: Any) -> float:
        apart = np.stack(made(spoilt=True, **how)) - np.stack(made(spoilt=False, **how))
        return float(np.abs(apart[:, :, : inside - 6].mean(axis=(1, 2, 3))).max())

    masked, plain = error(validity=validity), error(validity=None)
    assert masked < 0.2 * plain and masked < 0.003 < plain


def test_fresh_noise_of_the_source_is_averaged_out_and_the_face_stays() -> None:
    def spread(faces: Sequence[np.ndarray]) -> float:
        return float(np.std(faces, axis=0).mean())

    single = restore(tracing(0, temporal_radius=0), analyzed(track()), 0, 24, block=8)
    together = restore(tracing(), analyzed(track()), 0, 24, block=8)
    assert spread(together) < 0.4 * spread(single)
    change = np.mean(together, axis=0) - np.mean(single, axis=0)
    # The less noise there is, the less of the chroma is taken for noise.
    assert np.abs(change @ LUMINANCE).mean() < 0.003 and np.abs(change).mean() < 0.02


def test_the_sharper_a_face_is_the_less_it_is_averaged() -> None:
    spreads = []
    for level in (0.0, 0.1 / SIZE, 1.0):
        faces = restore(tracing(), analyzed(track(), level), 0, LENGTH, block=8)
        spreads.append(float(np.std(faces, axis=0).mean()))
    assert spreads[0] > spreads[1] > spreads[2]


def test_faces_that_have_next_to_nothing_to_lose_are_not_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    averaged = video_pipeline.temporal_average
    monkeypatch.setattr(
        video_pipeline, "temporal_average", lambda x, count, *rest: calls.append(count) or averaged(x, count, *rest)
    )
    one = analyzed(track())
    one.levels[:] = FULL_WEIGHT_LEVEL * np.sqrt(0.99 * LEAST_WEIGHT)
    pipeline = tracing(0)
    alone = tracing(0, temporal_weight=0.0)
    np.testing.assert_array_equal(restore(pipeline, one, 0, LENGTH, block=8), restore(alone, one, 0, LENGTH, block=8))
    assert not calls
    one.levels[:, 12] = FULL_WEIGHT_LEVEL * np.sqrt(1.5 * LEAST_WEIGHT)
    restore(pipeline, one, 0, LENGTH, block=8)
    # Its estimate and its sample, in whichever batch: the faces beside it are left as they are.
    assert calls == [1, 1]


def test_what_a_self_ensemble_makes_is_what_a_face_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    texture = torch.from_numpy(0.1 * RNG.standard_normal((SIZE, SIZE)).astype(np.float32))
    plain = restore(tracing(stages=2), analyzed(track(), stages=2), 3, 4, block=1)
    sides: list[int] = []

    def textured(self: Stage, made: Estimates, *read: Any) -> torch.Tensor:
        # It is given what `regress` was given.
        torch.testing.assert_close(self.regress(*read).estimate, made.estimate)
        sides.append(self.resolution)
        return made.estimate + (texture if self.resolution == SIZE else 0)

    monkeypatch.setattr(Stage, "self_ensemble", textured)
    faces = restore(tracing(stages=2), analyzed(track(), stages=2), 3, 4, block=1)
    assert set(sides) == {SIZE, 2 * SIZE}
    assert np.abs(faces[0] - plain[0]).mean() > 0.01


@pytest.mark.parametrize("off", [{"temporal_radius": 0}, {"temporal_weight": 0.0}])
def test_without_radius_or_weight_every_frame_is_left_to_itself(off: dict[str, Any]) -> None:
    pipeline = tracing(0, **off)
    assert reach(pipeline.stages) == 0
    single = restore(pipeline, analyzed(track()), 4, 5, block=1)
    np.testing.assert_array_equal(single, restore(pipeline, analyzed(track()), 0, 24, block=24)[4:5])


def test_windows_are_smaller_at_the_ends_of_a_track_and_over_gaps() -> None:
    one = track()
    one.observed[12] = False
    pipeline = tracing(2, temporal_radius=0)
    restore(pipeline, analyzed(one), 0, LENGTH, block=8)
    windows = trace_of(pipeline).windows
    assert windows[:3] == [2, 3, 4] and windows[-3:] == [4, 3, 2]
    assert windows[10:15] == [3, 3, 4, 3, 3]


def test_a_crowd_is_read_a_few_crops_at_a_time() -> None:
    pipeline = tracing()
    tracks = {number: analyzed(track(number)) for number in range(4)}
    video = VideoPipeline(pipeline, tracks, seed=0)
    everyone = [FaceKey(number, at) for number in tracks for at in range(LENGTH)]
    for key in everyone:
        video.add(key, crops_of(key.at))
    calls = trace_of(pipeline).calls
    assert len(video.restore(everyone)) == sum(calls) == 4 * LENGTH
    assert max(calls) <= BATCH


def test_noise_depends_on_the_face_the_frame_and_the_correlation() -> None:
    pipeline = tracing(noise_correlation=0.5, temporal_radius=0)
    restore(pipeline, analyzed(track()), 2, 4, block=2)
    assert trace_of(pipeline).keys == [NoiseKey(3, 5, 2, 0.5), NoiseKey(3, 5, 3, 0.5)]


def test_a_finer_stage_reads_the_face_of_the_coarser_one_before_it_is_coloured() -> None:
    pipeline = tracing(window=0, stages=2, temporal_radius=0)
    restore(pipeline, analyzed(track(), stages=2), 3, 4, block=1)
    (coarse,) = trace_of(pipeline, 1).coarse
    sampled = CROPS[3] + 0.01
    enlarged = cv2.resize(sampled, (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_CUBIC)
    np.testing.assert_allclose(coarse.permute(1, 2, 0).numpy(), np.clip(enlarged, 0, 1), atol=0.005)


def test_faces_of_different_stages_are_restored_together() -> None:
    pipeline = tracing(stages=2, temporal_radius=0)
    tracks = {0: analyzed(track(0)), 1: analyzed(track(1), stages=2)}
    video = VideoPipeline(pipeline, tracks, seed=0)
    for number, stages in ((0, 1), (1, 2)):
        video.add(FaceKey(number, 0), crops_of(0, stages))
    small, large = video.restore([FaceKey(0, 0), FaceKey(1, 0)])
    assert (small.shape[0], large.shape[0]) == (SIZE, 2 * SIZE)


def test_where_frames_repeat_the_next_nearer_faces_are_neighbours() -> None:
    records = FaceRecords({0: analyzed(track())}, SIZE, torch.device("cpu"))
    for at in range(0, LENGTH, 3):
        records[FaceKey(0, at)] = FaceRecord((), ())
    near = records.around(FaceKey(0, 12), [1, 2, 4, 8])
    assert [key.at for key in near] == [6, 9, 12, 15, 18]
    assert [key.at for key in records.around(FaceKey(0, 12), range(1, 4))] == [9, 12, 15]
    for at in range(LENGTH):
        records[FaceKey(0, at)] = FaceRecord((), ())
    records.tracks[0].track.observed[[8, 14, 20]] = False
    assert [key.at for key in records.around(FaceKey(0, 12), [1, 2, 4, 8])] == [4, 9, 10, 11, 12, 13, 16, 19]


@pytest.mark.parametrize(
    ("radius", "wanted"), [(0, []), (1, [1]), (3, [1, 2]), (4, [1, 2, 4]), (12, [1, 2, 4, 8]), (16, [1, 2, 4, 8, 16])]
)
def test_averages_reach_further_in_powers_of_two(radius: int, wanted: list[int]) -> None:
    (stage,) = tracing(radius=16, temporal_radius=radius).stages
    assert list(stage.averaging_distances) == wanted
    assert stage.temporal_radius == max(wanted, default=0)


def test_every_stage_makes_a_face_depend_on_more_frames() -> None:
    assert reach(tracing(1).stages) == 1 + 2 * 8
    assert reach(tracing(1, stages=2, radius=4).stages) == 1 + 2 * 4 + 2 * 4
    unsampled = replace(tracing(0).stages[0], sampler=None)
    assert reach([unsampled]) == 8


def test_nothing_is_kept_that_no_face_will_need() -> None:
    video = VideoPipeline(tracing(stages=2, radius=2), {0: analyzed(track(), stages=2)}, seed=0)
    for at in range(LENGTH):
        video.add(FaceKey(0, at), crops_of(at, 2))
    video.restore([FaceKey(0, at) for at in range(10)])
    video.discard({0: 10})
    far = reach(video.stages)
    assert far == 1 + 2 * 2 + 2 * 2

    def first(number: int, name: str) -> int:
        return min(k.at for k, r in video._records.items() if getattr(r.stages[number], name) is not None)

    assert min(key.at for key in video._records) == 10 - far
    assert (first(0, "estimate"), first(0, "sample"), first(0, "face")) == (10 - 8, 10 - 6, 10 - 4)
    assert (first(1, "estimate"), first(1, "sample")) == (10 - 4, 10 - 2)
    assert all(record.stages[1].face is None for record in video._records.values())
    assert min(key.at for key in video._crops.motions._motions) == 10
    assert min(key.at for key in video._crops.motions._inputs) >= 10 - far


def test_crops_stay_for_the_widest_window_of_any_stage() -> None:
    pipeline = tracing(0, stages=2, temporal_radius=0)
    first, second = pipeline.stages
    reading = Reader(reads_windows=True, reads_coarse=True)
    second = replace(second, restoration=reading, config=replace(second.config, window_radius=2))
    pipeline = replace(pipeline, stages=(first, second))
    one = analyzed(track(), stages=2)
    whole = restore(pipeline, one, 0, LENGTH, block=LENGTH)
    np.testing.assert_array_equal(whole, restore(pipeline, one, 0, LENGTH, block=3))


def test_crops_without_damage_are_not_kept_twice() -> None:
    video = VideoPipeline(tracing(remove_damage=True), {0: analyzed(track())}, seed=0)
    for at in range(LENGTH):
        video.add(FaceKey(0, at), crops_of(at))
    video.restore([FaceKey(0, 3)])
    record = video._records[FaceKey(0, 3)]
    assert record.found is not None and record.whole is not None
    kept = (record.found.crops, record.found.repaired, record.cleaned[-1], record.whole[-1])
    assert {picture.data_ptr() for picture in kept} == {record.crops[-1].data_ptr()}


@pytest.mark.parametrize("remove", [True, False])
def test_the_network_for_damage_is_loaded_where_damage_is_looked_for(remove: bool) -> None:
    source = Deferred(DamageDetector)
    pipeline = replace(tracing(2, radius=2, remove_damage=remove), damage_detector=source)
    restore(pipeline.to("cpu"), analyzed(track()), 0, 4, block=4)
    assert source.loaded == remove


def test_a_face_without_its_neighbours_crops_is_an_error_not_a_guess() -> None:
    video = VideoPipeline(tracing(), {0: analyzed(track())}, seed=0)
    with pytest.raises(KeyError):
        video.restore([FaceKey(0, 3)])


def test_a_shot_has_the_same_noise_wherever_it_stands() -> None:
    single = [track(0, 0, 10), track(1, 2, 5)]
    joined = [track(0, 0, 8), track(1, 20, 10), replace(track(2, 22, 5), face=1)]
    assert noise_numbers(single, [Shot(0, 10)]) == [0, 1]
    assert noise_numbers(joined, [Shot(0, 20), Shot(20, 30)]) == [0, 0, 0]


def test_threads_and_faces_begun_together_make_the_same_bytes() -> None:
    one = analyzed(track(), stages=2)
    pipeline = tracing(2, stages=2, radius=2)
    in_turn = restore(pipeline, one, 0, LENGTH, block=LENGTH)
    with Lanes(*LANES, REGRESSION) as lanes:
        video = VideoPipeline(pipeline, {0: one}, 3, lanes)
        for at in range(LENGTH):
            video.add(FaceKey(0, at), crops_of(at, 2))
        begun = []
        for first in range(0, LENGTH, 5):
            begun.append(video.begin([FaceKey(0, at) for at in range(first, min(first + 5, LENGTH))]))
            video.discard({0: first + 5})
        faces = {key: face for part in begun for key, face in part.faces.items()}
    assert list(faces) == [FaceKey(0, at) for at in range(LENGTH)]
    for expected, face in zip(in_turn, faces.values(), strict=True):
        np.testing.assert_array_equal(expected, face)


def test_an_error_of_a_network_is_raised_by_who_takes_the_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = tracing()
    monkeypatch.setattr(type(pipeline.stages[0]), "regress", lambda *_: (_ for _ in ()).throw(MemoryError("no more")))
    with Lanes(*LANES) as lanes:
        video = VideoPipeline(pipeline, {0: analyzed(track())}, 3, lanes)
        for at in range(LENGTH):
            video.add(FaceKey(0, at), crops_of(at))
        begun = video.begin([FaceKey(0, 0)])
        with pytest.raises(MemoryError, match="no more"):
            _ = begun.faces


def test_a_closed_pipeline_leaves_nothing_in_memory() -> None:
    pipeline = tracing(1, stages=2, radius=2)
    gc.disable()
    try:
        with Lanes(*LANES) as lanes:
            video = VideoPipeline(pipeline, {0: analyzed(track(), stages=2)}, 3, lanes)
            for at in range(LENGTH):
                video.add(FaceKey(0, at), crops_of(at, 2))
            assert len(video.begin([FaceKey(0, 0)]).faces) == 1
        record = weakref.ref(video._records[FaceKey(0, 0)])
        motion = weakref.ref(video._crops.motions.between(FaceKey(0, 0), [FaceKey(0, 1)])[0].flow)
        video.close()
        assert record() is None and motion() is None
    finally:
        gc.enable()
