from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from dynface_video.cli.demo_clip import write_clip
from dynface_video.config import Settings
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import Frame, read_frames
from dynface_video.passes.analyze import analyze
from dynface_video.passes.restore import PassContext, Work
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
