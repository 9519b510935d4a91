"""What becomes of the restored segments: a video file, or a folder of images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from dynface_video.config import OutputSettings
from dynface_video.errors import InputError
from dynface_video.media.io.image_file import WRITTEN_KINDS, ImageFile
from dynface_video.media.io.images import read_image, upright, write_image
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.sequence import SEQUENCE, image_files, samples_of
from dynface_video.media.output.assemble import assemble, lost_messages
from dynface_video.media.output.encoding import LOSSLESS, EncodeSettings, choose_encoding
from dynface_video.media.output.mezzanine import Mezzanine
from dynface_video.media.output.picture_messages import read_messages
from dynface_video.media.output.stream_copy import parameter_set_number, unsupported_reason
from dynface_video.media.output.write import read_segment
from dynface_video.media.pixels.formats import has_alpha

PICTURES = "pictures"
TURNS = {(0, False): 1, (0, True): 2, (180, False): 3, (180, True): 4, (90, True): 7, (90, False): 6,
         (270, True): 5, (270, False): 8}  # fmt: skip
"""EXIF's orientation by rotation and mirroring."""


class Output(Protocol):
    """What is made of the restored segments."""

    @property
    def info(self) -> VideoInfo:
        """The source."""

    @property
    def target(self) -> Path:
        """Where it goes."""

    @property
    def encoding(self) -> EncodeSettings:
        """How its segments are encoded."""

    def finish(
        self, segments: Sequence[Path], pts: np.ndarray, job: Path, on_frame: Callable[[int], None]
    ) -> tuple[str, ...]:
        """Make the target; it appears only when it is complete.

        Args:
            segments: All of them, in order.
            pts: Timestamps of the frames, int64, in the source's time base.
            job: The job's directory, for temporary files.
            on_frame: Called with the number of frames done.

        Returns:
            Warnings for the user.
        """


@dataclass(frozen=True)
class VideoFile:
    """One file: the segments are joined, or decoded and encoded once if there is a mezzanine.

    Args:
        info: The source.
        target: The file.
        encoding: Of the segments.
        mezzanine: Encodes lossless segments.
        remarks: Warnings known from the beginning.
    """

    info: VideoInfo
    target: Path
    encoding: EncodeSettings
    mezzanine: Mezzanine | None = None
    remarks: tuple[str, ...] = ()

    def finish(
        self, segments: Sequence[Path], pts: np.ndarray, job: Path, on_frame: Callable[[int], None]
    ) -> tuple[str, ...]:
        """See `Output.finish`."""
        if self.mezzanine is not None:
            segments = [self.mezzanine.encode(segments, self.info, on_frame)]
        return (*self.remarks, *assemble(segments, self.info, self.target, pts).warnings)


@dataclass(frozen=True)
class ImageFolder:
    """A folder with one image per frame, named like the source's images, or numbered if the source is a video.

    Args:
        info: The source.
        target: The folder.
        encoding: Of the segments.
        ending: Of the files' names, with the dot; None keeps the source's.
    """

    info: VideoInfo
    target: Path
    encoding: EncodeSettings
    ending: str | None

    def finish(
        self, segments: Sequence[Path], pts: np.ndarray, job: Path, on_frame: Callable[[int], None]
    ) -> tuple[str, ...]:
        """See `Output.finish`."""
        files = image_files(self.info.path) if self.info.format_name == SEQUENCE else []
        names = (
            image_names(files, self.ending) if files else [f"{n:06d}{self.ending or '.png'}" for n in range(len(pts))]
        )
        folder = job / PICTURES
        folder.mkdir(exist_ok=True)
        warnings: list[str] = []
        done = 0
        for path in segments:
            for frame in read_segment(path, self.info, done):
                if not (folder / names[done]).exists():
                    samples = samples_of(frame.picture, frame.colour)
                    warnings += self._write(folder / names[done], samples, files[done] if files else None)
                done += 1
                on_frame(done)
        publish_folder(folder, self.target)
        return (*_losses(warnings), *self._left_out(pts))

    def _write(self, path: Path, samples: np.ndarray, original: Path | None) -> tuple[str, ...]:
        display = self.info.display
        if original is None:
            samples = upright(samples, TURNS[display.rotation, display.mirrored])
            return write_image(path, samples, ImageFile(None, "", samples))
        try:
            source = read_image(original)
        except InputError:
            # An unreadable image shows the one before it.
            source = ImageFile(None, "", samples)
        return write_image(path, samples, source)

    def _left_out(self, pts: np.ndarray) -> list[str]:
        streams = [
            f"{other.kind} stream {other.index} ({other.codec}) is not in the output: a folder of images cannot hold it"
            for other in self.info.others
        ]
        return streams + [str(item) for item in lost_messages(read_messages(self.info, pts), "")]


def choose_output(info: VideoInfo, target: Path, settings: OutputSettings) -> Output:
    """Choose the output by the target's name.

    Args:
        info: The source.
        target: A video file, or a folder for images.
        settings: How to encode it.

    Raises:
        InputError: It cannot be made from this source.
    """
    if is_folder(target):
        if settings.codec is not None or settings.mezzanine:
            raise InputError(f"{target} will be a folder of images: a codec or a mezzanine cannot be used")
        lossless = EncodeSettings("ffv1", None, None, info.pixel_format, interlaced=info.interlaced).lossless()
        lossless = replace(lossless, interlaced=info.interlaced and settings.interlaced != "deinterlace")
        return ImageFolder(info, target, lossless, ending_of(settings))
    if target.suffix.lower() in WRITTEN_KINDS:
        raise InputError(f"{target}: one image cannot hold all of {info.path}; name a folder or a video file")
    wanted = choose_encoding(
        info,
        target,
        settings.codec,
        settings.crf,
        preset=settings.encoder_preset,
        pixel_format=settings.pix_fmt,
        interlaced=info.interlaced and settings.interlaced != "deinterlace",
    )
    if settings.mezzanine and wanted.codec not in LOSSLESS:
        if settings.copy_untouched:
            raise InputError(
                "--mezzanine encodes everything at the end, so nothing can be copied: use either --mezzanine "
                "or --copy-untouched"
            )
        return VideoFile(
            info, target, wanted.lossless(), Mezzanine(wanted.for_whole_video()), _transparency(info, wanted)
        )
    if not settings.copy_untouched:
        return VideoFile(info, target, wanted, remarks=_transparency(info, wanted))
    reason = unsupported_reason(info, wanted)
    if reason is not None:
        remarks = (*_transparency(info, wanted), f"nothing was copied: {reason}")
        return VideoFile(info, target, wanted, remarks=remarks)
    return VideoFile(info, target, replace(wanted, parameter_set=parameter_set_number(info)))


def _transparency(info: VideoInfo, encoding: EncodeSettings) -> tuple[str, ...]:
    """A remark if the source may be transparent and the output cannot."""
    if info.opaque or not has_alpha(info.pixel_format) or has_alpha(encoding.pixel_format):
        return ()
    return (
        f"transparency is not in the output: {encoding.codec} cannot hold it; --codec ffv1 and a .mkv file keep it",
    )


def is_folder(target: Path) -> bool:
    """Whether a target is a folder: an existing one, or a name without an ending.

    Args:
        target: The output.
    """
    return target.is_dir() or not target.suffix


def ending_of(settings: OutputSettings) -> str | None:
    """The ending of images' names by the settings, with the dot; None to keep the source's.

    Args:
        settings: Of the output.
    """
    return None if settings.image_format is None else f".{settings.image_format}"


def image_names(files: Sequence[Path], ending: str | None, root: Path | None = None) -> list[str]:
    """Name the outputs of images.

    Args:
        files: The images.
        ending: With the dot; None keeps each file's, or uses .png if its format cannot be written.
        root: Folder below which the outputs keep their subfolders, separated by slashes; None puts all into one.

    Raises:
        InputError: Two outputs would have the same name.
    """
    names = [
        file.name if ending is None and file.suffix.lower() in WRITTEN_KINDS else f"{file.stem}{ending or '.png'}"
        for file in files
    ]
    if root is not None:
        names = [(file.parent.relative_to(root) / name).as_posix() for file, name in zip(files, names, strict=True)]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"two images would be written as {twice[0]}; give them different names first")
    return names


def publish_folder(folder: Path, target: Path) -> None:
    """Move a complete folder to its final name; into an existing folder, file by file.

    Args:
        folder: The complete folder, on the same file system.
        target: Its final name.
    """
    if not target.exists():
        folder.rename(target)
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir() and (target / path.name).is_dir():
            publish_folder(path, target / path.name)
        else:
            os.replace(path, target / path.name)
    with suppress(OSError):
        folder.rmdir()


def _losses(warnings: Sequence[str]) -> tuple[str, ...]:
    """One warning for each kind of loss, not for each image."""
    by_kind: dict[str, list[str]] = {}
    for warning in warnings:
        name, _, what = warning.partition(": ")
        by_kind.setdefault(what, []).append(name)
    return tuple(
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {what}"
        for what, names in by_kind.items()
    )
