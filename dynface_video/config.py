"""Settings: validated where they come in, frozen from then on; presets are YAML files in `configs/`.

A preset names everything, a file given with `--config` changes some of it, and the options of the command line change
that again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from dynface_video.errors import InputError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

OVERRIDES = {
    "strength": "restoration",
    "num_inference_steps": "restoration",
    "faces": "restoration",
    "seed": "restoration",
    "workers": "execution",
    "device": "execution",
    "address": "execution",
    "threads": "execution",
    "work": "execution",
    "images": "input",
    "fps": "input",
    "codec": "output",
    "crf": "output",
    "encoder_preset": "output",
    "pix_fmt": "output",
    "interlaced": "output",
    "mezzanine": "output",
    "copy_untouched": "output",
    "image_format": "output",
    "grayscale": "restoration",
    "grain": "restoration",
    "detector": "detection",
}
"""Settings that can be given by their name alone, and the section each is in."""

RATE = re.compile(r"\d+(\.\d+|/[1-9]\d*)?")
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


class _Section(BaseModel):
    # Strict: a YAML `yes` is not the number 1. Frozen: settings are part of what a job's segments are named after.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class InputSettings(_Section):
    """How a folder of images is read.

    images: "sequence" takes them as the frames of a film, "stills" as pictures of their own, "auto" as a sequence when
            they are numbered alike, of one size, and no camera says when it took them
    fps:    frames a second of a sequence: a number, or a fraction such as 24000/1001
    """

    images: Literal["auto", "sequence", "stills"] = "auto"
    fps: str = "25"

    @field_validator("fps", mode="before")
    @classmethod
    def _fps_is_a_rate(cls, fps: Any) -> str:
        rate = str(fps)
        if isinstance(fps, bool) or not RATE.fullmatch(rate) or not 0 < Fraction(rate) <= 1000:
            raise ValueError("it must be a number of frames a second up to 1000, or a fraction such as 24000/1001")
        return rate

    @property
    def rate(self) -> Fraction:
        """Frames a second; 23.976 and the like are the fractions that are meant by them."""
        rate = Fraction(self.fps)
        exact = Fraction(round(rate * 1001 / 1000) * 1000, 1001)
        return exact if abs(exact - rate) < Fraction(1, 500) else rate


class DetectionSettings(_Section):
    """How faces are found and followed.

    detector:       what proposes faces; interval: frames from one detection to the next, tracking in between
    working_size:   longest side of the picture that the detector sees, pixels
    minimum_size:   faces lower than this are left alone, pixels of the displayed picture
    minimum_score:  faces less sure than this are left alone, in [0, 1]
    minimum_length: tracks shorter than this are left alone, frames
    maximum_gap:            longest absence that a track is carried over, frames
    landmark_smoothing:      standard deviation of the smoothing of landmarks over time, frames; 0 turns it off
    maximum_yaw:   faces turned further to a side fade out while they are, degrees
    maximum_uncertainty: faces whose landmarks are less sure than this share of their side are left alone
    minimum_brightness:  faces darker than this are left alone, in [0, 1]
    detect_rotated:   whether faces are also looked for sideways and upside down where few are found
    yunet_model:    ONNX file of the detector "yunet"; in a file, relative to that file
    """

    detector: Literal["retinaface", "yunet"] = "retinaface"
    interval: int = Field(default=5, ge=1)
    working_size: int = Field(default=960, ge=64)
    minimum_size: float = Field(default=24.0, ge=0)
    minimum_score: float = Field(default=0.5, ge=0, le=1)
    minimum_length: int = Field(default=3, ge=1)
    maximum_gap: int = Field(default=12, ge=0)
    landmark_smoothing: float = Field(default=2.0, ge=0)
    maximum_yaw: float = Field(default=60.0, ge=0, le=90)
    maximum_uncertainty: float = Field(default=0.06, gt=0)
    minimum_brightness: float = Field(default=0.06, ge=0, le=1)
    detect_rotated: bool = True
    yunet_model: Annotated[Path | None, Field(strict=False)] = None

    @model_validator(mode="after")
    def _yunet_has_its_model(self) -> DetectionSettings:
        if self.detector == "yunet" and self.yunet_model is None:
            raise ValueError(
                "the detector yunet needs its ONNX file: name it as detection.yunet_model in a config file"
            )
        return self


class RestorationSettings(_Section):
    """How a face is restored.

    strength:        0 stays closest to the input, 1 invents most detail
    num_inference_steps: network evaluations a face at most; faces that are less blurred take fewer
    faces:           "largest" restores one face a shot
    seed:            of the noise that detail is made from
    guide_count, guide_spacing: how many guides, and by how many pixels (at 512) each is sharper than the one before
    trust:           lambda: how much the prior weighs against the guides
    eta_scale:       1 is the paper's stochasticity, 0 deterministic sampling
    temperature:     deviation of the noise that faces begin with; 1 is what the prior was trained with, less or more
                     gives faces less or more texture; the second stage has its own
    guidance:        "closed_form", the paper's "gradient" through the network (many steps, slow), or "none"
    guidance_scale:  of the guidance everywhere: 1 is full, 0 is none, and more only lengthens the step of the gradient
    guidance_map:    closed form only: where the guidance is weakened: by the "trained" map (DGSA), by "sobel" on
                     texture, or "none"
    level_rate:      gradient mode: how fast the level follows its gradient (Eq. 7 of the paper), pixels; 0 keeps it
    batch_size:      faces in one network evaluation
    level_interval:  frames from one reading of a track's blur level to the next
    level_smoothing: standard deviation of the smoothing of blur levels over time, frames; 0 turns it off, and the
                     rejection of outliers with it
    step_hysteresis: share of a starting step by which the next frame's must differ for the step to change
    noise_correlation: between the noises of two frames of a face: 1 is shared, 0 drawn anew in each frame
    window_radius:   neighbouring crops on either side that RM reads beside a crop, frames; 0 reads single crops
    temporal_radius: neighbours on either side that a face is drawn towards along the flow, frames; 0 draws to none
    temporal_weight: how much such a neighbour counts where the flow is to be trusted, 1 being as much as the face
                     itself; faces that are nearly sharp are drawn less
    cascade:         draw faces that are larger than the models' crop at twice its resolution too, where the preset has
                     the second stage for it
    grain:           share of the surroundings' grain that restored faces are given, as far as they lack it
    grayscale:       "auto" gives no colour to faces in shots without colour, "on" to none, "off" does not look
    """

    strength: float = Field(default=0.6, ge=0, le=1)
    num_inference_steps: int = Field(default=12, ge=1, le=1000)
    faces: Literal["all", "largest"] = "all"
    seed: int = Field(default=0, ge=0, lt=2**32)
    guide_count: int = Field(default=1, ge=1, le=8)
    guide_spacing: float = Field(default=1.0, ge=0)
    trust: float = Field(default=0.01, gt=0)
    eta_scale: float = Field(default=0.0, ge=0)
    temperature: float = Field(default=1.1, gt=0, le=2)
    guidance: Literal["closed_form", "gradient", "none"] = "closed_form"
    guidance_scale: float = Field(default=1.0, ge=0)
    guidance_map: Literal["trained", "sobel", "none"] = "none"
    level_rate: float = Field(default=0.0, ge=0)
    batch_size: int = Field(default=8, ge=1)
    level_interval: int = Field(default=3, ge=1)
    level_smoothing: float = Field(default=4.0, ge=0)
    step_hysteresis: float = Field(default=0.06, ge=0, lt=1)
    noise_correlation: float = Field(default=1.0, ge=0, le=1)
    window_radius: int = Field(default=2, ge=0, le=8)
    temporal_radius: int = Field(default=8, ge=0, le=16)
    temporal_weight: float = Field(default=1.0, ge=0)
    cascade: bool = True
    grayscale: Literal["auto", "on", "off"] = "auto"
    grain: float = Field(default=0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _guidance_has_what_it_takes(self) -> RestorationSettings:
        if self.guidance != "gradient" and self.guidance_scale > 1:
            raise ValueError("guidance_scale above 1 is for the guidance by gradient; 1 is full guidance elsewhere")
        if self.guidance == "none" and self.guidance_scale != 1:
            raise ValueError("guidance_scale is of a guidance, and guidance is none")
        if self.guidance != "closed_form" and self.guidance_map != "none":
            raise ValueError("guidance_map weakens the guidance in closed form and nothing else")
        return self


class OutputSettings(_Section):
    """How the result is encoded; None chooses by the source and the container.

    codec:          encoder, by FFmpeg's name or a short one; crf: its quality, lower is better
    encoder_preset: of the encoder, by its own names; pix_fmt: pixel format, by FFmpeg's names
    interlaced:     "auto" restores video whose first picture is marked as interlaced field by field and keeps it
                    interlaced, "keep" does so whatever the mark says, "deinterlace" makes marked pictures progressive,
                    "ignore" takes all pictures as progressive
    mezzanine:      keep the segments without loss and encode them once at the end: smaller files, but much more disk
                    space until then
    copy_untouched: copy the packets of H.264 where no face is restored instead of encoding them again
    image_format:   of the images in a folder; None keeps each source's own, or is PNG
    segment_frames: frames restored and saved together, about
    """

    codec: str | None = Field(default=None, min_length=1)
    crf: int | None = Field(default=None, ge=0, le=63)
    encoder_preset: str | None = Field(default=None, min_length=1)
    pix_fmt: str | None = Field(default=None, min_length=1)
    interlaced: Literal["auto", "keep", "deinterlace", "ignore"] = "auto"
    mezzanine: bool = False
    copy_untouched: bool = False
    image_format: Literal["png", "jpg", "tif", "webp", "bmp"] | None = None
    segment_frames: int = Field(default=120, ge=1)


class ExecutionSettings(_Section):
    """Where the work is done; the result does not depend on it, except for `threads`.

    device:  auto, cpu, cuda, or one GPU by its number as in cuda:0
    workers: processes that restore; more than one use Ray
    threads: of each worker's networks on a processor. Their last bits depend on this number (the kernels that oneDNN
             chooses do), so it is fixed and part of the job: one worker and many make the same bytes
    address: of the Ray cluster to join, "auto" or HOST:PORT; null starts Ray on this machine where it is needed
    gpus_per_worker: share of a GPU that a worker takes; below 1 several share one
    work:    folder on each machine's own disk for inputs and outputs that lie elsewhere (s3:// and the like); null
             takes the system's folder for temporary files
    """

    device: str = "auto"
    workers: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)
    address: str | None = Field(default=None, min_length=1)
    gpus_per_worker: float = Field(default=1.0, gt=0)
    work: Annotated[Path | None, Field(strict=False)] = None

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, device: str) -> str:
        if not DEVICE.fullmatch(device):
            raise ValueError("it must be auto, cpu, cuda, or one GPU by its number as in cuda:0")
        return device

    @model_validator(mode="after")
    def _workers_share_no_gpu(self) -> ExecutionSettings:
        if self.workers > 1 and self.device.startswith("cuda:"):
            raise ValueError(
                f"{self.workers} workers cannot share {self.device}: each takes a GPU of its own with cuda; "
                f"say workers 1 to use {self.device} alone"
            )
        return self


class Settings(_Section):
    """All settings of a restoration. models: name of the model set in the package."""

    models: str = Field(default="mini", min_length=1)
    input: InputSettings = InputSettings()
    detection: DetectionSettings = DetectionSettings()
    restoration: RestorationSettings = RestorationSettings()
    output: OutputSettings = OutputSettings()
    execution: ExecutionSettings = ExecutionSettings()


def preset_names() -> list[str]:
    """Names of the presets that come with the package, sorted."""
    return sorted(path.stem for path in _presets_folder().glob("*.yaml"))


def load_preset(name: str) -> Settings:
    """The settings of a preset; raises InputError when there is none of that name."""
    return load_settings(name, None, {})


def load_settings(preset: str, config: Path | None, overrides: Mapping[str, Any]) -> Settings:
    """The settings of a preset, changed by a YAML file, changed by single settings.

    config: a file with some of the sections and settings of a preset, None for none
    overrides: by the names in `OVERRIDES`; None means not given
    Raises InputError that names the setting, its value and what is allowed.
    """
    names = preset_names()
    if preset not in names:
        raise InputError(f"there is no preset {preset!r}; {_alternatives(preset, names)}")
    values = _read_yaml(_presets_folder() / f"{preset}.yaml")
    settings = _validated(values, f"preset {preset}: ")
    if config is not None:
        values = _merged(values, _read_yaml(config))
        settings = _validated(values, f"{config}: ")
    given = {name: value for name, value in overrides.items() if value is not None}
    if given:
        settings = _validated(_merged(values, _by_section(given)), "")
    return settings


def changed_settings(settings: Settings, changes: Mapping[str, Mapping[str, Any]]) -> Settings:
    """The settings with some changed, by section and name; raises InputError as `load_settings` does."""
    return _validated(_merged(settings.model_dump(), changes), "")


def changed_restoration(settings: RestorationSettings, changes: Mapping[str, Any]) -> RestorationSettings:
    """The settings with some of them changed; raises InputError as `load_settings` does."""
    return _validated({"restoration": settings.model_dump() | dict(changes)}, "").restoration


def _presets_folder() -> Path:
    # In the wheel the presets lie inside the package, in a checkout beside it.
    inside = Path(__file__).parent / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "configs"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"the configuration {path} cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"the configuration {path} is not YAML: {' '.join(str(error).split())}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise InputError(f"the configuration {path} must hold settings as `name: value`, like the presets do")
    # A section whose lines are all commented out reads as None: nothing given.
    values = {name: value for name, value in values.items() if value is not None}
    _anchor_model(values.get("detection"), path.parent)
    return values


def _anchor_model(detection: Any, folder: Path) -> None:
    if isinstance(detection, dict) and isinstance(detection.get("yunet_model"), str):
        detection["yunet_model"] = str(folder / detection["yunet_model"])


def _merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the sections and settings of `change` laid over it."""
    merged = dict(base)
    for name, value in change.items():
        before = merged.get(name)
        merged[name] = before | dict(value) if isinstance(before, dict) and isinstance(value, Mapping) else value
    return merged


def _by_section(overrides: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    sections: dict[str, dict[str, Any]] = {}
    for name, value in overrides.items():
        if name not in OVERRIDES:
            raise InputError(f"there is no option {name!r}; {_alternatives(name, OVERRIDES)}")
        sections.setdefault(OVERRIDES[name], {})[name] = value
    return sections


def _validated(values: Mapping[str, Any], where: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise InputError(where + _explain(error.errors()[0])) from error


def _explain(error: ErrorDetails) -> str:
    """One sentence: the setting, its value, what is allowed."""
    location, value = [str(part) for part in error["loc"]], error["input"]
    short = len(location) == 2 and OVERRIDES.get(location[1]) == location[0]
    name = location[-1] if short else ".".join(location)
    kind, message = error["type"], error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        return f"there is no setting {name!r}; {_alternatives(location[-1], _settings_in(location[:-1]))}"
    if kind in ("model_type", "dict_type"):
        return f"{name} is {value!r}; it must hold settings as `name: value`"
    if kind == "value_error" and isinstance(value, Mapping):
        return message
    if kind.startswith(("less_than", "greater_than")):
        return f"{name} is {value!r}; it must be {_range(location)}"
    return f"{name} is {value!r}; {message.replace('Input should', 'it must').replace('String should', 'it must')}"


def _range(location: list[str]) -> str:
    words = {"ge": "at least", "gt": "more than", "le": "at most", "lt": "less than"}
    bounds = _settings_in(location[:-1])[location[-1]].metadata
    return " and ".join(
        f"{words[kind]} {getattr(bound, kind)}" for bound in bounds for kind in words if hasattr(bound, kind)
    )


def _settings_in(section: list[str]) -> dict[str, FieldInfo]:
    """The settings of a section, of the whole where `section` is empty."""
    model = Settings.model_fields[section[0]].annotation if section else Settings
    assert isinstance(model, type) and issubclass(model, BaseModel)
    return model.model_fields


def _alternatives(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
