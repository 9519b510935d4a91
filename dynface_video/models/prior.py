"""The face prior: a diffusers `UNet2DModel` behind one small interface, `x0 = prior(x_t, t, guide, level)`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.diffusion.dct import dct2, gaussian_transfer, idct2
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.models.folder import load_folder

SMALLEST_LEVEL = 0.25
LARGEST_LEVEL = 8.0
NO_GUIDE_LABEL = 1000.0
GUIDE_NOISE = 0.02


class Denoiser(Protocol):
    """What the sampler needs of a prior."""

    @property
    def resolution(self) -> int:
        """Pixels of a crop's side."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """The forward process that it was trained on."""
        ...

    def predict(self, sample: Tensor, timestep: Tensor, guide: Tensor | None, blur_level: Tensor | None) -> Tensor:
        """The clean estimate x0 of `sample` = x_t.

        sample: (B, 3, R, R); timestep: (B,) long, a step per sample; guide: (B, 3, R, R), `G_s` of the wanted face;
        blur_level: (B,) its s in pixels. Without a guide the estimate is the unconditional one.
        """
        ...


@dataclass(frozen=True)
class PriorConfig:
    """Shape of the embedded prior; saved beside its weights."""

    resolution: int = 128
    unshuffle: int = 4
    block_out_channels: tuple[int, ...] = (64, 64, 128, 256)
    layers_per_block: int = 1
    norm_num_groups: int = 16
    attention_head_dim: int = 64


class GuidedPrior(nn.Module):
    """A DDPM of faces that may be told a *known* blur of the face it is to draw.

    DynFaceRestore reduces every degradation to a known Gaussian blur. If faces were Gaussian with the mean power
    spectrum S, the clean face given `x_t` and `G_s x` would have a closed-form mean, one division per DCT-II
    coefficient; the network starts from that mean and learns what is not Gaussian about faces. It is trained on clean
    faces alone, and one time in several without a guide, which makes the same weights the paper's unconditional prior.
    """

    log_power: Tensor
    alphas_cumprod: Tensor

    def __init__(self, config: PriorConfig, schedule: NoiseSchedule | None = None) -> None:
        super().__init__()
        self.config = config
        self.schedule = schedule or NoiseSchedule()
        self.unet = _build_unet(config)
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)
        self.register_buffer("log_power", torch.zeros(config.resolution, config.resolution))
        self.register_buffer("alphas_cumprod", self.schedule.alphas_cumprod(), persistent=False)

    @property
    def resolution(self) -> int:
        """Pixels of a crop's side."""
        return self.config.resolution

    def gaussian_estimate(
        self, sample: Tensor, timestep: Tensor, guide: Tensor, level: Tensor, has_guide: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Posterior mean of Gaussian faces given `x_t` and, where `has_guide` is 1, `G_s x` under noise of
        `GUIDE_NOISE`.

        level, has_guide: (B,). Returns the mean (B, 3, R, R) and the root of the mean posterior variance, (B,).
        Samples may also be parts of crops whose side goes into R without rest: a part of half the side has every other
        frequency of the whole, at the same power.
        """
        column = (slice(None), None, None, None)
        size = sample.shape[-1]
        every = self.resolution // size
        alphas = self.alphas_cumprod[timestep][column]
        transfer = gaussian_transfer(level, size)
        trust_guide = has_guide.float()[column] / GUIDE_NOISE**2
        evidence = alphas.sqrt() / (1 - alphas) * dct2(sample.float()) + trust_guide * transfer * dct2(guide.float())
        own_precision = torch.exp(-self.log_power[::every, ::every])
        precision = own_precision + alphas / (1 - alphas) + trust_guide * transfer**2
        return idct2(evidence / precision), (1 / precision).mean(dim=(1, 2, 3)).sqrt()

    def forward(
        self, sample: Tensor, timestep: Tensor, guide: Tensor, level: Tensor, has_guide: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The clean estimate x0, (B, 3, R, R), and the (B,) deviation it would have if faces were Gaussian."""
        with torch.autocast(sample.device.type, enabled=False):
            mean, deviation = self.gaussian_estimate(sample, timestep, guide, level, has_guide)
        label = torch.where(has_guide > 0, level_label(level), torch.full_like(level, NO_GUIDE_LABEL))
        hidden = F.pixel_unshuffle(torch.cat([sample, mean], dim=1), self.config.unshuffle)
        residual = F.pixel_shuffle(self.unet(hidden, timestep, class_labels=label).sample, self.config.unshuffle)
        return mean + deviation[:, None, None, None] * residual.float(), deviation

    def predict(self, sample: Tensor, timestep: Tensor, guide: Tensor | None, blur_level: Tensor | None) -> Tensor:
        """See `Denoiser.predict`."""
        if guide is None or blur_level is None:
            has_guide = torch.zeros(len(sample), device=sample.device)
            return self(sample, timestep, torch.zeros_like(sample), torch.ones_like(has_guide), has_guide)[0].clamp(
                -1.2, 1.2
            )
        return self(sample, timestep, guide, blur_level.float(), torch.ones_like(blur_level))[0].clamp(-1.2, 1.2)


def level_label(blur_level: Tensor) -> Tensor:
    """Blur level in pixels to what the network embeds: 0 at `SMALLEST_LEVEL`, 900 at `LARGEST_LEVEL`, log scale."""
    span = math.log(LARGEST_LEVEL / SMALLEST_LEVEL)
    clamped = blur_level.float().clamp(SMALLEST_LEVEL, LARGEST_LEVEL)
    return 900.0 / span * torch.log(clamped / SMALLEST_LEVEL)


def mean_log_power(images: Tensor) -> Tensor:
    """Log of the mean squared DCT-II coefficients of crops (N, 3, R, R) in [-1, 1]; returns (R, R)."""
    return dct2(images.float()).square().mean(dim=(0, 1)).log()


def _build_unet(config: PriorConfig) -> Any:
    from diffusers import UNet2DModel

    levels = len(config.block_out_channels)
    return UNet2DModel(
        sample_size=config.resolution // config.unshuffle,
        in_channels=6 * config.unshuffle**2,
        out_channels=3 * config.unshuffle**2,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        norm_num_groups=config.norm_num_groups,
        attention_head_dim=config.attention_head_dim,
        class_embed_type="timestep",
    )


def load_prior(folder: Path, *, device: torch.device) -> GuidedPrior:
    """Load the prior that `scripts/train.py prior` exported to `folder`."""
    return load_folder(
        folder, lambda c: GuidedPrior(PriorConfig(**c["network"]), NoiseSchedule(**c["schedule"])), device
    )
