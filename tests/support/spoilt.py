"""Restores spoilt copies of files one by one; run as a program, because a crash or a hang must not end the tests.

Arguments: the number of cases a file, the seconds a case may take, the files. Ends with 0 when every case
ended in a video or a clear error. A case that takes too long ends the program with a traceback of where it hangs.
"""

from __future__ import annotations

import faulthandler
import sys
from pathlib import Path

import av
import numpy as np

from dynface_video.api import restore_video
from dynface_video.errors import DynfaceError
from identity import stand_in

FASTEST = "output:\n  segment_frames: 8\n  codec: libx264\n  encoder_preset: ultrafast\n"


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


def restore(source: Path, target: Path, config: Path) -> str:
    """Restore one file and check what is there afterwards; returns how it ended."""
    try:
        result = restore_video(source, target, config=config)
    except DynfaceError as error:
        assert str(source.name) in str(error) or str(target.name) in str(error), f"{error} names no file"
        assert not target.exists(), "half an output"
        return "refused"
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert sum(1 for packet in container.demux(stream) if packet.size) == result.frames > 0
    return "restored"


def go_through(source: Path, cases: int, limit: float) -> None:
    """Restore the cases of one file; the seed of each is its number and the file's name."""
    data, folder = source.read_bytes(), source.parent
    config = folder / "fastest.yaml"
    config.write_text(FASTEST)
    ended = {"restored": 0, "refused": 0}
    for case in range(cases):
        sys.stderr.write(f"{source.name}, case {case}\n")
        faulthandler.dump_traceback_later(limit, exit=True)
        path, target = folder / f"{case}-{source.name}", folder / f"{case}-out.mkv"
        path.write_bytes(spoilt(data, np.random.default_rng([case, *source.name.encode()])))
        ended[restore(path, target, config)] += 1
        assert not [p.name for p in folder.glob(".*")]
        faulthandler.cancel_dump_traceback_later()
    sys.stdout.write(f"{source.name}: {ended['restored']} restored, {ended['refused']} refused\n")


if __name__ == "__main__":
    faulthandler.enable()
    stand_in(setattr, centre=(48, 32))
    for name in sys.argv[3:]:
        go_through(Path(name), int(sys.argv[1]), float(sys.argv[2]))
