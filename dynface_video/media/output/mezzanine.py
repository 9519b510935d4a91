"""Segments that were kept without loss become the encoded video in one run of the encoder.

An encoder that sees the whole video has B-frames and spends its bits where they count; segments that are joined by
copying packets cannot have that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame
from dynface_video.media.output.encoding import EncodeSettings
from dynface_video.media.output.write import read_segment, write_segment


@dataclass(frozen=True)
class Mezzanine:
    """What lossless segments are encoded to. settings: of the whole video"""

    settings: EncodeSettings

    def encode(self, segments: Sequence[Path], info: VideoInfo, on_frame: Callable[[int], None]) -> Path:
        """Encode segments, in order, into one file beside them that `assemble` takes as their only segment.

        It appears only when it is complete and verified, and is taken as it is when it is there already: its name holds
        a digest of the segments' names and the settings. on_frame: told how many frames are done
        Raises JobError for a segment that cannot be read, OSError when the disk is full.
        """
        digest = hashlib.sha256("\n".join([*(path.name for path in segments), repr(self.settings)]).encode())
        whole = segments[0].with_name(f"whole-{digest.hexdigest()[:12]}.nut")
        if not whole.exists():
            write_segment(whole, _counted(segments, info, on_frame), info, self.settings)
        return whole


def _counted(segments: Sequence[Path], info: VideoInfo, on_frame: Callable[[int], None]) -> Iterator[Frame]:
    done = 0
    for path in segments:
        for frame in read_segment(path, info, done):
            yield frame
            done += 1
            on_frame(done)
