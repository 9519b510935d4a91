from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import Settings
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import Frame, read_frames
from dynface_video.passes.analyze import analyze
from dynface_video.passes.restore import PassContext, Work, spans_with_halo
from dynface_video.passes.span import restored_span
from identity import FoundFace, changing_pipeline, checkered

FRAMES = 9
FACE = FoundFace((70, 60))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> PassContext:
    path = tmp_path_factory.mktemp("span") / "clip.mp4"
    noise = np.random.default_rng(0).integers(60, 190, (120, 160, 3), np.uint8)
    write_clip(path, [np.roll(noise, number, axis=0) for number in range(FRAMES)], crf=20, sound=None)
    info, pipeline = probe(path), changing_pipeline(checkered)
    return PassContext(info, analyze(info, FACE, FACE, pipeline, Settings()), pipeline, seed=0)  # type: ignore[arg-type]


def pictures(frames: Iterable[Frame]) -> list[np.ndarray]:
    return [frame.rgb() for frame in frames]


def test_a_span_is_the_same_as_in_the_whole_video(context: PassContext) -> None:
    work, warnings = Work(), list[str]()
    whole = pictures(restored_span(context, 0, FRAMES, keep_fields=True, work=work, warnings=warnings))
    parts = [
        picture
        for start, stop in ((0, 4), (4, 5), (5, FRAMES))
        for picture in pictures(restored_span(context, start, stop, keep_fields=True, work=Work(), warnings=warnings))
    ]
    np.testing.assert_array_equal(np.array(parts), np.array(whole))
    assert work.faces == FRAMES and warnings == []


def test_frames_outside_the_tracks_are_as_decoded(context: PassContext) -> None:
    nobody = replace(context, analysis=replace(context.analysis, tracks=()))
    restored = pictures(restored_span(nobody, 2, 6, keep_fields=True, work=Work(), warnings=[]))
    np.testing.assert_array_equal(np.array(restored), np.array(pictures(read_frames(context.info))[2:6]))


STILL = 30


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> PassContext:
    """Two moving pictures, one shown for `STILL` frames, and two more; the face depends on two frames either side."""
    path = tmp_path_factory.mktemp("frozen") / "clip.mp4"
    noise = np.random.default_rng(0).integers(60, 190, (120, 160, 3), np.uint8)
    order = [0, 1, *[2] * STILL, 3, 4]
    write_clip(path, [np.roll(noise, number, axis=0) for number in order], crf=20, sound=None)
    info, pipeline = probe(path), changing_pipeline(checkered).with_settings(temporal_radius=2)
    analysis = analyze(info, FACE, FACE, pipeline, Settings())  # type: ignore[arg-type]
    return PassContext(info, analysis, pipeline, seed=0)


def counted(context: PassContext) -> tuple[PassContext, set[bytes]]:
    """The same with a model that notes the crops it sees."""
    seen: set[bytes] = set()

    def change(crops: np.ndarray) -> np.ndarray:
        seen.update(crop.tobytes() for crop in crops)
        return checkered(crops)

    pipeline = changing_pipeline(change).with_settings(temporal_radius=2)
    return replace(context, pipeline=pipeline), seen


def test_a_still_is_restored_once_wherever_it_is_cut(frozen: PassContext) -> None:
    assert frozen.analysis.repeats == ((2, 2 + STILL),)
    length = frozen.analysis.frame_count
    context, seen = counted(frozen)
    work = Work()
    whole = pictures(restored_span(context, 0, length, keep_fields=True, work=work, warnings=[]))
    assert work.faces == length and len(seen) == 5
    decoded = pictures(read_frames(frozen.info))
    changes = [restored.astype(int) - source for restored, source in zip(whole, decoded, strict=True)]
    for change in changes[3 : 2 + STILL]:
        # Each frame keeps what is its own; the face is the first one's, up to the rounding of colours.
        assert np.abs(change - changes[2]).mean() < 2 < np.abs(change).mean()
    for cuts in ([0, 5, length], [0, 20, 31, length], [0, 2, 33, length]):
        parts = [
            picture
            for start, stop in pairwise(cuts)
            for picture in pictures(restored_span(context, start, stop, keep_fields=True, work=Work(), warnings=[]))
        ]
        np.testing.assert_array_equal(np.array(parts), np.array(whole))


def test_a_segment_deep_in_a_still_reads_no_frame_between_it_and_the_first(frozen: PassContext) -> None:
    assert spans_with_halo(frozen.analysis, frozen.pipeline, 20, 25) == [(0, 3), (18, 27)]
    assert spans_with_halo(frozen.analysis, frozen.pipeline, 4, 6) == [(0, 8)]


def test_every_frame_is_restored_if_so_wished(frozen: PassContext) -> None:
    settings = Settings()
    chosen = settings.model_copy(
        update={"restoration": settings.restoration.model_copy(update={"repeat_tolerance": None})}
    )
    analysis = analyze(frozen.info, FACE, FACE, frozen.pipeline, chosen)  # type: ignore[arg-type]
    assert analysis.repeats == ()


def test_the_frames_are_the_same_in_the_callers_own_thread(frozen: PassContext) -> None:
    threads: set[str] = set()

    def change(crops: np.ndarray) -> np.ndarray:
        threads.add(threading.current_thread().name)
        return checkered(crops)

    pipeline = changing_pipeline(change).with_settings(temporal_radius=2)
    made = []
    for in_turn in (False, True):
        threads.clear()
        context, work = replace(frozen, pipeline=pipeline, in_turn=in_turn), Work()
        length = frozen.analysis.frame_count
        made.append(pictures(restored_span(context, 0, length, keep_fields=True, work=work, warnings=[])))
        assert threads == ({threading.current_thread().name} if in_turn else {"lane regression"})
        assert {"regression", "sampling", "temporal", "crops", "paste", "decode"} <= set(work.seconds)
    np.testing.assert_array_equal(np.array(made[0]), np.array(made[1]))
