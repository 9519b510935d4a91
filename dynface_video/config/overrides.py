"""The types of the settings that functions of the Python API take by name.

A type checker must see them written out: a test holds that they equal the declarations in `sections`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypedDict


class PipelineOverrides(TypedDict, total=False):
    """`Overrides` without the device, which `FacePipeline.from_pretrained` has as an argument of its own."""

    images: Literal["auto", "sequence", "stills"]
    fps: str
    detector: Literal["retinaface", "retinaface-r50", "yunet"]
    identity: Literal["embedded", "arcface"]
    minimum_size: float
    minimum_score: float
    maximum_yaw: float
    skip_blurred_background: bool
    aligned: bool
    faces: str
    exclude: str | None
    between: str | None
    strengths: str | None
    reference: Path | None
    method: Literal["auto", "guided", "restorer"]
    restorer: str | None
    fidelity: float | None
    prior: str | None
    strength: float
    num_inference_steps: int | None
    resolution: int | Literal["auto"]
    seed: int
    paste_mask: Literal["crop", "person"]
    grayscale: Literal["auto", "on", "off"]
    grain: float
    remove_damage: bool
    codec: str | None
    crf: int | None
    encoder_preset: str | None
    pix_fmt: str | None
    interlaced: Literal["auto", "keep", "deinterlace", "ignore"]
    mezzanine: bool
    copy_untouched: bool
    record: bool
    image_format: Literal["png", "jpg", "tif", "webp", "bmp"] | None
    workers: int | Literal["auto"]
    threads: int
    precision: Literal["auto", "float32", "bfloat16"]
    address: str | None
    work: Path | None


class Overrides(PipelineOverrides, total=False):
    """Settings that change a preset, by their names; `docs/settings.md` describes each."""

    device: str


class RestorationChanges(TypedDict, total=False):
    """Settings of `RestorationSettings` to be changed, by their names."""

    method: Literal["auto", "guided", "restorer"]
    restorer: str | None
    fidelity: float | None
    prior: str | None
    strength: float
    num_inference_steps: int | None
    resolution: int | Literal["auto"]
    seed: int
    guide_count: int
    guide_spacing: float
    trust: float | None
    eta_scale: float
    temperature: float | None
    guidance: Literal["closed_form", "gradient", "none"]
    guidance_scale: float
    guidance_map: Literal["trained", "sobel", "none"]
    level_rate: float
    batch_size: int
    level_interval: int
    level_smoothing: float
    step_hysteresis: float
    noise_correlation: float
    window_radius: int | None
    self_ensemble: bool | None
    remove_damage: bool
    temporal_radius: int | None
    repeat_tolerance: float | None
    temporal_weight: float
    paste_mask: Literal["crop", "person"]
    grayscale: Literal["auto", "on", "off"]
    grain: float
