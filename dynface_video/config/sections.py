"""The settings: each field carries its type, default, range, meaning and, where it has one, its command-line option.

Everything else that lists options is made from these declarations: the command line, the overrides of the Python API,
`configs/mini.yaml` and `docs/settings.md`. None as a default means that the value follows from something else.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from dynface_video.config.choice import EVERYBODY, Rule, parse_exclusions, parse_people, parse_spans, parse_strengths
from dynface_video.config.option import ALL, ANALYZE, RESTORE, Option
from dynface_video.config.restoration import RestorationSettings
from dynface_video.config.section import Section
from dynface_video.config.times import TimeSpan

LARGEST = "largest"
RATE = re.compile(r"\d+(\.\d+|/[1-9]\d*)?")
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class InputSettings(Section):
    """How the input is read."""

    images: Annotated[Literal["auto", "sequence", "stills"], Option(commands=frozenset({RESTORE, ANALYZE}))] = Field(
        default="auto",
        description="how to read a folder of images: as the frames of a film (sequence) or as separate pictures "
        "(stills); auto reads a sequence if the names are numbered, all sizes are equal and no image has"
        " a camera's date",
    )
    fps: Annotated[str, Option("RATE", commands=frozenset({RESTORE, ANALYZE}))] = Field(
        default="25", description="frames per second of an image sequence: a number, or a fraction such as 24000/1001"
    )

    @field_validator("fps", mode="before")
    @classmethod
    def _fps_is_a_rate(cls, fps: Any) -> str:
        rate = str(fps)
        if isinstance(fps, bool) or not RATE.fullmatch(rate) or not 0 < Fraction(rate) <= 1000:
            raise ValueError("it must be a number of frames per second up to 1000, or a fraction such as 24000/1001")
        return rate

    @property
    def rate(self) -> Fraction:
        """Frames per second; 23.976 and similar stand for the NTSC fractions nearest to them."""
        rate = Fraction(self.fps)
        exact = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
        return exact if abs(exact - rate) < Fraction(1, 500) else rate


class DetectionSettings(Section):
    """How faces are found and tracked, and which of them are skipped."""

    detector: Annotated[Literal["retinaface", "retinaface-r50", "yunet"], Option(commands=ALL)] = Field(
        default="retinaface",
        description="face detector: retinaface is embedded; get retinaface-r50 and yunet with dynface-video models "
        "fetch",
    )
    interval: int = Field(default=5, ge=1, description="frames between detections; faces are tracked in between")
    working_size: int = Field(
        default=960, ge=64, description="longest side of the picture given to the detector, pixels"
    )
    minimum_size: Annotated[float, Option("PIXELS", commands=ALL, aliases=("--min-size",))] = Field(
        default=24.0, ge=0, description="skip smaller faces: height in pixels of the displayed picture"
    )
    minimum_score: Annotated[float, Option("0..1", commands=ALL, aliases=("--detect-threshold",))] = Field(
        default=0.5, ge=0, le=1, description="skip faces with a lower detection score"
    )
    minimum_length: int = Field(default=3, ge=1, description="skip shorter tracks, frames")
    maximum_gap: int = Field(default=12, ge=0, description="longest gap over which a track is continued, frames")
    landmark_smoothing: float = Field(
        default=2.0, ge=0, description="std of the smoothing of landmarks over time, frames; 0: off"
    )
    maximum_yaw: Annotated[float, Option("DEGREES", commands=ALL, aliases=("--max-yaw",))] = Field(
        default=60.0, ge=0, le=90, description="fade out faces turned further to the side than this, degrees"
    )
    maximum_uncertainty: float = Field(
        default=0.06, gt=0, description="skip faces whose landmarks are less certain, as a share of the face's side"
    )
    minimum_brightness: float = Field(default=0.06, ge=0, le=1, description="skip darker faces")
    skip_blurred_background: Annotated[bool, Option(commands=ALL)] = Field(
        default=True,
        description="skip faces that are out of focus: far more blurred than the main face of the shot or than the "
        "edges around them",
    )
    detect_rotated: bool = Field(
        default=True, description="also search for sideways and upside-down faces if few faces are found"
    )
    aligned: Annotated[bool, Option(commands=ALL)] = Field(
        default=False, description="every picture is an aligned face crop (FFHQ template), so no faces are searched for"
    )
    identity: Annotated[Literal["embedded", "arcface"], Option(commands=ALL)] = Field(
        default="embedded",
        description="network that tells people apart; get arcface with dynface-video models fetch",
    )
    yunet_model: Annotated[Path | None, Field(strict=False)] = Field(
        default=None,
        description="ONNX file of the detector yunet, relative to the configuration file; null: the fetched one",
    )


class SelectionSettings(Section):
    """Who is restored, when and how strongly; everything else stays unchanged."""

    faces: Annotated[str, Option("all|largest|N,N", commands=ALL, repeatable=True, common=True)] = Field(
        default="all",
        description="who is restored: all, largest (one face per shot), or numbers of people as printed by dynface-"
        "video faces, such as 1,3",
    )
    exclude: Annotated[str | None, Option("N[@SPAN]", commands=ALL, unset="nobody", repeatable=True)] = Field(
        default=None,
        description="who is not restored: numbers of people, optionally with a span of time, such as 2 or "
        "2@00:20-00:30; all means everybody",
    )
    between: Annotated[str | None, Option("SPAN", commands=ALL, unset="the whole video", repeatable=True)] = Field(
        default=None,
        description="when faces are restored: spans of time, such as 00:10-00:25, 1:02:03.5- or -90; the rest is "
        "left unchanged",
    )
    strengths: Annotated[
        str | None, Option("N=0..1[@SPAN]", commands=ALL, unset="the same for all", repeatable=True)
    ] = Field(
        default=None,
        description="strengths of single people, optionally with a span of time, such as 1=0.4 or 2=0.3@00:10-00:15;"
        " all means everybody",
    )
    reference: Annotated[
        Path | None, Field(strict=False), Option("PICTURE", commands=ALL, unset="nobody in particular")
    ] = Field(default=None, description="picture of the only person to restore")

    @field_validator("faces", "exclude", "between", "strengths", mode="before")
    @classmethod
    def _lists_are_written_with_commas(cls, value: Any) -> Any:
        # YAML reads 2 as a number, and a list is as natural there.
        if isinstance(value, list | tuple):
            return ",".join(str(part) for part in value)
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("faces")
    @classmethod
    def _faces_are_known_words_or_numbers(cls, faces: str) -> str:
        if faces not in (EVERYBODY, LARGEST):
            try:
                parse_people(faces)
            except ValueError as error:
                raise ValueError(f"it must be {EVERYBODY}, {LARGEST} or numbers such as 1,3: {error}") from error
        return faces

    @field_validator("exclude")
    @classmethod
    def _exclusions_can_be_read(cls, exclude: str | None) -> str | None:
        if exclude is not None:
            parse_exclusions(exclude)
        return exclude

    @field_validator("between")
    @classmethod
    def _spans_can_be_read(cls, between: str | None) -> str | None:
        if between is not None:
            parse_spans(between)
        return between

    @field_validator("strengths")
    @classmethod
    def _strengths_can_be_read(cls, strengths: str | None) -> str | None:
        if strengths is not None:
            parse_strengths(strengths)
        return strengths

    @property
    def numbers(self) -> tuple[int, ...] | None:
        """The people who are restored; None for everybody."""
        return None if self.faces in (EVERYBODY, LARGEST) else parse_people(self.faces)

    @property
    def exclusions(self) -> tuple[Rule, ...]:
        """Who is left as in the source, and when."""
        return () if self.exclude is None else parse_exclusions(self.exclude)

    @property
    def spans(self) -> tuple[TimeSpan, ...]:
        """When faces are restored; empty for the whole video."""
        return () if self.between is None else parse_spans(self.between)

    @property
    def strength_rules(self) -> tuple[Rule, ...]:
        """Whose strength differs, and when."""
        return () if self.strengths is None else parse_strengths(self.strengths)

    @property
    def all_spans(self) -> tuple[TimeSpan, ...]:
        """Every span of time that is named."""
        rules = (*self.exclusions, *self.strength_rules)
        return (*(rule.span for rule in rules if rule.span is not None), *self.spans)


class OutputSettings(Section):
    """How the result is encoded; null chooses by the source and the container."""

    codec: Annotated[str | None, Option("NAME", unset="chosen by the source and the container")] = Field(
        default=None, min_length=1, description="video encoder, by FFmpeg's name, such as libx264, libx265 or ffv1"
    )
    crf: Annotated[int | None, Option("N", unset="chosen by the encoder and the source's bit rate")] = Field(
        default=None, ge=0, le=63, description="quality of the encoder; lower values are better and give larger files"
    )
    encoder_preset: Annotated[str | None, Option("NAME", unset="medium, or the encoder's own")] = Field(
        default=None, min_length=1, description="preset of the encoder, such as slow"
    )
    pix_fmt: Annotated[str | None, Option("NAME", unset="nearest to the source's")] = Field(
        default=None, min_length=1, description="pixel format, by FFmpeg's name, such as yuv420p"
    )
    interlaced: Annotated[Literal["auto", "keep", "deinterlace", "ignore"], Option(commands=ALL)] = Field(
        default="auto",
        description="keep: restore field by field; deinterlace: make pictures flagged as interlaced progressive; "
        "ignore: treat all as progressive; auto: keep if the first picture is flagged, otherwise ignore",
    )
    mezzanine: Annotated[bool, Option()] = Field(
        default=False,
        description="keep the segments lossless and encode the whole video once at the end: smaller files, more disk"
        " space",
    )
    copy_untouched: Annotated[bool, Option(commands=ALL)] = Field(
        default=False, description="copy H.264 packets where no face is restored instead of encoding again"
    )
    image_format: Annotated[
        Literal["png", "jpg", "tif", "webp", "bmp"] | None,
        Option(commands=frozenset({RESTORE}), unset="the source's, or png"),
    ] = Field(default=None, description="format of the images in an output folder")
    record: Annotated[bool, Option()] = Field(
        default=True,
        description="keep a record beside the output (OUTPUT.record.zip), from which `report` makes a page",
    )
    segment_frames: int = Field(
        default=120, ge=1, description="approximate number of frames that are restored and saved together"
    )


class ExecutionSettings(Section):
    """Where the work is done; the result depends on `threads` and `precision` alone."""

    device: Annotated[str, Option("auto|cpu|cuda[:N]|mps", commands=ALL, common=True)] = Field(
        default="auto", description="torch device of the networks; auto is the first GPU, or else the CPU"
    )
    workers: Annotated[int | Literal["auto"], Option("N|auto", common=True)] = Field(
        default=1,
        description="number of restoring processes, at least 1 (more than one uses Ray); auto is one per GPU, or one"
        " per two CPU cores",
    )
    threads: Annotated[int, Option("N", commands=ALL)] = Field(
        default=1,
        ge=1,
        description="CPU threads per worker; part of the job, because the last bits of results depend on it",
    )
    precision: Annotated[Literal["auto", "float32", "bfloat16"], Option(commands=ALL)] = Field(
        default="auto",
        description="arithmetic of the networks; auto is bfloat16 on a CPU or GPU that supports it, otherwise"
        " float32; part of the job, like threads",
    )
    cuda_graphs: Literal["auto", "off"] = Field(
        default="off",
        description="auto: on a CUDA GPU, record the kernels of a network's call once and launch them as one (not yet"
        " tried in whole videos: docs/gpu-and-ray.md)",
    )
    address: Annotated[str | None, Option("auto|HOST:PORT", unset="Ray is started on this machine if needed")] = Field(
        default=None, min_length=1, description="Ray cluster to join"
    )
    gpus_per_worker: float = Field(
        default=1.0, gt=0, description="share of a GPU per worker; below 1, several workers share a GPU"
    )
    work: Annotated[Path | None, Field(strict=False), Option("DIR", unset="the system's temporary folder")] = Field(
        default=None, description="local folder on each machine for inputs and outputs at URLs (s3:// and others)"
    )

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, device: str) -> str:
        if not DEVICE.fullmatch(device):
            raise ValueError("use auto, cpu, cuda, cuda:N or mps")
        return device

    @field_validator("cuda_graphs", mode="before")
    @classmethod
    def _off_is_a_word(cls, chosen: Any) -> Any:
        # YAML reads off as false.
        return "off" if chosen is False else chosen

    @field_validator("workers")
    @classmethod
    def _workers_are_counted(cls, workers: int | str) -> int | str:
        if workers != "auto" and int(workers) < 1:
            raise ValueError("it must be at least 1, or auto")
        return workers

    @model_validator(mode="after")
    def _workers_share_no_gpu(self) -> ExecutionSettings:
        if self.workers != "auto" and self.workers > 1 and self.device.startswith("cuda:"):
            raise ValueError(
                f"{self.workers} workers cannot share {self.device}: use device cuda, which gives each its own GPU, "
                f"or 1 worker on {self.device}"
            )
        return self


class Settings(Section):
    """All settings of a restoration."""

    models: str = Field(default="mini", min_length=1, description="model set in the package")
    input: InputSettings = InputSettings()
    detection: DetectionSettings = DetectionSettings()
    selection: SelectionSettings = SelectionSettings()
    restoration: RestorationSettings = RestorationSettings()
    output: OutputSettings = OutputSettings()
    execution: ExecutionSettings = ExecutionSettings()
