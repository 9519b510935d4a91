"""What kind of source a path is, and what it holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from dynface_video.config import InputSettings, Settings
from dynface_video.errors import InputError
from dynface_video.jobs.plan import file_digest
from dynface_video.media.io.image_file import READABLE
from dynface_video.media.io.images import remedy
from dynface_video.media.io.probe import VideoInfo, probe
from dynface_video.media.io.sequence import has_images, image_files, is_sequence, probe_images
from dynface_video.media.pixels.interlace import resolve_interlaced

SAMPLED = 1 << 16
"""Bytes of each image that go into the digest of a folder."""


def is_stills(source: Path, settings: InputSettings) -> bool:
    """Whether a source is one or more single pictures, not a video or the frames of one.

    Args:
        source: A file or a folder.
        settings: How to take a folder of images.

    Raises:
        InputError: The path cannot be read, or is a folder without images.
    """
    try:
        is_folder = source.is_dir()
    except OSError as error:
        raise InputError(f"{source} cannot be read ({error.strerror})") from error
    if not is_folder:
        if remedy(source):
            raise InputError(f"{source}: {remedy(source)}")
        return source.suffix.lower() in READABLE
    if settings.images != "sequence" and not has_images(source):
        # An album of subfolders.
        return any(has_images(folder) for folder in source.rglob("*/") if folder.is_dir()) or bool(image_files(source))
    files = image_files(source)
    return settings.images == "stills" or (settings.images == "auto" and not is_sequence(files))


def probe_source(source: Path, settings: Settings) -> VideoInfo:
    """Probe a video, or a folder of its frames, and decide how to read it.

    Args:
        source: A video, a single image, or a folder of images.
        settings: All of them.

    Raises:
        InputError: It cannot be read.
    """
    if source.is_dir():
        return probe_images(source, settings.input.rate)
    if source.suffix.lower() in READABLE:
        return probe_images(source, Fraction(1))
    return resolve_interlaced(probe(source), settings.output.interlaced)


def source_digest(source: Path) -> str:
    """SHA-256 of a file's content (`file_digest`), or of the images in a folder (`images_digest`).

    Args:
        source: A file or a folder of images.
    """
    return images_digest(image_files(source)) if source.is_dir() else file_digest(source)


def images_digest(files: Sequence[Path]) -> str:
    """SHA-256 of the images' names, sizes and first bytes: reading a whole film for it would take too long.

    Args:
        files: The images, in order.

    Raises:
        InputError: One cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for path in files:
            digest.update(f"{path.name}:{path.stat().st_size}:".encode())
            with open(path, "rb") as handle:
                digest.update(handle.read(SAMPLED))
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror})") from error
    return digest.hexdigest()
