"""Whatever is done to the bytes of a file, it ends in a video or in a clear error, and never in half an output."""

from pathlib import Path

import numpy as np
import pytest

from dynface_video.errors import InputError, JobError
from dynface_video.media.probe import probe

SOURCES = {
    "h264.mp4": {"options": {"bf": "2", "g": "8"}, "sound": 1},
    "front.mp4": {"options": {"bf": "2", "g": "8"}, "container_options": {"movflags": "faststart"}},
    "h264.mkv": {"options": {"bf": "2", "g": "8"}, "sound": 1},
    "hevc.mp4": {"codec": "libx265", "options": {"g": "8", "x265-params": "log-level=none"}},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "8"}},
    "mpeg1.mpg": {"codec": "mpeg1video", "options": {"bf": "2", "g": "8", "b": "300000"}},
    "h264.ts": {"options": {"bf": "2", "g": "8"}, "sound": 1},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "8"}},
    "ffv1.mkv": {"codec": "ffv1"},
}
CASES = 12


def spoilt(data: bytes, random: np.random.Generator) -> bytes:
    """Flip bits, overwrite, cut out, cut off or move a part."""
    spoiled = bytearray(data)
    a = int(random.integers(0, len(data)))
    b = min(len(data), a + int(random.integers(1, max(2, len(data) // 8))))
    kind = int(random.integers(0, 5))
    if kind == 0:
        for place in random.integers(0, len(data), int(random.integers(1, 40))):
            spoiled[place] ^= 1 << int(random.integers(0, 8))
    elif kind == 1:
        spoiled[a:b] = random.bytes(b - a)
    elif kind == 2:
        del spoiled[a:b]
    elif kind == 3:
        del spoiled[a:]
    else:
        part = bytes(spoiled[a:b])
        del spoiled[a:b]
        place = int(random.integers(0, len(spoiled) + 1))
        spoiled[place:place] = part
    return bytes(spoiled)


@pytest.mark.parametrize("name", SOURCES)
def test_spoilt_files_end_in_a_video_or_a_clear_error(kit, name: str) -> None:
    whole = kit.clip(name, **SOURCES[name]).read_bytes()
    for case in range(CASES):
        random = np.random.default_rng([case, *name.encode()])
        path: Path = kit.folder / f"{case}-{name}"
        path.write_bytes(spoilt(whole, random))
        target: Path = kit.folder / f"{case}-out.mkv"
        try:
            passed = kit.through(path, target)
        except (InputError, JobError) as error:
            assert str(path.name) in str(error) or str(target.name) in str(error)
            assert not target.exists()
        else:
            assert len(kit.times(target)) == len(passed.index.pts) > 0
            assert probe(target).width == passed.info.width
        assert not list(kit.folder.glob(".*"))
