"""The interface of a stage's networks: three protocols, and the record that they exchange.

Anything that fulfils them can be a part of a stage; docs/custom-models.md has an example.

Convention:
    Crops are RGB, (B, 3, R, R), floats in [-1, 1]. Blur levels are relative to R (`diffusion.levels`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

if TYPE_CHECKING:
    from dynface_video.diffusion.schedule import NoiseSchedule

GuidanceMap = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Where the guide rules: (guide (B, 3, R, R), x0 (B, 3, R, R), alphas_cumprod (B,), relative blur_level (B,)) to A_t,
(B, 1, R, R) in [0, 1] (docs/method.md 5)."""


@dataclass(frozen=True, eq=False)
class Regression:
    """What a restoration model makes of a crop.

    Attributes:
        evidence: What it started from: the crop, or the weighted mean of its window, (B, 3, R, R).
        estimate: The regressed clean face, (B, 3, R, R), not clipped.
    """

    evidence: Tensor
    estimate: Tensor


class FaceModel(Protocol):
    """A restoration model (RM): regresses the clean face; faithful in its low frequencies (docs/method.md 2)."""

    @property
    def reads_windows(self) -> bool:
        """Whether neighbouring crops make a difference; they are not prepared for a model that ignores them."""
        ...

    @property
    def reads_coarse(self) -> bool:
        """Whether it needs the result of a coarser stage; such a model cannot be the first stage's."""
        ...

    def regress(
        self, degraded: Tensor, coarse: Tensor | None, neighbours: Tensor | None, valid: Tensor | None
    ) -> Regression:
        """Estimate the clean faces.

        Args:
            degraded: The crops, (B, 3, R, R) in [-1, 1].
            coarse: The coarser stage's result enlarged to R, (B, 3, R, R) in [-1, 1]; None in the first stage.
            neighbours: Crops of the same faces in other frames, warped onto them, (B, K, 3, R, R), or None.
            valid: 0 for padding, else 1, (B, K).
        """
        ...


class BlurEstimator(Protocol):
    """The blur estimator (SE): down to which blur level an estimate can be trusted (docs/method.md 2)."""

    def estimate_level(self, evidence: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
        """Read the level off a `Regression`.

        Args:
            evidence: (B, 3, R, R) in [-1, 1].
            estimate: (B, 3, R, R) in [-1, 1].

        Returns:
            The relative blur levels, (B,), and confidences in (0, 1], (B,).
        """
        ...


class Denoiser(Protocol):
    """A diffusion prior of faces, as the sampler sees it (docs/method.md 1)."""

    @property
    def resolution(self) -> int:
        """Side of the crops, pixels."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """The forward process that it was trained on."""
        ...

    def predict(self, sample: Tensor, timestep: Tensor, guide: Tensor | None, blur_level: Tensor | None) -> Tensor:
        """The clean estimate x0 of `sample` = x_t.

        Args:
            sample: (B, 3, R, R).
            timestep: A step per sample, (B,) long.
            guide: `G_s` of the wanted face, (B, 3, R, R); None for the unconditional estimate. A prior that is not
                conditioned on the guide ignores it.
            blur_level: The guide's relative level, (B,).
        """
        ...
