"""Sixty odd files end in a restored video with every frame and all sound, or in a clear message."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import av
import pytest

from dynface_video.api import restore_video
from dynface_video.errors import InputError
from identity import stand_in
from odd_files import ODD_FILES, TEXTS, OddFile


@pytest.fixture
def make(tmp_path: Path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("the ffmpeg command is not there")

    def made(odd: OddFile) -> Path:
        path = tmp_path / odd.name
        if odd.name in TEXTS:
            path.write_text(TEXTS[odd.name])
            return path
        done = subprocess.run(odd.command(str(path)), capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"ffmpeg here cannot make {odd.name}: {done.stderr.strip().splitlines()[-1:]}")
        if odd.spoil:
            path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.7)])
        return path

    return made


def decoded(path: Path) -> int:
    """How many pictures FFmpeg's decoder gives."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                count += len(packet.decode())
            except av.FFmpegError:
                continue
    return count


def sound(path: Path) -> list[int]:
    """Packets of each sound stream."""
    with av.open(str(path)) as container:
        counts = {stream.index: 0 for stream in container.streams.audio}
        for packet in container.demux(list(container.streams.audio)) if counts else ():
            if packet.size:
                counts[packet.stream_index] += 1
        return list(counts.values())


@pytest.mark.parametrize("odd", ODD_FILES, ids=[odd.name for odd in ODD_FILES])
def test_an_odd_file_is_restored_or_named(odd: OddFile, make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source, target = make(odd), tmp_path / "out.mkv"
    if odd.fails is not None:
        with pytest.raises(InputError, match=odd.fails) as caught:
            restore_video(source, target)
        assert odd.name in str(caught.value)
        assert not target.exists()
        return
    result = restore_video(source, target)
    warnings = [warning for warning in result.warnings if "no face" not in warning]
    assert result.frames == decoded(target)
    if not odd.spoil:
        assert result.frames == decoded(source)
        if "as flac" not in str(odd.says):
            assert sound(target) == sound(source)
        assert len(sound(target)) == len(sound(source))
    if odd.says is None:
        assert odd.spoil or warnings == []
    else:
        assert any(odd.says in warning for warning in warnings)
