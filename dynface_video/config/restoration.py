"""The settings of restoring a face, declared like the other sections in `sections`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dynface_video.config.option import ALL, Option
from dynface_video.config.section import Section

SMALLEST_SIDE = 32


class RestorationSettings(Section):
    """How a face is restored."""

    method: Annotated[Literal["auto", "guided", "restorer"], Option()] = Field(
        default="auto",
        description="guided: the whole method, in which a prior draws what the restorer cannot recover; restorer: "
        "the restorer's own faces, averaged over time; auto: guided if the model set has a prior for the"
        " restorer",
    )
    restorer: Annotated[str | None, Option("FILE|NAME", unset="the model set's own")] = Field(
        default=None,
        min_length=1,
        description="restoration model: a checkpoint that spandrel can read (GFPGAN, RestoreFormer, CodeFormer, "
        "SwinIR and others), or the name of a fetched model",
    )
    fidelity: Annotated[float | None, Option("0..1", unset="0.5, if the restorer has such a weight")] = Field(
        default=None, ge=0, le=1, description="CodeFormer's weight, from 0 (best looking) to 1 (most faithful)"
    )
    prior: Annotated[str | None, Option("PATH|NAME", unset="the model set's own")] = Field(
        default=None,
        min_length=1,
        description="prior of the guided stage: a folder written by `models convert`, a checkpoint, or the name of a"
        " fetched model",
    )
    strength: Annotated[float, Option("0..1", qualified="strengths", common=True)] = Field(
        default=0.6, ge=0, le=1, description="0 stays closest to the input, 1 invents most detail"
    )
    num_inference_steps: Annotated[int | None, Option("N", aliases=("--steps",), unset="the stage's own")] = Field(
        default=None,
        ge=1,
        le=1000,
        description="maximum number of network evaluations per face and stage; less blurred faces take fewer",
    )
    resolution: Annotated[int | Literal["auto"], Option("N|auto")] = Field(
        default="auto",
        description="largest stage for a face, pixels; auto: 256 for videos on a CPU, otherwise no limit",
    )
    seed: Annotated[int, Option("N")] = Field(
        default=0, ge=0, lt=2**32, description="seed of the noise from which detail is drawn"
    )
    guide_count: int = Field(default=1, ge=1, le=8, description="number of guides, each sharper than the previous one")
    guide_spacing: float = Field(
        default=1.0, ge=0, description="difference in blur level between guides, pixels at a resolution of 512"
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
        description="std of the initial noise; higher values give more texture; null: the stage's own",
    )
    guidance: Literal["closed_form", "gradient", "none"] = Field(
        default="closed_form",
        description="closed_form; gradient: the paper's gradient through the network (many steps, slow); or none",
    )
    guidance_scale: float = Field(
        default=1.0,
        ge=0,
        description="strength of the guidance; 1 is full; values above 1 are only for the step length of gradient",
    )
    guidance_map: Literal["trained", "sobel", "none"] = Field(
        default="none",
        description="where the closed form is weakened: by the trained map (DGSA), on texture (sobel), or nowhere "
        "(none)",
    )
    level_rate: float = Field(
        default=0.0,
        ge=0,
        description="for gradient only: step size with which the blur level follows its gradient (Eq. 7), pixels; 0:"
        " off",
    )
    batch_size: int = Field(default=8, ge=1, description="faces per network evaluation")
    level_interval: int = Field(default=3, ge=1, description="frames between estimates of a track's blur level")
    level_smoothing: float = Field(
        default=4.0,
        ge=0,
        description="std of the smoothing of blur levels over time, frames; 0: off, outliers are kept",
    )
    step_hysteresis: float = Field(
        default=0.06, ge=0, lt=1, description="relative change below which the starting step is kept"
    )
    noise_correlation: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="correlation of the noise between the frames of a face; 1: all frames share it",
    )
    window_radius: int | None = Field(
        default=None,
        ge=0,
        le=8,
        description="neighbouring crops on each side that the restoration model reads, frames; null: the stage's own",
    )
    self_ensemble: bool | None = Field(
        default=None,
        description="average the restoration model's results for a crop and for its mirror image, in the stages set up "
        "for it: smoother and closer to the true face, in twice the model's time; null: in pictures, not in videos",
    )
    remove_damage: Annotated[bool, Option()] = Field(
        default=False,
        description="remove film damage from faces before they are restored: dust, tears and scratches of single "
        "frames by what the frames around them show, scratches that stay by what a network finds in single frames; "
        "takes half as long again (on in the preset archive)",
    )
    temporal_radius: int | None = Field(
        default=None,
        ge=0,
        le=16,
        description="reach of flow-guided averaging on each side, frames; neighbours 1, 2, 4, 8 and 16 frames away are "
        "used up to it; 0: off; null: the stage's own, which is also the maximum",
    )
    repeat_tolerance: float | None = Field(
        default=2.0,
        ge=0,
        description="reuse the faces of an earlier frame if no square of 16 pixels differs by more on average, "
        "levels of 255; 0: only for identical pictures; null: restore every frame",
    )
    temporal_weight: float = Field(
        default=0.4, ge=0, description="weight of a neighbour in flow-guided averaging relative to the face itself"
    )
    paste_mask: Annotated[Literal["crop", "person"], Option()] = Field(
        default="crop",
        description="what is pasted of a restored crop: crop, all of it; person, with hair, hat, glasses and neck, "
        "but without background, clothes and whatever covers the face (needs dynface-video models fetch "
        "parsenet)",
    )
    grayscale: Annotated[Literal["auto", "on", "off"], Option(commands=ALL)] = Field(
        default="auto", description="restore faces without colour; auto decides per shot"
    )
    grain: Annotated[float, Option("0..1")] = Field(
        default=0.0, ge=0, le=1, description="share of the surrounding grain to add to restored faces"
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
