"""Pictures of a stream that changes in the middle, brought into the shape that the video began with.

An output has one size, sample aspect, orientation, pixel format and matrix. Pictures that differ are turned, converted
and scaled so that they are shown as before, with black bars where their proportions differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np

from dynface_video.media.io.cropping import NO_CROP, Crop
from dynface_video.media.io.probe import FULL, UNSPECIFIED, ColourInfo, VideoInfo, picture_colour, picture_matrix
from dynface_video.media.pixels.colour import convert_colour, filter_chain
from dynface_video.media.pixels.display import orientation, orientation_matrix
from dynface_video.media.pixels.formats import subsampling_of

TURN_FILTERS = {
    (1, 0, 0, 1): "", (-1, 0, 0, 1): "hflip", (1, 0, 0, -1): "vflip", (-1, 0, 0, -1): "hflip,vflip",
    (0, -1, 1, 0): "transpose=clock", (0, 1, -1, 0): "transpose=cclock",
    (0, 1, 1, 0): "transpose=cclock_flip", (0, -1, -1, 0): "transpose=clock_flip",
}  # fmt: skip
"""FFmpeg's filters for the eight right-angled orientations; keys are 2x2 matrices (x, y), row by row."""
SCALING = (
    "flags=bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact:interl=-1"
    ":in_color_matrix=bt709:out_color_matrix=bt709:in_range={0}:out_range={0}"
)
"""Without the size. The matrix is the same on both sides, or FFmpeg would convert to its default for the new size."""
Report = Callable[[str], None]


@dataclass(frozen=True)
class PictureShape:
    """What must be the same in all pictures of an output.

    Attributes:
        size: Stored width and height, without what the container crops.
        aspect: Width of a sample divided by its height.
        turned: Orientation: degrees clockwise, and whether the picture is mirrored first.
        pixel_format: FFmpeg's name.
        colour: Colour tags; what a stream leaves unspecified is taken from the video's beginning.
    """

    size: tuple[int, int]
    aspect: Fraction
    turned: tuple[int, bool]
    pixel_format: str
    colour: ColourInfo

    def differences(self, other: PictureShape) -> list[str]:
        """Each property in which this shape differs from another, one message each."""
        ours, theirs = self.colour, other.colour
        pairs = {
            "the picture size": (f"{self.size[0]}x{self.size[1]}", f"{other.size[0]}x{other.size[1]}"),
            "the sample aspect ratio": (_ratio(self.aspect), _ratio(other.aspect)),
            "the orientation": (_orientation(self.turned), _orientation(other.turned)),
            "the pixel format": (self.pixel_format, other.pixel_format),
            "the colour matrix": (ours.matrix, theirs.matrix),
            "the colour range": (ours.range, theirs.range),
            "the colour primaries": (ours.primaries, theirs.primaries),
            "the transfer function": (ours.transfer, theirs.transfer),
        }
        return [f"{what} changes from {old} to {new}" for what, (new, old) in pairs.items() if new != old]


class PictureFitter:
    """Crops pictures as the container requires, and converts deviating ones to the shape of the first picture.

    Args:
        info: The video.
    """

    def __init__(self, info: VideoInfo) -> None:
        self._info = info
        turned = (info.display.rotation, info.display.mirrored)
        colour = info.colour.resolved(info.height)
        self._first = PictureShape(
            (info.width, info.height), info.sample_aspect_ratio, turned, info.pixel_format, colour
        )
        self._last = self._first

    def fit(self, picture: av.VideoFrame, coded_aspect: Fraction, report: Report) -> tuple[av.VideoFrame, bool]:
        """Bring the next picture into the video's shape.

        Args:
            picture: As decoded.
            coded_aspect: Sample aspect ratio that the bitstream has at this picture.
            report: Told when the shape changes.

        Returns:
            The picture, and whether it was changed beyond cropping.
        """
        info = self._info
        crop = info.crop if (picture.width, picture.height) == info.coded_size else NO_CROP
        shape = self._shape(picture, coded_aspect, crop)
        if shape != self._last:
            self._tell(shape, report)
            self._last = shape
        if crop:
            picture = filter_chain(picture, _crop_filter(crop, *crop.size(picture.width, picture.height)))
        if shape == self._first:
            return picture, False
        return self._changed(picture, shape), True

    def _shape(self, picture: av.VideoFrame, coded_aspect: Fraction, crop: Crop) -> PictureShape:
        size = crop.size(picture.width, picture.height)
        matrix = picture_matrix(picture)
        # Headers repeat an orientation only where it changes.
        turned = self._last.turned if matrix is None else orientation(matrix)
        aspect = self._info.sample_aspect_ratio * coded_aspect / self._info.coded_aspect
        return PictureShape(size, aspect, turned, picture.format.name, self._colour(picture, size[1]))

    def _colour(self, picture: av.VideoFrame, height: int) -> ColourInfo:
        first, own = self._first.colour, picture_colour(picture)
        if own.matrix == UNSPECIFIED and height == self._first.size[1]:
            own = replace(own, matrix=first.matrix)
        own = own.resolved(height)
        return replace(
            own,
            primaries=first.primaries if own.primaries == UNSPECIFIED else own.primaries,
            transfer=first.transfer if own.transfer == UNSPECIFIED else own.transfer,
            siting=first.siting,
        )

    def _tell(self, shape: PictureShape, report: Report) -> None:
        what = ", ".join(shape.differences(self._last))
        if shape == self._first:
            report(f"{what}, as at the beginning")
            return
        done = []
        if (shape.size, shape.aspect, shape.turned) != (self._first.size, self._first.aspect, self._first.turned):
            done.append("pictures are fitted into the shape of the first, with black bars where needed")
        if (shape.pixel_format, shape.colour.matrix, shape.colour.range) != (
            self._first.pixel_format, self._first.colour.matrix, self._first.colour.range,
        ):  # fmt: skip
            done.append("samples are converted")
        if (shape.colour.primaries, shape.colour.transfer) != (
            self._first.colour.primaries,
            self._first.colour.transfer,
        ):
            done.append("primaries and transfer are not converted: colours will look different from here on")
        report(f"{what}; {'; '.join(done)}")

    def _changed(self, picture: av.VideoFrame, shape: PictureShape) -> av.VideoFrame:
        info = self._info
        colour = replace(info.colour, matrix=self._first.colour.matrix, range=self._first.colour.range)
        picture = convert_colour(picture, shape.colour, info.pixel_format, colour)
        turn = _relative_turn(shape.turned, self._first.turned)
        wide, high = picture.width, picture.height
        aspect = shape.aspect
        if abs(turn[0]) == 0:
            wide, high, aspect = high, wide, 1 / aspect
        steps = [TURN_FILTERS[turn], *self._fitting_steps(wide, high, aspect)]
        steps = [step for step in steps if step]
        return filter_chain(picture, ",".join([*steps, f"format={info.pixel_format}"])) if steps else picture

    def _fitting_steps(self, wide: int, high: int, aspect: Fraction) -> list[str]:
        """Filters that scale a turned picture and put it into the middle of black."""
        info = self._info
        stretch = aspect / info.sample_aspect_ratio
        scale = min(Fraction(info.width) / (wide * stretch), Fraction(info.height, high))
        across, down = (1 << shift for shift in subsampling_of(av.VideoFormat(info.pixel_format)))
        width = _whole(wide * stretch * scale, across, info.width)
        height = _whole(high * scale, down, info.height)
        left = (info.width - width) // 2 // across * across
        top = (info.height - height) // 2 // down * down
        if (wide, high) == (width, height) == (info.width, info.height):
            return []
        # Also where only bars are added: their black is that of the range which the scaler passes on.
        extent = "full" if self._first.colour.range == FULL else "limited"
        return [
            f"scale={width}:{height}:{SCALING.format(extent)}",
            f"pad={info.width}:{info.height}:{left}:{top}:black",
        ]


def _crop_filter(crop: Crop, width: int, height: int) -> str:
    return f"crop={width}:{height}:{crop.left}:{crop.top}:exact=1"


def _whole(length: Fraction, multiple: int, most: int) -> int:
    """The nearest multiple of the chroma grid, at least one; all of the length where that is nearly reached."""
    if most - length < 1:
        return most
    return max(round(length / multiple) * multiple, multiple)


def _relative_turn(own: tuple[int, bool], wanted: tuple[int, bool]) -> tuple[int, int, int, int]:
    """The turn of a stored picture that makes it look under another orientation as it did under its own."""
    relative = np.linalg.inv(orientation_matrix(*wanted)) @ orientation_matrix(*own)
    a, b, c, d = np.rint(relative).astype(int).ravel().tolist()
    return a, b, c, d


def _ratio(aspect: Fraction) -> str:
    return f"{aspect.numerator}:{aspect.denominator}"


def _orientation(turned: tuple[int, bool]) -> str:
    return f"{turned[0]} degrees{' mirrored' if turned[1] else ''}"
