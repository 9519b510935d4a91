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
from dynface_video.media.io.images import FORMATS, ImageFile, read_image, upright, write_image
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.sequence import SEQUENCE, image_files, samples_of
from dynface_video.media.output.assemble import assemble
from dynface_video.media.output.encoding import LOSSLESS, EncodeSettings, choose_encoding
from dynface_video.media.output.mezzanine import Mezzanine
from dynface_video.media.output.stream_copy import parameter_set_number, unsupported_reason
from dynface_video.media.output.write import read_segment
from dynface_video.media.pixels.formats import has_alpha

PICTURES = "pictures"
TURNS = {(0, False): 1, (0, True): 2, (180, False): 3, (180, True): 4, (90, True): 7, (90, False): 6,
         (270, True): 5, (270, False): 8}  # fmt: skip
"""EXIF's orientation by rotation and mirroring."""


class Output(Protocol):
    """A target. encoding: how its segments are to be encoded."""

    @property
    def encoding(self) -> EncodeSettings:
        """How its segments are encoded."""

    def finish(
        self, segments: Sequence[Path], pts: np.ndarray, job: Path, on_frame: Callable[[int], None]
    ) -> tuple[str, ...]:
        """Make the target from all segments, in order; it appears only when it is complete. Returns warnings.

        job: the job's directory; on_frame: told how many frames are done
        """


@dataclass(frozen=True)
class VideoFile:
    """One file, of segments that are joined, or encoded once where there is a mezzanine."""

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
    """A folder with an image a frame: from images under their own names, from a video under the frames' numbers.

    ending: of the files' names, with the dot; None leaves each as it is
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
        return (*_losses(warnings), *self._left_out())

    def _write(self, path: Path, samples: np.ndarray, original: Path | None) -> tuple[str, ...]:
        display = self.info.display
        if original is None:
            samples = upright(samples, TURNS[display.rotation, display.mirrored])
            return write_image(path, samples, ImageFile(None, "", samples))
        try:
            source = read_image(original)
        except InputError:
            # One that could not be read shows the image before it.
            source = ImageFile(None, "", samples)
        return write_image(path, samples, source)

    def _left_out(self) -> list[str]:
        return [
            f"{other.kind} stream {other.index} ({other.codec}) is not in the output: a folder of images cannot hold it"
            for other in self.info.others
        ]


def choose_output(info: VideoInfo, target: Path, settings: OutputSettings) -> Output:
    """The output that a target's name asks for; raises InputError where it cannot be made of this source."""
    if is_folder(target):
        if settings.codec is not None or settings.mezzanine:
            raise InputError(f"{target} will be a folder of images: neither a codec nor a mezzanine serves there")
        lossless = EncodeSettings("ffv1", None, None, info.pixel_format, interlaced=info.interlaced).without_loss()
        lossless = replace(lossless, interlaced=info.interlaced and settings.interlaced != "deinterlace")
        return ImageFolder(info, target, lossless, ending_of(settings))
    if target.suffix.lower() in FORMATS:
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
                "with --mezzanine everything is encoded at the end, nothing can be copied: give one of both"
            )
        return VideoFile(info, target, wanted.without_loss(), Mezzanine(wanted.at_once()), _transparency(info, wanted))
    if not settings.copy_untouched:
        return VideoFile(info, target, wanted, remarks=_transparency(info, wanted))
    reason = unsupported_reason(info, wanted)
    if reason is not None:
        remarks = (*_transparency(info, wanted), f"nothing was copied as it was: {reason}")
        return VideoFile(info, target, wanted, remarks=remarks)
    return VideoFile(info, target, replace(wanted, parameter_set=parameter_set_number(info)))


def _transparency(info: VideoInfo, encoding: EncodeSettings) -> tuple[str, ...]:
    """A remark where the source may be transparent and the output cannot."""
    if not has_alpha(info.pixel_format) or has_alpha(encoding.pixel_format):
        return ()
    return (f"transparency is not in the output: {encoding.codec} has none; --codec ffv1 and a .mkv file keep it",)


def is_folder(target: Path) -> bool:
    """Whether a target is a folder: there already, or a name without an ending."""
    return target.is_dir() or not target.suffix


def ending_of(settings: OutputSettings) -> str | None:
    """The ending of images' names that the settings ask for; None for the sources' own."""
    return None if settings.image_format is None else f".{settings.image_format}"


def image_names(files: Sequence[Path], ending: str | None) -> list[str]:
    """The names of the outputs of images; raises InputError where two would have the same.

    ending: with the dot; None keeps each file's own, or .png where it is a format that is not written
    """
    names = [
        file.name if ending is None and file.suffix.lower() in FORMATS else f"{file.stem}{ending or '.png'}"
        for file in files
    ]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(f"two images would be written as {twice[0]}; give them different names first")
    return names


def publish_folder(folder: Path, target: Path) -> None:
    """Move a complete folder to its name; into a folder that is there, file by file."""
    if not target.exists():
        folder.rename(target)
        return
    for path in sorted(folder.iterdir()):
        os.replace(path, target / path.name)
    with suppress(OSError):
        folder.rmdir()


def _losses(warnings: Sequence[str]) -> tuple[str, ...]:
    """A warning for each kind of loss, not for each image."""
    by_kind: dict[str, list[str]] = {}
    for warning in warnings:
        name, _, what = warning.partition(": ")
        by_kind.setdefault(what, []).append(name)
    return tuple(
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {what}"
        for what, names in by_kind.items()
    )
