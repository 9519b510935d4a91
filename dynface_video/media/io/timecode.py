"""The timecode that a video's first picture carries, as containers write it."""

from __future__ import annotations

import struct
from fractions import Fraction

import av

from dynface_video.media.pixels.hdr import side_data


def picture_timecode(picture: av.VideoFrame, rate: Fraction | None) -> str | None:
    """The timecode of a decoded picture, "hh:mm:ss:ff"; None if absent or if it only counts from zero.

    Args:
        picture: With SMPTE ST 12-1 timecode (H.264, HEVC, DV) or that of an MPEG group of pictures.
        rate: Frames a second.

    Returns:
        The timecode, with a semicolon before the frames where it drops frames.
    """
    smpte, group = side_data(picture, "S12M_TIMECODE"), side_data(picture, "GOP_TIMECODE")
    if smpte is not None and len(smpte) >= 8:
        code = struct.unpack_from("=I", smpte, 4)[0]
        fields = [_decimal(code & 63), _decimal(code >> 8 & 127), _decimal(code >> 16 & 127), _decimal(code >> 24 & 63)]
        drops = bool(code >> 30 & 1)
        if rate is not None and rate > 30:
            # Above 30 frames a second the code counts pairs; the second of a pair has a mark.
            fields[3] = 2 * fields[3] + (code >> (7 if rate == 50 else 23) & 1)
    elif group is not None and len(group) >= 8:
        # ISO/IEC 13818-2, 6.2.2.6.
        code = struct.unpack_from("=q", group)[0]
        fields, drops = [code >> 19 & 31, code >> 13 & 63, code >> 6 & 63, code & 63], bool(code >> 24 & 1)
    else:
        return None
    if not any(fields):
        return None
    hours, minutes, seconds, frames = fields
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{';' if drops else ':'}{frames:02d}"


def _decimal(code: int) -> int:
    return (code >> 4) * 10 + (code & 15)
