"""Losslessly kept segments become the encoded video in one run of the encoder.

An encoder that sees the whole video can use B-frames and distribute bits over it; segments that are joined by copying
packets cannot.
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
    """Target of lossless segments.

    Attributes:
        settings: Of the whole video.
    """

    settings: EncodeSettings

    def encode(self, segments: Sequence[Path], info: VideoInfo, on_frame: Callable[[int], None]) -> Path:
        """Encode segments into one file beside them, which `assemble` takes as the only segment.

        The file appears only when it is complete and verified. An existing one is reused: its name contains a digest of
        the segments' names and the settings.

        Args:
            segments: In order.
            info: The source.
            on_frame: Receives the number of frames done.

        Raises:
            JobError: A segment cannot be read.
            OSError: The disk is full.
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
