"""Reading and changing regions of a picture as RGB without touching any other sample.

Conversion is done here rather than by swscale: a picture stays in its own YUV format, and only the change of a region
passes through RGB. Chroma is computed at the positions that the stream gives for its samples.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import av.filter
import cv2
import numpy as np
from av.video.format import VideoFormat
from av.video.reformatter import Interpolation

from dynface_video.media.io.probe import FULL, LIMITED, ColourInfo
from dynface_video.media.pixels.formats import is_workable, working_format
from dynface_video.media.pixels.planes import Box, Planes
from dynface_video.media.pixels.sampling import chroma_to_luma, luma_to_chroma
from dynface_video.media.pixels.siting import offsets

__all__ = [
    "blend_region",
    "convert",
    "convert_colour",
    "filter_chain",
    "filter_graph",
    "picture_to_quick_rgb",
    "picture_to_rgb",
    "picture_to_rgb16",
    "read_region",
    "rgb_to_ycc",
    "working_format",
    "writable_copy",
]

KR_KB = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Luma weights of red and blue by FFmpeg's matrix number: BT.709, FCC, BT.601 (two), SMPTE 240M, BT.2020 (two)."""

SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
YCGCO = 8
# Without these swscale takes a fast path to RGB that is one to two levels too dark.
SWSCALE_FLAGS = (
    Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
# That fast path.
QUICK_SWSCALE_FLAGS = Interpolation.BILINEAR


def read_region(picture: av.VideoFrame, box: Box, colour: ColourInfo) -> np.ndarray:
    """Read a region of a picture.

    Args:
        picture: Any picture.
        box: x0, y0, x1, y1 in storage pixels, the end not included.
        colour: Its colour tags.

    Returns:
        (h, w, 3) float32 RGB, nominally in [0, 1] but not clipped, because YUV reaches beyond RGB.

    Raises:
        ValueError: The box lies outside the picture.
    """
    _check_box(picture, box)
    picture = convert(picture, working_format(picture.format.name), colour)
    planes = Planes(picture, full=_is_full(picture, colour))
    if picture.format.is_rgb:
        return np.stack([planes.luma(i, box) for i in range(3)], axis=-1)
    if planes.count == 1:
        return np.repeat(planes.luma(0, box)[..., None], 3, axis=-1)
    to_rgb = np.linalg.inv(rgb_to_ycc(colour.resolved(picture.height).matrix))
    ycc = _read_ycc(planes, box, offsets(colour.siting, planes.subsampling))
    return np.asarray(cv2.transform(ycc, to_rgb.astype(np.float32)))


def blend_region(picture: av.VideoFrame, box: Box, rgb: np.ndarray, mask: np.ndarray, colour: ColourInfo) -> None:
    """Blend a region into a picture in place: `result = old + mask * (rgb - old)`, in the picture's own format.

    Samples whose mask is 0 keep every bit; a chroma sample's mask is 0 where that of all its pixels is.

    Args:
        picture: In a working format (`writable_copy`).
        box: As of `read_region`.
        rgb: (h, w, 3) float32, nominally in [0, 1].
        mask: (h, w) float32 in [0, 1].
        colour: The picture's colour tags.

    Raises:
        ValueError: Shapes and box disagree, or the picture is not in a working format.
    """
    _check_box(picture, box)
    height, width = box[3] - box[1], box[2] - box[0]
    if rgb.shape != (height, width, 3) or mask.shape != (height, width):
        raise ValueError(f"the box is {width}x{height}, the colours have shape {rgb.shape} and the mask {mask.shape}")
    if not is_workable(picture.format):
        raise ValueError(f"a picture of format {picture.format.name} cannot be changed; take a writable_copy first")
    planes = Planes(picture, full=_is_full(picture, colour))
    if picture.format.is_rgb:
        for i in range(3):
            planes.add_luma(i, box, mask * (rgb[..., i] - planes.luma(i, box)))
        return
    matrix = rgb_to_ycc(colour.resolved(picture.height).matrix).astype(np.float32)
    if planes.count == 1:
        planes.add_luma(0, box, mask * (rgb @ matrix[0] - planes.luma(0, box)))
        return
    # Only the change passes the chroma grid; unchanged samples would lose sharpness on the way there and back.
    offset = offsets(colour.siting, planes.subsampling)
    wanted, old = cv2.split(cv2.transform(rgb, matrix)), _read_components(planes, box, offset)
    luma, *chroma = (mask * (new - now) for new, now in zip(wanted, old, strict=True))
    planes.add_luma(0, box, luma)
    chroma_box = planes.chroma_box(box)
    for i, change in enumerate(chroma, 1):
        averaged = luma_to_chroma(change, mask, box, chroma_box, planes.subsampling, offset)
        planes.add_chroma(i, chroma_box, averaged)


def writable_copy(picture: av.VideoFrame) -> av.VideoFrame:
    """Copy a picture into its working format, with the same time, colour tags and side data."""
    # PyAV copies side data (closed captions, mastering data) only inside FFmpeg; a filter that copies is the way in.
    copy = filter_chain(picture, "copy")
    return convert(copy, working_format(copy.format.name), ColourInfo())


def filter_graph(picture: av.VideoFrame, *filters: tuple[str, str | None]) -> av.filter.Graph:
    """Build a chain of FFmpeg's filters for pictures like this one.

    Args:
        picture: Gives size, format and time base.
        filters: Name and options of each filter.
    """
    graph = av.filter.Graph()
    # Otherwise a thread a core is started for each picture.
    graph.threads = 1
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(1, 90000),
    )
    steps = [graph.add(name, options) for name, options in filters]
    graph.link_nodes(source, *steps, graph.add("buffersink")).configure()
    return graph


def filter_chain(picture: av.VideoFrame, chain: str) -> av.VideoFrame:
    """Apply a chain of FFmpeg's filters, such as "hflip,scale=64:48"; the time stays."""
    steps = [step.partition("=") for step in chain.split(",")]
    graph = filter_graph(picture, *((name, options or None) for name, _, options in steps))
    graph.push(picture)
    result = graph.vpull()
    result.pts = picture.pts
    if picture.time_base is not None:
        result.time_base = picture.time_base
    return result


def picture_to_rgb(picture: av.VideoFrame, colour: ColourInfo) -> np.ndarray:
    """Convert a whole picture to (H, W, 3) uint8 RGB with the given matrix and range."""
    return np.asarray(convert(picture, "rgb24", colour).to_ndarray())


def picture_to_quick_rgb(picture: av.VideoFrame, colour: ColourInfo) -> np.ndarray:
    """As `picture_to_rgb`, up to eight times as fast: a level or two too dark, and chroma is not interpolated."""
    own = colour.resolved(picture.height)
    return np.asarray(convert_colour(picture, own, "rgb24", own, flags=QUICK_SWSCALE_FLAGS).to_ndarray())


def picture_to_rgb16(picture: av.VideoFrame, colour: ColourInfo) -> np.ndarray:
    """Convert a whole picture to (H, W, 3) uint16 RGB with the given matrix and range."""
    if not picture.format.is_rgb:
        # From YUV straight to packed RGB of 16 bit swscale loses the colours' upper and lower ends.
        picture = convert(picture, "gbrp16le", colour)
    return np.asarray(convert(picture, "rgb48le", colour).to_ndarray())


def convert(picture: av.VideoFrame, pixel_format: str, colour: ColourInfo) -> av.VideoFrame:
    """Convert a picture to another pixel format with the same colours.

    Between YUV formats matrix and range stay unchanged; to and from RGB those of `colour` apply.

    Args:
        picture: Any picture.
        pixel_format: FFmpeg's name.
        colour: The picture's colour tags.

    Returns:
        The converted picture, or the picture itself if it has that format.
    """
    if picture.format.name == pixel_format:
        return picture
    colour = colour.resolved(picture.height)
    if not (VideoFormat(pixel_format).is_rgb or picture.format.is_rgb):
        colour = replace(colour, range=FULL if _is_full(picture, colour) else LIMITED)
    return convert_colour(picture, colour, pixel_format, colour)


def convert_colour(
    picture: av.VideoFrame,
    own: ColourInfo,
    pixel_format: str,
    wanted: ColourInfo,
    flags: Interpolation = SWSCALE_FLAGS,
) -> av.VideoFrame:
    """The picture in another pixel format, matrix and range; primaries and transfer stay as they are.

    Args:
        picture: Any picture.
        own: Its colour tags, resolved; RGB counts as full range whatever they say.
        pixel_format: The format that it becomes.
        wanted: The colour tags that it becomes, resolved.
        flags: Of swscale.

    Returns:
        The converted picture, or the picture itself where nothing is to be done.
    """
    target = VideoFormat(pixel_format)
    ranges = (FULL if _is_full(picture, own) else LIMITED, FULL if target.is_rgb else wanted.range)
    matrices = [SWSCALE_MATRIX.get(colour.matrix, SWSCALE_MATRIX[5]) for colour in (own, wanted)]
    if picture.format.is_rgb or target.is_rgb:
        # RGB has no matrix of its own.
        matrices = [matrices[0 if target.is_rgb else 1]] * 2
    if picture.format.name == pixel_format and matrices[0] == matrices[1] and ranges[0] == ranges[1]:
        return picture
    return picture.reformat(
        format=pixel_format,
        src_colorspace=matrices[0],
        dst_colorspace=matrices[1],
        src_color_range=ranges[0],
        dst_color_range=ranges[1],
        interpolation=flags,
        threads=1,
    )


def rgb_to_ycc(matrix: int) -> np.ndarray:
    """Matrix from RGB in [0, 1] to Y in [0, 1] and Cb, Cr in [-0.5, 0.5].

    Matrices that are not linear in RGB (such as ICtCp) are computed as BT.709; reading and writing stay inverse to each
    other.

    Args:
        matrix: FFmpeg's number.

    Returns:
        (3, 3) float64.
    """
    if matrix == YCGCO:
        return np.array([[0.25, 0.5, 0.25], [-0.25, 0.5, -0.25], [0.5, 0, -0.5]])
    kr, kb = KR_KB.get(matrix, KR_KB[1])
    luma = np.array([kr, 1 - kr - kb, kb])
    blue = (np.array([0, 0, 1]) - luma) / (2 * (1 - kb))
    red = (np.array([1, 0, 0]) - luma) / (2 * (1 - kr))
    return np.stack([luma, blue, red])


def _read_ycc(planes: Planes, box: Box, offset: tuple[float, float]) -> np.ndarray:
    """(h, w, 3) float32: luma and interpolated chroma, nominal values."""
    return np.asarray(cv2.merge(_read_components(planes, box, offset)))


def _read_components(planes: Planes, box: Box, offset: tuple[float, float]) -> list[np.ndarray]:
    """Luma and interpolated chroma, (h, w) float32 each, nominal values."""
    chroma_box = planes.chroma_box(box, margin=1)
    chroma = [chroma_to_luma(planes.chroma(i, chroma_box), box, chroma_box, planes.subsampling, offset) for i in (1, 2)]
    return [planes.luma(0, box), *(np.ascontiguousarray(part) for part in chroma)]


def _is_full(picture: av.VideoFrame, colour: ColourInfo) -> bool:
    name = picture.format.name
    return picture.format.is_rgb or name.startswith("yuvj") or colour.range == FULL


def _check_box(picture: av.VideoFrame, box: Box) -> None:
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= picture.width and 0 <= y0 < y1 <= picture.height):
        raise ValueError(f"the box {box} does not lie in a picture of {picture.width}x{picture.height}")
