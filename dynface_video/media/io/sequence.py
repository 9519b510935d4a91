"""A folder of images as a video: one frame a file, in the order of their numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dynface_video.errors import RESTART, InputError, JobError
from dynface_video.media.io.image_file import READABLE, VIDEOS, ImageFile
from dynface_video.media.io.images import image_size, is_photograph, read_image, remedy
from dynface_video.media.io.missing import MissingPictures
from dynface_video.media.io.probe import FULL, ColourInfo, VideoInfo
from dynface_video.media.pixels.colour import convert
from dynface_video.media.pixels.display import display_geometry
from dynface_video.media.pixels.fitting import PictureFitter
from dynface_video.media.pixels.frame import Frame
from dynface_video.media.timing.index import FrameIndex, IndexBuilder, checksum

SEQUENCE = "images"
"""`VideoInfo.format_name` of images."""
FULL_RANGE = ColourInfo(range=FULL)
PICTURE_FORMATS = {(2, False): "gray", (2, True): "gray16le", (3, False): "rgb24", (3, True): "rgb48le"}
NAMED = 20
"""Files of a kind that are named one by one."""
ONE = 1 << 16
ORIENTATION_MATRICES = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip
"""EXIF's orientations as a, b, c, d of FFmpeg's display matrix."""


def image_files(source: Path) -> list[Path]:
    """List the images of a folder in numerical order of their names; a single file is returned alone.

    Raises:
        InputError: The folder has no images.
    """
    if not source.is_dir():
        return [source]
    files = _images(source)
    if not files:
        others = "".join(f"; {message}" for message in unread_files(source))
        raise InputError(f"{source} is a folder without images ({', '.join(sorted(READABLE))}){others}")
    return sorted(files, key=_numbered)


def has_images(folder: Path) -> bool:
    """Whether a folder itself, apart from its subfolders, holds images that are read."""
    return bool(_images(folder))


def unread_subfolders(source: Path) -> list[str]:
    """A message that names the subfolders of a sequence, whose images are not taken; none without such."""
    if not source.is_dir():
        return []
    folders = [path for path in sorted(source.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    names = [path.name for path in folders if has_images(path)]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    if not names:
        return []
    return [f"{source}: not taken: subfolders {', '.join(names[:NAMED])}{more} (restore each sequence on its own)"]


def unread_files(source: Path) -> list[str]:
    """A message for each kind of file in a folder that is not read, with names and remedy."""
    if not source.is_dir():
        return []
    kinds: dict[str, list[Path]] = {}
    for path in sorted(_visible_files(source), key=_numbered):
        if path.suffix.lower() not in READABLE or remedy(path):
            kinds.setdefault(path.suffix.lower(), []).append(path)
    messages = []
    for paths in kinds.values():
        names = ", ".join(path.name for path in paths[:NAMED])
        more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
        is_video = paths[0].suffix.lower() in VIDEOS
        known = "a video: restore it on its own" if is_video else remedy(paths[0]) or "no image format that is read"
        messages.append(f"{source}: not taken: {names}{more} ({known})")
    return messages


def is_sequence(files: list[Path]) -> bool:
    """Whether images are the frames of a film: numbered alike, of one size, and without a camera's time of capture.

    Names are numbered alike if they differ in one number only, such as `f0001_4k.ppm`; digits of the ending do not
    count.

    Raises:
        InputError: An image cannot be read.
    """
    if len(files) < 2:
        return False
    names = [(tuple(re.split(r"(\d+)", path.stem)), path.suffix) for path in files]
    if len({(len(parts), suffix) for parts, suffix in names}) > 1:
        return False
    differing = [
        place for place, texts in enumerate(zip(*(parts for parts, _ in names), strict=True)) if len(set(texts)) > 1
    ]
    # Text and numbers take turns, and text comes first.
    if len(differing) != 1 or differing[0] % 2 == 0:
        return False
    if is_photograph(files[0]) or is_photograph(files[-1]):
        return False
    return len({image_size(path) for path in files}) == 1


def probe_images(source: Path, rate: Fraction) -> VideoInfo:
    """Describe a folder of images, or one image, as a video.

    Args:
        source: The folder or the file.
        rate: Frames per second.

    Raises:
        InputError: No images, the first is unreadable, or the sizes differ.
    """
    files = image_files(source)
    first = read_image(files[0])
    sizes = {path: image_size(path) for path in files} if len(files) > 1 else {}
    for path, size in sizes.items():
        if size != sizes[files[0]]:
            raise InputError(
                f"{path} is {size[0]}x{size[1]}, the sequence began with {sizes[files[0]][0]}x{sizes[files[0]][1]}; "
                "give --images stills for pictures of their own"
            )
    return image_info(first, source, rate=rate, count=len(files))


def image_info(image: ImageFile, source: Path, *, rate: Fraction = Fraction(1), count: int = 1) -> VideoInfo:
    """Describe images as a video.

    Args:
        image: The first of them.
        source: Name for messages.
        rate: Frames per second.
        count: Number of images.
    """
    height, width = image.samples.shape[:2]
    matrix = display_matrix(image.orientation)
    return VideoInfo(
        path=source,
        format_name=SEQUENCE,
        stream_index=0,
        codec=image.kind.lower(),
        width=width,
        height=height,
        pixel_format=picture_of(image).format.name,
        time_base=1 / rate,
        frame_rate=rate,
        declared_frames=count,
        duration=count / rate,
        sample_aspect_ratio=image.aspect,
        colour=replace(FULL_RANGE, transfer=image.transfer),
        display=display_geometry(width, height, image.aspect, matrix),
        others=(),
        display_matrix=matrix,
    )


def read_sequence(
    info: VideoInfo, index: IndexBuilder | None, on_warning: Callable[[str], None] | None
) -> Iterator[Frame]:
    """Read every image as a frame; an unreadable one is replaced by the previous one.

    Args:
        info: Of `probe_images`.
        index: Collects what `read_sequence_span` needs.
        on_warning: Receives a message for each image that is replaced or changed, and for files that are not read.

    Raises:
        InputError: The first image is unreadable.
    """
    last: av.VideoFrame | None = None
    missing = MissingPictures(info)
    fitter = PictureFitter(info)
    if on_warning is not None:
        for message in (*unread_files(info.path), *unread_subfolders(info.path)):
            on_warning(message)
    for number, path in enumerate(image_files(info.path)):
        repeated = False
        try:
            last = _picture(path, fitter, on_warning)
        except InputError as error:
            if last is None:
                raise
            repeated = True
            missing.images += 1
            if on_warning is not None:
                on_warning(f"{error}; the image before it is repeated")
        if index is not None:
            index.add(last, number, entry=None, repeated=repeated)
        yield Frame(number, number, info.time_base, last, info.colour)
    if index is not None:
        index.missing = missing.describe()


def read_sequence_span(
    info: VideoInfo, index: FrameIndex, start: int, stop: int, on_warning: Callable[[str], None] | None
) -> Iterator[Frame]:
    """Read the frames start .. stop - 1.

    Raises:
        JobError: Images were added, removed or changed.
    """
    files = image_files(info.path)
    if len(files) != len(index.pts):
        raise JobError(f"{info.path} held {len(index.pts)} images and now holds {len(files)}; {RESTART}")
    first = start
    while first in index.repeated:
        first -= 1
    picture: av.VideoFrame | None = None
    fitter = PictureFitter(info)
    for number in range(first, stop):
        if number not in index.repeated or picture is None:
            picture = _picture(files[number], fitter, on_warning)
            if checksum(picture) != index.checksums[number]:
                raise JobError(f"{files[number]} has changed since it was analysed; {RESTART}")
        if number >= start:
            yield Frame(number, number, info.time_base, picture, info.colour)


def picture_of(image: ImageFile) -> av.VideoFrame:
    """Convert an image's samples to a picture, without transparency."""
    return av.VideoFrame.from_ndarray(image.samples, format=PICTURE_FORMATS[image.samples.ndim, image.deep])


def samples_of(picture: av.VideoFrame, colour: ColourInfo) -> np.ndarray:
    """Convert a picture to an image's samples.

    Returns:
        (H, W) grey or (H, W, 3) RGB, uint8 up to 8 bits, otherwise uint16.
    """
    colours = [component for component in picture.format.components if not component.is_alpha]
    grey, deep = len(colours) == 1 and not picture.format.has_palette, colours[0].bits > 8
    if deep and not grey and not picture.format.is_rgb:
        # From YUV straight to packed RGB of 16 bit swscale loses the colours' upper and lower ends.
        picture = convert(picture, "gbrp16le", colour)
    if grey and colour.resolved(picture.height).range != FULL:
        # From grey to grey swscale does not convert the range.
        return np.ascontiguousarray(convert(picture, PICTURE_FORMATS[3, deep], colour).to_ndarray()[..., 1])
    return np.asarray(convert(picture, PICTURE_FORMATS[2 if grey else 3, deep], colour).to_ndarray())


def display_matrix(orientation: int) -> tuple[int, ...] | None:
    """Convert EXIF's orientation to FFmpeg's display matrix; None for upright."""
    if orientation == 1:
        return None
    a, b, c, d = ORIENTATION_MATRICES[orientation]
    return (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


def _picture(path: Path, fitter: PictureFitter, on_warning: Callable[[str], None] | None) -> av.VideoFrame:
    def report(message: str) -> None:
        if on_warning is not None:
            on_warning(f"{path}: {message}")

    return fitter.fit(picture_of(read_image(path)), Fraction(1), report)[0]


def _images(folder: Path) -> list[Path]:
    return [path for path in _visible_files(folder) if path.suffix.lower() in READABLE and not remedy(path)]


def _visible_files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]


def _numbered(path: Path) -> list[tuple[int, int, str]]:
    """A key by which names are in the order of their numbers."""
    return [_number(part) for part in re.split(r"(\d+)", path.name)]


def _number(part: str) -> tuple[int, int, str]:
    return (0, int(part), "") if part.isdigit() else (1, 0, part.lower())
