"""Mastering data of HDR video, from the decoder's side data to the encoder's options."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import av
from av.sidedata.sidedata import SideData

CHROMATICITY_UNITS = 50000
LUMINANCE_UNITS = 10000


@dataclass(frozen=True)
class MasteringData:
    """Properties of the display on which a video was mastered; None where the stream gives none.

    Attributes:
        primaries: x, y of red, green, blue and white in units of 0.00002.
        luminance: Minimum and maximum in units of 0.0001 cd/m2.
        light_level: Brightest pixel and brightest frame average in cd/m2.
    """

    primaries: tuple[int, ...] | None = None
    luminance: tuple[int, int] | None = None
    light_level: tuple[int, int] | None = None

    def x265_options(self) -> list[str]:
        """Parameters for x265."""
        options = []
        if self.primaries is not None and self.luminance is not None:
            rx, ry, gx, gy, bx, by, wx, wy = self.primaries
            least, most = self.luminance
            options.append(f"master-display=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({most},{least})")
        if self.light_level is not None:
            options.append(f"max-cll={self.light_level[0]},{self.light_level[1]}")
        return options


NO_MASTERING_DATA = MasteringData()


def mastering_data(picture: av.VideoFrame) -> MasteringData:
    """Read the mastering data of a decoded picture."""
    display = side_data(picture, "MASTERING_DISPLAY_METADATA")
    light = side_data(picture, "CONTENT_LIGHT_LEVEL")
    primaries, luminance = _display(display) if display is not None else (None, None)
    level = struct.unpack("=2I", light[:8]) if light is not None else None
    return MasteringData(primaries, luminance, (level[0], level[1]) if level is not None else None)


def side_data(picture: av.VideoFrame, kind: str) -> bytes | None:
    """Side data of a picture by PyAV's name of their type; None if absent."""
    try:
        found = picture.side_data.get(kind)
    except ValueError:
        # PyAV refuses all of them where FFmpeg gives one that it has no name for, such as a still's EXIF.
        return None
    return bytes(found) if isinstance(found, SideData) else None


def _display(raw: bytes) -> tuple[tuple[int, ...] | None, tuple[int, int] | None]:
    # FFmpeg's AVMasteringDisplayMetadata: ten fractions, then two flags.
    values = struct.unpack("=22i", raw[:88])
    fractions = list(zip(values[0:20:2], values[1:20:2], strict=True))
    if any(denominator == 0 for _, denominator in fractions):
        return None, None
    points = tuple(round(CHROMATICITY_UNITS * a / b) for a, b in fractions[:8])
    least, most = (round(LUMINANCE_UNITS * a / b) for a, b in fractions[8:])
    return points if values[20] else None, (least, most) if values[21] else None
