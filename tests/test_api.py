"""A video in, the same video out with its faces restored: the whole way, with the embedded models."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from dynface_video.api import (
    analyze_video,
    iter_restored_frames,
    plan_video,
    restore_batch,
    restore_image,
    restore_video,
)
from dynface_video.cli.demo_clip import (
    DemoDamage,
    clean_frame,
    damaged_frame,
    landmarks,
    melody,
    photograph,
    write_clip,
)
from dynface_video.config import Overrides
from dynface_video.errors import InputError, JobError, SelectionError
from dynface_video.faces.align import align_transform, extract_crop
from dynface_video.jobs.directory import SegmentResult
from dynface_video.jobs.plan import Segment
from dynface_video.jobs.worker import SegmentWorker
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from identity import checkered, stand_in

FRAMES = 12
DATA = Path(os.environ.get("DYNFACE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "videos"
QUICK: Overrides = {"num_inference_steps": 2, "device": "cpu", "record": False}


@pytest.fixture(scope="module")
def clean() -> list[np.ndarray]:
    picture = photograph()
    return [clean_frame(picture, index + 30) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def source(clean: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "damaged.mp4"
    damaged = (damaged_frame(frame, index, DemoDamage(), 0) for index, frame in enumerate(clean))
    write_clip(path, damaged, crf=24, sound=melody())
    return path


@pytest.fixture
def short_segments(tmp_path: Path) -> Path:
    path = tmp_path / "short.yaml"
    path.write_text("output:\n  segment_frames: 4\n")
    return path


@pytest.fixture
def segments_alone(tmp_path: Path) -> Path:
    """Settings by which a segment needs few frames beside its own."""
    path = tmp_path / "short.yaml"
    path.write_text("output:\n  segment_frames: 4\nrestoration:\n  temporal_radius: 0\n")
    return path


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times(path: Path) -> list[Fraction]:
    with av.open(path) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]  # type: ignore[operator]


def sound(path: Path) -> list[str]:
    with av.open(path) as container:
        return [hashlib.sha256(bytes(p)).hexdigest() for p in container.demux(audio=0) if p.size]


def face(picture: np.ndarray, index: int) -> np.ndarray:
    return extract_crop(picture, align_transform(landmarks(index + 30), 128), 128)


def test_the_face_gets_better_and_everything_else_survives(
    source: Path, clean: list[np.ndarray], tmp_path: Path
) -> None:
    target = tmp_path / "restored.mp4"
    stages: list[tuple[str, int, int | None]] = []
    result = restore_video(source, target, crf=12, device="cpu", progress=lambda *told: stages.append(told))

    assert (result.frames, result.tracks, result.faces) == (FRAMES, 1, FRAMES)
    assert result.unet_evaluations > 0 and result.output == target
    assert times(target) == times(source)
    assert sound(target) == sound(source) != []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["restored.mp4", "restored.mp4.record.zip"]
    assert ("restore", FRAMES, FRAMES) in stages and {stage for stage, _, _ in stages} == set(result.seconds)

    before, after = pictures(source), pictures(target)
    nearer = [
        log_spectrum_distance(face(b, i), face(c, i)) - log_spectrum_distance(face(a, i), face(c, i))
        for i, (b, a, c) in enumerate(zip(before, after, clean, strict=True))
    ]
    assert np.mean(nearer) > 0.1
    corner = np.s_[:60, :60]
    assert np.mean([psnr(a[corner] / 255, b[corner] / 255) for a, b in zip(after, before, strict=True)]) > 38


def test_pixels_outside_the_face_are_untouched_without_loss(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "restored.mkv"
    restore_video(source, target, codec="ffv1", **QUICK)
    with av.open(source) as a, av.open(target) as b:
        for index, (one, other) in enumerate(zip(a.decode(video=0), b.decode(video=0), strict=True)):
            before, after = one.to_ndarray(), other.to_ndarray()
            assert before.shape == after.shape
            changed = np.argwhere((before != after)[: one.height])
            centre = landmarks(index + 30).mean(axis=0)[::-1]
            assert len(changed) > 100
            assert np.abs(changed - centre).max() < 110
            np.testing.assert_array_equal(before[:60, :40], after[:60, :40])


def test_segments_leave_no_trace(source: Path, short_segments: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.mkv", tmp_path / "cut.mkv"
    restore_video(source, whole, codec="ffv1", **QUICK)
    restore_video(source, cut, codec="ffv1", config=short_segments, **QUICK)
    for a, b in zip(pictures(whole), pictures(cut), strict=True):
        assert psnr(a / 255, b / 255) > 50


def failing_after(count: int, failure: BaseException, done: list[int]) -> Callable[..., SegmentResult]:
    real = SegmentWorker.run

    def run(worker: SegmentWorker, segment: Segment, on_frame: Callable[[int], None]) -> SegmentResult:
        if len(done) == count:
            raise failure
        done.append(segment.number)
        return real(worker, segment, on_frame)

    return run


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), JobError("the disk is full")])
def test_an_interrupted_job_goes_on_where_it_stopped(
    failure: BaseException, source: Path, segments_alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "restored.mp4"
    options: dict[str, Any] = {"config": segments_alone, **QUICK}
    first: list[int] = []
    with monkeypatch.context() as patched, pytest.raises(type(failure)):
        patched.setattr(SegmentWorker, "run", failing_after(2, failure, first))
        restore_video(source, target, **options)
    assert not target.exists() and first == [0, 1]

    with pytest.raises(JobError, match=r"seed \(1 now, 0 before\)"):
        restore_video(source, target, seed=1, **options)

    second: list[int] = []
    monkeypatch.setattr(SegmentWorker, "run", failing_after(99, failure, second))
    result = restore_video(source, target, **options)
    assert second == [2]
    assert result.faces == FRAMES
    restore_video(source, tmp_path / "undisturbed.mp4", **options)
    assert target.read_bytes() == (tmp_path / "undisturbed.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["restored.mp4", "short.yaml", "undisturbed.mp4"]


def test_two_workers_make_the_same_file(source: Path, short_segments: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    one, two = tmp_path / "one.mp4", tmp_path / "two.mp4"
    restore_video(source, one, config=short_segments, workers=1, **QUICK)
    restore_video(source, two, config=short_segments, workers=2, **QUICK)
    assert one.read_bytes() == two.read_bytes()


def test_a_video_without_faces_comes_out_unchanged_and_says_so(tmp_path: Path) -> None:
    y, x = np.mgrid[:96, :128]
    frames = [np.repeat(((x + y + 3 * i) % 256).astype(np.uint8)[..., None], 3, axis=2) for i in range(8)]
    write_clip(tmp_path / "plain.mp4", frames, crf=20, sound=None)
    result = restore_video(tmp_path / "plain.mp4", tmp_path / "out.mkv", codec="ffv1", device="cpu")
    assert (result.frames, result.faces, result.tracks, result.unet_evaluations) == (8, 0, 0, 0)
    assert any("no face" in warning for warning in result.warnings)
    for a, b in zip(pictures(tmp_path / "plain.mp4"), pictures(tmp_path / "out.mkv"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_takes_only_the_videos_that_are_selected(source: Path, tmp_path: Path) -> None:
    asked: list[str] = []
    result = restore_batch([source.parent], tmp_path, select=lambda path: bool(asked.append(path)), device="cpu")
    assert asked == [str(source)] and result.videos == ()
    assert not list(tmp_path.glob("*.mp4"))


def test_nothing_is_destroyed(source: Path, tmp_path: Path) -> None:
    existing = tmp_path / "precious.mp4"
    existing.write_bytes(b"precious")
    unusable: list[tuple[Path, Path, str]] = [
        (source, existing, "already exists"),
        (source, source, "the input itself"),
        (source, tmp_path, "is not empty"),
        (source, tmp_path / "no" / "out.mp4", "does not exist"),
        (source, tmp_path / "out.xyz", "xyz"),
        (tmp_path / "missing.mp4", tmp_path / "out.mp4", "missing"),
        (existing, tmp_path / "out.mp4", "precious"),
    ]
    for given, target, message in unusable:
        with pytest.raises(InputError, match=message):
            restore_video(given, target, device="cpu")
    with pytest.raises(InputError, match="cuda:99"):
        restore_video(source, tmp_path / "out.mp4", device="cuda:99")
    assert existing.read_bytes() == b"precious"
    assert [p.name for p in tmp_path.iterdir()] == ["precious.mp4"]


def test_an_analysis_can_be_had_alone(source: Path, tmp_path: Path) -> None:
    analysis = analyze_video(source, device="cpu")
    assert analysis.frame_count == FRAMES
    (track,) = analysis.tracks
    expected = (track.stage_count, track.track.stop - track.track.start)
    assert track.levels.shape == track.starting_steps.shape == expected
    truth = np.stack([landmarks(i + 30) for i in range(track.track.start, track.track.stop)])
    eyes = np.linalg.norm(truth[:, 1] - truth[:, 0], axis=1).mean()
    assert np.linalg.norm(track.track.landmarks - truth, axis=2).mean() < 0.12 * eyes
    assert not track.grey
    analysis.save(tmp_path / "analysis.json")


def test_black_and_white_film_gets_no_colour(clean: list[np.ndarray], tmp_path: Path) -> None:
    grey = [np.repeat(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2) for frame in clean[:6]]
    write_clip(tmp_path / "grey.mp4", grey, crf=18, sound=None)
    restore_video(tmp_path / "grey.mp4", tmp_path / "out.mkv", codec="ffv1", **QUICK)
    for picture in pictures(tmp_path / "out.mkv"):
        assert np.ptp(picture.astype(int), axis=2).max() <= 4


@pytest.mark.parametrize("kind", ["uint8", "float32", "pil"])
def test_an_image_in_memory_is_restored_in_its_faces_only(clean: list[np.ndarray], kind: str) -> None:
    damaged = damaged_frame(clean[0], 0, DemoDamage(), 0)
    given: Any = {"uint8": damaged, "float32": (damaged / 255).astype(np.float32), "pil": Image.fromarray(damaged)}[
        kind
    ]
    restored = restore_image(given, **QUICK)
    assert type(restored) is type(given) and getattr(restored, "dtype", None) == getattr(given, "dtype", None)
    before, after = np.asarray(given), np.asarray(restored)
    assert before.shape == after.shape
    changed = np.argwhere((before != after).any(axis=2))
    centre = landmarks(30).mean(axis=0)[::-1]
    assert len(changed) > 1000 and np.abs(changed - centre).max() < 110


def test_an_image_without_a_face_comes_back_as_it_was() -> None:
    noise = np.random.default_rng(0).random((90, 120, 3))
    np.testing.assert_array_equal(restore_image(noise, **QUICK), noise)


def test_frames_can_be_had_without_encoding_and_are_those_of_the_file(
    source: Path, short_segments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=(176, 144), change=checkered)
    stages: list[tuple[str, int, int | None]] = []
    frames = iter_restored_frames(source, config=short_segments, progress=lambda *told: stages.append(told))
    assert stages == []
    listed = list(frames)
    assert [frame.index for frame in listed] == list(range(FRAMES))
    assert [frame.time for frame in listed] == times(source)
    assert stages[-1] == ("restore", FRAMES, FRAMES) and stages[0][0] == "analyze"
    # Without loss, and with the source's chroma siting, which FFV1 does not carry.
    restore_video(source, tmp_path / "out.mkv", codec="libx264", crf=0, config=short_segments)
    restored, untouched = read_frames(probe(tmp_path / "out.mkv")), read_frames(probe(source))
    for frame, there, before in zip(listed, restored, untouched, strict=True):
        np.testing.assert_array_equal(frame.rgb, there.rgb())
        assert np.abs(frame.rgb - before.rgb().astype(float)).max() > 20


def test_a_plan_says_what_it_takes_and_writes_nothing(source: Path, clean: list[np.ndarray], tmp_path: Path) -> None:
    plan = plan_video(source, tmp_path / "out.mkv", codec="ffv1", device="cpu")
    assert (plan.frames, plan.size, plan.encoding) == (FRAMES, (352, 288), ("ffv1", "yuv420p"))
    assert plan.disk is not None and 10_000 < plan.disk < 20_000_000 and plan.free > 0
    assert plan.seconds is not None and 0 < plan.seconds[0] < plan.seconds[1]
    with pytest.raises(InputError, match="does not exist"):
        plan_video(source, tmp_path / "no" / "out.mkv")
    assert list(tmp_path.iterdir()) == []

    Image.fromarray(clean[0]).save(tmp_path / "photograph.png")
    plan = plan_video(tmp_path / "photograph.png", tmp_path / "out.png", device="cpu")
    assert (plan.frames, plan.encoding, plan.disk) == (1, None, None)


def test_an_edited_analysis_decides_which_faces_are_restored(
    source: Path, short_segments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=(176, 144), change=checkered)
    path, target = tmp_path / "analysis.json", tmp_path / "out.mkv"
    analyze_video(source).save(path)
    result = restore_video(source, target, analysis=path, config=short_segments, codec="ffv1")
    assert (result.frames, result.faces, result.tracks) == (FRAMES, FRAMES, 1)

    path.write_text(path.read_text().replace('"restore":true', '"restore":false'))
    stages: list[str] = []
    result = restore_video(
        source, target, analysis=path, overwrite=True, codec="ffv1", progress=lambda stage, *rest: stages.append(stage)
    )
    assert (result.faces, result.skip_reasons) == (0, {"not selected for restoration": 1})
    for a, b in zip(pictures(source), pictures(target), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_analysis_whose_selection_fails_is_not_lost(source: Path, tmp_path: Path) -> None:
    with pytest.raises(SelectionError, match="person 7 is not in the video") as caught:
        analyze_video(source, device="cpu", faces="7")
    assert caught.value.found is not None
    caught.value.found.save(tmp_path / "found.json")
    analyze_video(source, device="cpu").save(tmp_path / "all.json")
    assert (tmp_path / "found.json").read_bytes() == (tmp_path / "all.json").read_bytes()


def test_an_interrupted_job_goes_on_with_its_own_analysis_only(
    source: Path, short_segments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=(176, 144), change=checkered)
    path, target = tmp_path / "analysis.json", tmp_path / "out.mkv"
    analyze_video(source).save(path)
    with monkeypatch.context() as patched, pytest.raises(JobError, match="the disk is full"):
        patched.setattr(SegmentWorker, "run", failing_after(1, JobError("the disk is full"), []))
        restore_video(source, target, analysis=path, config=short_segments)
    with pytest.raises(JobError, match=r"analysis \(None now"):
        restore_video(source, target, config=short_segments)
    assert restore_video(source, target, analysis=path, config=short_segments).faces == FRAMES


def test_what_is_no_analysis_is_refused_before_anything_is_written(source: Path, tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text("{}")
    for name, message in (("absent.json", "absent.json does not exist"), ("wrong.json", "not an analysis")):
        with pytest.raises(InputError, match=message):
            restore_video(source, tmp_path / "out.mkv", analysis=tmp_path / name, device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["wrong.json"]


def test_frames_of_what_is_no_video_are_refused_at_once(tmp_path: Path, clean: list[np.ndarray]) -> None:
    Image.fromarray(clean[0]).save(tmp_path / "photograph.png")
    with pytest.raises(InputError, match="use restore_image"):
        iter_restored_frames(tmp_path / "photograph.png")
    with pytest.raises(InputError, match=r"absent\.mkv"):
        iter_restored_frames(tmp_path / "absent.mkv")
    with pytest.raises(InputError, match="strength is 3"):
        iter_restored_frames(tmp_path / "absent.mkv", strength=3.0)


@pytest.mark.skipif(not (DATA / "sign_help.mkv").exists(), reason="needs the data's clips (DYNFACE_DATA)")
def test_a_real_clip_of_full_range(tmp_path: Path) -> None:
    source = DATA / "sign_help.mkv"
    result = restore_video(source, tmp_path / "out.mkv", num_inference_steps=1, device="cpu")
    assert result.frames == 58 and result.tracks >= 1
    assert result.faces > 0.9 * result.frames
    assert times(tmp_path / "out.mkv") == times(source)
