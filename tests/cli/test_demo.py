from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

import dynface_video.api
from dynface_video.cli.demo import face_fidelity, make_clips, run_demo
from dynface_video.cli.demo_clip import (
    FRAMES,
    HEIGHT,
    WIDTH,
    landmarks,
    melody,
    write_clip,
)
from dynface_video.errors import InputError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[np.ndarray]]:
    path = tmp_path_factory.mktemp("demo") / "degraded.mp4"
    return path, make_clips(path)


def test_the_clip_is_three_seconds_with_sound(clip: tuple[Path, list[np.ndarray]]) -> None:
    path, clean = clip
    with av.open(path) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, video.codec_context.name) == (WIDTH, HEIGHT, "h264")
        assert audio.codec_context.name == "aac"
        assert audio.duration is not None and audio.time_base is not None
        assert float(audio.duration * audio.time_base) == pytest.approx(3, abs=0.1)
        stamps = [frame.time for frame in container.decode(video=0)]
    assert len(stamps) == len(clean) == FRAMES
    np.testing.assert_allclose(stamps, np.arange(FRAMES) / 25, atol=1e-6)
    assert np.abs(melody()).max() <= 1


def test_fidelity_is_measured_on_the_face_only(clip: tuple[Path, list[np.ndarray]]) -> None:
    _, clean = clip
    few = clean[:2]
    elsewhere = [frame.copy() for frame in few]
    worse = [frame.copy() for frame in few]
    for index in range(2):
        elsewhere[index][-60:, -60:] = 0
        x, y = landmarks(index)[2].astype(int)
        worse[index][y - 10 : y + 10, x - 10 : x + 10] = 0
    assert face_fidelity(elsewhere, few).psnr == float("inf")
    assert face_fidelity(worse, few).psnr < 30


def fake_restore(clean: list[np.ndarray]) -> Any:
    """A restoration that answers with the clean clip."""

    def restore(source: Path, target: Path, **options: Any) -> SimpleNamespace:
        assert source.exists() and options["preset"] == "mini"
        write_clip(target, clean, crf=12, sound=melody())
        return SimpleNamespace(
            frames=len(clean),
            faces=len(clean),
            drawn_faces=4,
            unet_evaluations=8,
            seconds={"analyze": 1.0, "restore": 2.0},
            warnings=("a warning",),
        )

    return restore


def test_the_demo_says_what_was_gained(
    clip: tuple[Path, list[np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dynface_video.api, "restore_video", fake_restore(clip[1]))
    result = run_demo(tmp_path / "new" / "folder")

    assert result.restored.psnr > result.degraded.psnr + 3
    assert result.restored.ssim > result.degraded.ssim
    assert result.restored.log_spectrum_distance < result.degraded.log_spectrum_distance
    assert list(result.seconds)[1:3] == ["analyze", "restore"]
    assert result.warnings == ("a warning",)
    table = result.table()
    assert f"{result.restored.psnr:.2f}" in table and "analyze" in table
    assert json.loads(json.dumps(result.as_dict()))["restored"]["psnr"] == result.restored.psnr
    with av.open(result.side_by_side_path) as container:
        assert container.streams.video[0].width == 3 * WIDTH
        assert len(container.streams.audio) == 1
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_files_of_an_earlier_demo_are_kept_unless_told(tmp_path: Path) -> None:
    (tmp_path / "restored.mp4").write_bytes(b"precious")
    with pytest.raises(InputError, match=r"restored\.mp4"):
        run_demo(tmp_path)
    assert (tmp_path / "restored.mp4").read_bytes() == b"precious"
    assert not (tmp_path / "degraded.mp4").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="file"):
        run_demo(tmp_path / "file" / "demo")
