"""The settings: each field carries its type, default, range, meaning and, where it has one, its command-line option.

Everything else that lists options is made from these declarations: the command line, the overrides of the Python API,
`configs/mini.yaml` and `docs/settings.md`. None as a default means that the value follows from something else.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from dynface_video.config.choice import EVERYBODY, Rule, parse_exclusions, parse_people, parse_spans, parse_strengths
from dynface_video.config.option import ALL, ANALYZE, RESTORE, Option
from dynface_video.config.times import TimeSpan

LARGEST = "largest"
SMALLEST_SIDE = 32
RATE = re.compile(r"\d+(\.\d+|/[1-9]\d*)?")
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


class Section(BaseModel):
    """Base of the sections: strict (a YAML `yes` is not the number 1) and frozen (they identify a job's segments)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class InputSettings(Section):
    """How the input is read."""

    images: Annotated[Literal["auto", "sequence", "stills"], Option(commands=frozenset({RESTORE, ANALYZE}))] = Field(
        default="auto",
        description="how a folder of images is read: as the frames of a film (sequence) or as separate pictures "
        "(stills); auto takes a sequence where they are numbered, of one size and without a camera's date",
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
        description="face detector: retinaface is embedded; retinaface-r50 and yunet are fetched with "
        "dynface-video models fetch",
    )
    interval: int = Field(default=5, ge=1, description="frames from one detection to the next, tracked in between")
    working_size: int = Field(
        default=960, ge=64, description="longest side of the picture given to the detector, pixels"
    )
    minimum_size: Annotated[float, Option("PIXELS", commands=ALL, aliases=("--min-size",))] = Field(
        default=24.0, ge=0, description="smaller faces are skipped: height in pixels of the displayed picture"
    )
    minimum_score: Annotated[float, Option("0..1", commands=ALL, aliases=("--detect-threshold",))] = Field(
        default=0.5, ge=0, le=1, description="faces with a lower detection score are skipped"
    )
    minimum_length: int = Field(default=3, ge=1, description="shorter tracks are skipped, frames")
    maximum_gap: int = Field(default=12, ge=0, description="longest absence that a track is carried over, frames")
    landmark_smoothing: float = Field(
        default=2.0, ge=0, description="standard deviation of the smoothing of landmarks over time, frames; 0: off"
    )
    maximum_yaw: float = Field(
        default=60.0, ge=0, le=90, description="faces fade out while they are turned further to a side, degrees"
    )
    maximum_uncertainty: float = Field(
        default=0.06, gt=0, description="faces with less certain landmarks are skipped: share of the face's side"
    )
    minimum_brightness: float = Field(default=0.06, ge=0, le=1, description="darker faces are skipped")
    skip_blurred_background: Annotated[bool, Option(commands=ALL)] = Field(
        default=True,
        description="faces that the camera left out of focus are skipped: far more blurred than the main face of the "
        "shot, or than the edges around them",
    )
    detect_rotated: bool = Field(
        default=True, description="also search for sideways and upside-down faces where few are found"
    )
    aligned: Annotated[bool, Option(commands=ALL)] = Field(
        default=False, description="every picture is an aligned face crop (FFHQ template): no face is searched for"
    )
    identity: Annotated[Literal["embedded", "arcface"], Option(commands=ALL)] = Field(
        default="embedded",
        description="network that tells people apart; arcface is fetched with dynface-video models fetch",
    )
    yunet_model: Annotated[Path | None, Field(strict=False)] = Field(
        default=None,
        description="ONNX file of the detector yunet, in a configuration relative to that file; null: the fetched one",
    )


class SelectionSettings(Section):
    """Who is restored, when and how strongly; everything else comes through as it is."""

    faces: Annotated[str, Option("all|largest|N,N", commands=ALL, repeatable=True, common=True)] = Field(
        default="all",
        description="who is restored: all, largest (one face per shot), or numbers of people as dynface-video faces "
        "shows them, such as 1,3",
    )
    exclude: Annotated[str | None, Option("N[@SPAN]", commands=ALL, unset="nobody", repeatable=True)] = Field(
        default=None,
        description="who is not: numbers of people, also for a span of time only, such as 2 or 2@00:20-00:30; all is "
        "everybody",
    )
    between: Annotated[str | None, Option("SPAN", commands=ALL, unset="the whole video", repeatable=True)] = Field(
        default=None,
        description="when: spans of time, such as 00:10-00:25, 1:02:03.5- or -90; outside of them nothing is changed",
    )
    strengths: Annotated[
        str | None, Option("N=0..1[@SPAN]", commands=ALL, unset="the same for all", repeatable=True)
    ] = Field(
        default=None,
        description="strengths of single people, also for a span of time only, such as 1=0.4 or 2=0.3@00:10-00:15; all "
        "is everybody",
    )
    reference: Annotated[
        Path | None, Field(strict=False), Option("PICTURE", commands=ALL, unset="all that are chosen otherwise")
    ] = Field(default=None, description="picture of the person to restore; nobody else is")

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


class RestorationSettings(Section):
    """How a face is restored."""

    method: Annotated[Literal["auto", "guided", "restorer"], Option()] = Field(
        default="auto",
        description="guided: the whole method, in which a prior draws what the restorer cannot know; restorer: the "
        "restorer's own faces, averaged over time; auto: guided where the model set has a prior for the restorer",
    )
    restorer: Annotated[str | None, Option("FILE|NAME", unset="the model set's own")] = Field(
        default=None,
        min_length=1,
        description="restoration model: the checkpoint of a network that spandrel reads (GFPGAN, RestoreFormer, "
        "CodeFormer, SwinIR and others), or the name of one that `models fetch` has fetched",
    )
    fidelity: Annotated[float | None, Option("0..1", unset="0.5 where the restorer has such a weight")] = Field(
        default=None, ge=0, le=1, description="CodeFormer's weight: 0 is the prettiest face, 1 the most faithful"
    )
    prior: Annotated[str | None, Option("PATH|NAME", unset="the model set's own")] = Field(
        default=None,
        min_length=1,
        description="prior of the guided stage: a folder that `models convert` wrote, a checkpoint, or a fetched name",
    )
    strength: Annotated[float, Option("0..1", qualified="strengths", common=True)] = Field(
        default=0.6, ge=0, le=1, description="0 stays closest to the input, 1 invents most detail"
    )
    num_inference_steps: Annotated[int | None, Option("N", aliases=("--steps",), unset="the stage's own")] = Field(
        default=None,
        ge=1,
        le=1000,
        description="most network evaluations per face and stage; less blurred faces take fewer",
    )
    resolution: Annotated[int | Literal["auto"], Option("N|auto")] = Field(
        default="auto",
        description="largest stage that a face goes through, pixels; auto: 256 for videos on a CPU, else no limit",
    )
    seed: Annotated[int, Option("N")] = Field(
        default=0, ge=0, lt=2**32, description="seed of the noise from which detail is generated"
    )
    guide_count: int = Field(default=1, ge=1, le=8, description="number of guides, each sharper than the one before")
    guide_spacing: float = Field(
        default=1.0, ge=0, description="difference of blur level between guides, pixels at a resolution of 512"
    )
    trust: float | None = Field(
        default=None, gt=0, description="lambda: weight of the prior against the guides; null: the stage's own"
    )
    eta_scale: float = Field(
        default=0.0, ge=0, description="stochasticity of sampling: 0 is deterministic (DDIM), 1 as in the paper"
    )
    temperature: float | None = Field(
        default=None,
        gt=0,
        le=2,
        description="standard deviation of the initial noise: more gives more texture; null: the stage's own",
    )
    guidance: Literal["closed_form", "gradient", "none"] = Field(
        default="closed_form",
        description="closed_form, or the paper's gradient through the network (many steps, slow), or none",
    )
    guidance_scale: float = Field(
        default=1.0,
        ge=0,
        description="strength of the guidance: 1 is full; above 1 only for the gradient's step length",
    )
    guidance_map: Literal["trained", "sobel", "none"] = Field(
        default="none",
        description="where the closed form is weakened: by the trained map (DGSA), by sobel on texture, or nowhere",
    )
    level_rate: float = Field(
        default=0.0,
        ge=0,
        description="gradient only: step size with which the blur level follows its gradient (Eq. 7), pixels; 0: off",
    )
    batch_size: int = Field(default=8, ge=1, description="faces per network evaluation")
    level_interval: int = Field(
        default=3, ge=1, description="frames from one estimate of a track's blur level to the next"
    )
    level_smoothing: float = Field(
        default=4.0,
        ge=0,
        description="standard deviation of the smoothing of blur levels over time, frames; 0: off, outliers stay too",
    )
    step_hysteresis: float = Field(
        default=0.06, ge=0, lt=1, description="relative change of the starting step below which it is kept"
    )
    noise_correlation: float = Field(
        default=1.0, ge=0, le=1, description="correlation of the noise between frames of a face: 1 shares it"
    )
    window_radius: int | None = Field(
        default=None,
        ge=0,
        le=8,
        description="neighbouring crops on either side that the restoration model reads, frames; null: the stage's own",
    )
    remove_damage: bool = Field(
        default=True,
        description="remove scratches, dust and tears of single frames by what the frames around them show",
    )
    temporal_radius: int | None = Field(
        default=None,
        ge=0,
        le=16,
        description="most neighbours on either side of flow-guided averaging, frames; 0: off; null: the stage's own",
    )
    repeat_tolerance: float | None = Field(
        default=2.0,
        ge=0,
        description="a frame gets the faces of an earlier one if no square of 16 pixels differs by more on average, "
        "levels of 255; 0: equal pictures only; null: every frame is restored",
    )
    temporal_weight: float = Field(
        default=1.0, ge=0, description="weight of a neighbour in flow-guided averaging relative to the face itself"
    )
    paste_mask: Annotated[Literal["crop", "person"], Option()] = Field(
        default="crop",
        description="what of a restored crop is pasted: crop, all of it; person, with hair, hat, glasses and neck, but "
        "without background, clothes and what covers the face (needs dynface-video models fetch parsenet)",
    )
    grayscale: Annotated[Literal["auto", "on", "off"], Option(commands=ALL)] = Field(
        default="auto", description="restore faces without colour: auto decides per shot"
    )
    grain: Annotated[float, Option("0..1")] = Field(
        default=0.0, ge=0, le=1, description="share of the surrounding grain added to restored faces that lack it"
    )

    @field_validator("resolution")
    @classmethod
    def _resolution_is_a_side(cls, resolution: int | Literal["auto"]) -> int | Literal["auto"]:
        if resolution != "auto" and resolution < SMALLEST_SIDE:
            raise ValueError(f"it must be auto, or a side in pixels of at least {SMALLEST_SIDE}")
        return resolution

    @property
    def largest_side(self) -> int | None:
        """Side of the largest stage that is allowed, pixels; None for "auto"."""
        return None if self.resolution == "auto" else self.resolution

    @model_validator(mode="after")
    def _guidance_has_what_it_takes(self) -> RestorationSettings:
        if self.guidance != "gradient" and self.guidance_scale > 1:
            raise ValueError("guidance_scale above 1 requires guidance: gradient; 1 is full guidance otherwise")
        if self.guidance == "none" and self.guidance_scale != 1:
            raise ValueError("guidance_scale has no effect with guidance: none; remove one of them")
        if self.guidance != "closed_form" and self.guidance_map != "none":
            raise ValueError("guidance_map requires guidance: closed_form")
        return self

    @model_validator(mode="after")
    def _restorer_has_what_it_takes(self) -> RestorationSettings:
        if self.fidelity is not None and self.restorer is None:
            raise ValueError("fidelity is a weight of a restorer such as CodeFormer; name it with --restorer")
        if self.prior is not None and self.method == "restorer":
            raise ValueError("method restorer uses no prior; remove one of them")
        return self


class OutputSettings(Section):
    """How the result is encoded; null chooses by the source and the container."""

    codec: Annotated[str | None, Option("NAME", unset="by the source and the container")] = Field(
        default=None, min_length=1, description="video encoder by FFmpeg's name, such as libx264, libx265 or ffv1"
    )
    crf: Annotated[int | None, Option("N", unset="by the encoder and the source's bit rate")] = Field(
        default=None, ge=0, le=63, description="quality of the encoder; lower is better and larger"
    )
    encoder_preset: Annotated[str | None, Option("NAME", unset="medium, or the encoder's own")] = Field(
        default=None, min_length=1, description="preset of the encoder by its own names, such as slow"
    )
    pix_fmt: Annotated[str | None, Option("NAME", unset="nearest to the source's")] = Field(
        default=None, min_length=1, description="pixel format by FFmpeg's name, such as yuv420p"
    )
    interlaced: Annotated[Literal["auto", "keep", "deinterlace", "ignore"], Option(commands=ALL)] = Field(
        default="auto",
        description="keep restores field by field, deinterlace makes pictures marked as interlaced progressive, "
        "ignore takes all as progressive; auto: keep where the first picture is marked, else ignore",
    )
    mezzanine: Annotated[bool, Option()] = Field(
        default=False,
        description="keep the segments lossless and encode the whole once at the end: smaller files, more disk space",
    )
    copy_untouched: Annotated[bool, Option(commands=ALL)] = Field(
        default=False, description="copy the packets of H.264 where no face is restored instead of re-encoding them"
    )
    image_format: Annotated[
        Literal["png", "jpg", "tif", "webp", "bmp"] | None,
        Option(commands=frozenset({RESTORE}), unset="the source's, or png"),
    ] = Field(default=None, description="format of the images in an output folder")
    record: Annotated[bool, Option()] = Field(
        default=True,
        description="keep a record beside the output (OUTPUT.record.zip), from which `report` makes a page",
    )
    segment_frames: int = Field(default=120, ge=1, description="frames restored and saved together, approximately")


class ExecutionSettings(Section):
    """Where the work is done; the result depends on `threads` and `precision` alone."""

    device: Annotated[str, Option("auto|cpu|cuda[:N]|mps", commands=ALL, common=True)] = Field(
        default="auto", description="torch device of the networks; auto is the first GPU, or the CPU"
    )
    workers: Annotated[int | Literal["auto"], Option("N|auto", common=True)] = Field(
        default=1,
        description="processes that restore, at least 1 (more use Ray); auto is one per GPU, or one per two CPU cores",
    )
    threads: Annotated[int, Option("N", commands=ALL)] = Field(
        default=1,
        ge=1,
        description="CPU threads per worker; part of the job, because results depend on it in the last bits",
    )
    precision: Annotated[Literal["auto", "float32", "bfloat16"], Option(commands=ALL)] = Field(
        default="auto",
        description="arithmetic of the networks; auto is bfloat16 on a CPU that computes with it, else float32; part "
        "of the job, like threads",
    )
    address: Annotated[str | None, Option("auto|HOST:PORT", unset="Ray is started on this machine where needed")] = (
        Field(default=None, min_length=1, description="Ray cluster to join")
    )
    gpus_per_worker: float = Field(
        default=1.0, gt=0, description="share of a GPU per worker; below 1 several workers share one"
    )
    work: Annotated[
        Path | None, Field(strict=False), Option("DIR", unset="the system's folder for temporary files")
    ] = Field(
        default=None, description="local folder on each machine for inputs and outputs at URLs (s3:// and others)"
    )

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, device: str) -> str:
        if not DEVICE.fullmatch(device):
            raise ValueError("use auto, cpu, cuda, cuda:N or mps")
        return device

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
