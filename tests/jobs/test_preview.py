"""Previews: a short span restored into a playable clip, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.api import analyze_video, compare_videos, preview_video
from dynface_video.config import load_settings
from dynface_video.config.times import TimeSpan
from dynface_video.errors import InputError
from dynface_video.jobs.compare import ComparisonRequest, make_comparison
from dynface_video.jobs.preview import parse_preview
from dynface_video.media.io.excerpt import read_excerpt
from dynface_video.media.io.probe import probe
from identity import checkered, stand_in

RATE, FRAMES, WIDTH, HEIGHT = 10, 60, 160, 120


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Six seconds, ever brighter, with a tone; a face in the middle."""
    stand_in(monkeypatch.setattr, centre=(80, 60), change=checkered)
    path = tmp_path / "source.mkv"
    texture = np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", RATE)
        video.width, video.height, video.pix_fmt, video.options = WIDTH, HEIGHT, "yuv420p", {"g": "20", "crf": "10"}
        audio = container.add_stream("aac", 48000)
        audio.layout = "mono"
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(texture + np.uint8(60 + 2 * number), format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode())
        tone = np.sin(np.arange(48000 * 6) / 20)[None].astype(np.float32)
        sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        sound.sample_rate, sound.pts = 48000, 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode())
    return path


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def length_of_sound(path: Path) -> float:
    with av.open(path) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize(("text", "start", "stop"), [("5s@00:30", 30, 35), ("1.5@1:00", 60, 61.5), ("2", 0, 2)])
def test_a_preview_is_a_length_at_a_time(text: str, start: float, stop: float) -> None:
    assert parse_preview(text) == TimeSpan(Fraction(start), Fraction(stop))


@pytest.mark.parametrize("text", ["0@5", "@5", "5@", "500@0", "five"])
def test_what_is_no_preview_is_named(text: str) -> None:
    with pytest.raises(InputError, match="preview"):
        parse_preview(text)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (2.9, 3.6), (5.5, 99)])
def test_an_excerpt_is_what_a_full_pass_gives_at_these_times(source: Path, start: float, stop: float) -> None:
    span = Fraction(start).limit_denominator(10), Fraction(stop).limit_denominator(10)
    found = [frame.picture.to_ndarray(format="rgb24") for frame in read_excerpt(probe(source), *span)]
    expected = pictures(source)[round(10 * start) : round(10 * stop)]
    assert len(found) == len(expected)
    assert all((a == b).all() for a, b in zip(found, expected, strict=True))


def test_a_time_beyond_the_end_is_named(source: Path) -> None:
    with pytest.raises(InputError, match="no frame at 7 s"):
        list(read_excerpt(probe(source), Fraction(7), Fraction(8)))


def test_a_preview_is_a_playable_clip_of_the_span_with_its_sound(source: Path, tmp_path: Path) -> None:
    result = preview_video(source, tmp_path / "p.mp4", "1.5s@00:02")
    shown, before = pictures(tmp_path / "p.mp4"), pictures(source)[20:35]
    assert (result.frames, result.faces, result.people, len(shown)) == (15, 15, (1,), 15)
    assert length_of_sound(tmp_path / "p.mp4") == pytest.approx(1.5, abs=0.1)
    for a, b in zip(shown, before, strict=True):
        apart = np.abs(a.astype(int) - b)
        assert apart[:20, :20].mean() < 4 < apart[55:65, 75:85].mean()


def test_strengths_are_shown_beside_each_other_and_the_source(source: Path, tmp_path: Path) -> None:
    result = preview_video(source, tmp_path / "p.mp4", "0.3@1", versions=(0.2, 0.9))
    (first, *_) = pictures(tmp_path / "p.mp4")
    assert first.shape[0] == HEIGHT and first.shape[1] >= 3 * WIDTH and result.faces == 6
    tiles = [first[:, k * (WIDTH + 6) : k * (WIDTH + 6) + WIDTH].astype(int) for k in range(3)]
    middle = np.s_[50:70, 70:90]
    assert np.abs(tiles[0][middle] - pictures(source)[10][middle]).mean() < 6
    assert np.abs(tiles[0][middle] - tiles[1][middle]).mean() > 15


@pytest.mark.parametrize("mode", ["side", "split", "flip"])
def test_the_source_can_be_shown_as_well(source: Path, tmp_path: Path, mode: str) -> None:
    preview_video(source, tmp_path / "p.mkv", "2@1", compare=mode)
    shown, before = pictures(tmp_path / "p.mkv"), pictures(source)[10:30]
    assert shown[0].shape[1] == (2 * WIDTH + 6 if mode == "side" else WIDTH)
    face = [np.abs(a[50:70, 82:96].astype(int) - b[50:70, 82:96]).mean() for a, b in zip(shown, before, strict=True)]
    restored = [distance > 12 for distance in face]
    assert restored == {"side": [False] * 20, "split": [True] * 20, "flip": [False] * 10 + [True] * 10}[mode]


def test_people_are_chosen_by_the_analysis_of_the_whole_video(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="numbered over the whole video"):
        preview_video(source, tmp_path / "p.mp4", "0.3@1", faces="1")
    path = tmp_path / "a.json"
    analyze_video(source).save(path)
    assert preview_video(source, tmp_path / "p.mp4", "0.3@1", faces="1", analysis=path).faces == 3
    raw = json.loads(path.read_text())
    raw["people"][0]["restore"] = False
    path.write_text(json.dumps(raw))
    assert preview_video(source, tmp_path / "p.mp4", "0.3@1", analysis=path, overwrite=True).faces == 0
    with pytest.raises(InputError, match="it ends at 00:06"):
        preview_video(source, tmp_path / "q.mp4", "1@9", analysis=path)


def test_spans_keep_their_times_in_a_preview(source: Path, tmp_path: Path) -> None:
    result = preview_video(source, tmp_path / "p.mp4", "1@2", between="2.5-")
    assert result.faces == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: preview_video(path, path.with_name("p.webm"), "1@1"), "a clip must be"),
        (lambda path: preview_video(path, path.with_name("p.mp4"), "1@1", compare="beside"), "side, split or flip"),
        (lambda path: compare_videos(path, path, path.with_name("c.mp4"), mode="beside"), "side, split or flip"),
        (lambda path: preview_video(path, path, "1@1"), "input itself"),
        (lambda path: preview_video(path, path.with_name("p.mp4"), "1@1", versions=(2.0,)), "not a number from 0 to 1"),
        (lambda path: compare_videos(path, path, path.with_name("c.txt")), "name a clip"),
    ],
)
def test_what_cannot_be_made_is_refused(source: Path, change: Callable[[Path], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        change(source)
    assert [path.name for path in source.parent.iterdir()] == ["source.mkv"]


def test_two_videos_are_compared_in_a_clip_and_on_a_sheet(source: Path, tmp_path: Path) -> None:
    preview_video(source, tmp_path / "b.mp4", "6@0")
    assert compare_videos(source, tmp_path / "b.mp4", tmp_path / "c.mp4") == FRAMES
    shown = pictures(tmp_path / "c.mp4")
    assert len(shown) == FRAMES and shown[0].shape == (HEIGHT, 2 * WIDTH + 6, 3)
    assert length_of_sound(tmp_path / "c.mp4") == pytest.approx(6, abs=0.1)
    assert compare_videos(source, tmp_path / "b.mp4", tmp_path / "c.png") == 6
    import cv2

    sheet = cv2.imread(str(tmp_path / "c.png"))
    assert sheet is not None and sheet.shape == (6 * HEIGHT + 5 * 6, 2 * WIDTH + 6, 3)
    # The source grows brighter, moment by moment.
    left = [sheet[k * (HEIGHT + 6) + 10 : k * (HEIGHT + 6) + 30, 100:150].mean() for k in range(6)]
    assert (np.diff(left) > 5).all()


def test_a_span_of_two_videos_is_compared_at_the_same_times_and_narrower(source: Path, tmp_path: Path) -> None:
    preview_video(source, tmp_path / "b.mp4", "6@0")
    request = ComparisonRequest(span=TimeSpan(Fraction(2), Fraction(3)), width=WIDTH // 2)
    sources = (source, tmp_path / "b.mp4")
    assert make_comparison(sources, tmp_path / "c.mp4", load_settings(), request, lambda *report: None) == 10
    shown, whole = pictures(tmp_path / "c.mp4"), pictures(source)[20:30]
    assert shown[0].shape == (HEIGHT // 2, WIDTH + 6, 3)
    for picture, full in zip(shown, whole, strict=True):
        # Frames differ by two levels; the corner is not in the face and has no writing.
        corner = full[:16, :16].mean()
        assert abs(picture[:8, :8].mean() - corner) < 1.5
        assert abs(picture[:8, WIDTH // 2 + 6 : WIDTH // 2 + 14].mean() - corner) < 1.5
    assert length_of_sound(tmp_path / "c.mp4") == pytest.approx(1, abs=0.1)
