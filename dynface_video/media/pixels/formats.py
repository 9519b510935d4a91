"""Pixel formats that are processed directly, and the conversion of all others."""

from __future__ import annotations

from av.video.format import VideoFormat

DEPTHS = (8, 9, 10, 12, 14, 16)
SUBSAMPLINGS = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (0, 1): "440", (2, 0): "411", (2, 2): "410"}


def working_format(pixel_format: str) -> str:
    """The planar format in which pictures of a format are read and changed.

    Planar YUV of 8 to 16 bits, grey and planar RGB (gbrp) are used directly; packed, semi-planar, palette and
    big-endian formats become the planar format of the same subsampling and depth. Transparency is kept in planar
    formats and in RGB.
    """
    layout = VideoFormat(pixel_format)
    if is_workable(layout):
        return pixel_format
    bits = max((c.bits for c in layout.components if not c.is_alpha), default=8)
    depth = next((d for d in DEPTHS if d >= bits), 16)
    suffix = "" if depth == 8 else f"{depth}le"
    if layout.is_rgb or layout.has_palette or layout.is_bayer:
        # There are no planar formats of 9 bit with transparency.
        return f"gbrap{suffix}" if has_alpha(pixel_format) and depth != 9 else f"gbrp{suffix}"
    if pixel_format.startswith(("gray", "ya", "mono")) and "yuv" not in pixel_format:
        return f"gray{suffix}"
    subsampling = SUBSAMPLINGS.get(subsampling_of(layout), "444")
    return f"yuv{subsampling}p{suffix}" if suffix == "" or subsampling in ("444", "422", "420") else f"yuv444p{suffix}"


def has_alpha(pixel_format: str) -> bool:
    """Whether pictures of a format may be transparent."""
    return any(component.is_alpha for component in VideoFormat(pixel_format).components)


def is_workable(layout: VideoFormat) -> bool:
    """Whether a format has one little-endian integer plane per component, luma or green first."""
    name = layout.name
    if not name.startswith(("yuv", "gray", "gbr")) or "f" in name or "msb" in name or layout.is_big_endian:
        return False
    components = layout.components
    return len({c.plane for c in components}) == len(components) and all(8 <= c.bits <= 16 for c in components)


def subsampling_of(layout: VideoFormat) -> tuple[int, int]:
    """Base-2 logarithms of the number of luma columns and lines per chroma sample."""
    width, height = 64, 64
    return (
        (width // layout.chroma_width(width)).bit_length() - 1,
        (height // layout.chroma_height(height)).bit_length() - 1,
    )
