"""Whatever is done to the bytes of a file, it ends in a video or in a clear error, and never in half an output."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

SOURCES = {
    "h264.mp4": {"options": {"bf": "2", "g": "5"}, "sound": 1},
    "front.mp4": {"options": {"bf": "2", "g": "5"}, "container_options": {"movflags": "faststart"}},
    "h264.mkv": {"options": {"bf": "2", "g": "5"}, "sound": 1},
    "hevc.mp4": {"codec": "libx265", "options": {"g": "5", "x265-params": "log-level=none"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "5"}},
    "mpeg1.mpg": {"codec": "mpeg1video", "options": {"bf": "2", "g": "5", "b": "300000"}},
    "h264.ts": {"options": {"bf": "2", "g": "5"}, "sound": 1},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "5"}},
    "ffv1.mkv": {"codec": "ffv1"},
    "fields.mp4": {"options": {"flags": "+ildct+ilme", "x264-params": "tff=1", "g": "5"}},
}
FRAMES = tuple(range(14))
SECONDS_A_CASE = 30
PROGRAM = Path(__file__).parents[1] / "support" / "spoilt.py"


def go_through(sources: list[Path], cases: int) -> subprocess.CompletedProcess[str]:
    root = str(PROGRAM.parents[2])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    arguments = [sys.executable, str(PROGRAM), str(cases), str(SECONDS_A_CASE), *map(str, sources)]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("cases", [8, pytest.param(50, marks=pytest.mark.slow)])
def test_spoilt_files_end_in_a_video_or_a_clear_error(kit, cases: int) -> None:
    sources = []
    for name, properties in SOURCES.items():
        folder = kit.folder / name.replace(".", "-")
        folder.mkdir()
        sources.append(kit.clip(name, pts=FRAMES, **properties).rename(folder / name))
    with ThreadPoolExecutor(2) as two:
        ended = list(two.map(go_through, (sources[::2], sources[1::2]), (cases, cases)))
    for program in ended:
        assert program.returncode == 0, program.stderr[-3000:]
    counts = re.findall(r"(\d+) restored, (\d+) refused", "".join(program.stdout for program in ended))
    restored, refused = (sum(map(int, column)) for column in zip(*counts, strict=True))
    assert restored + refused == cases * len(SOURCES)
    assert min(restored, refused) > cases
