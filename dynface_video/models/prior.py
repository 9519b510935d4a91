"""The face prior: a diffusers `UNet2DModel` behind one small interface, `x0 = prior(x_t, t, guide, level)`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.diffusion.dct import dct2, gaussian_transfer, idct2
from dynface_video.diffusion.levels import level_in_pixels
from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.pretrained import PretrainedModel, configured

NO_GUIDE_LABEL = 1000.0
LABEL_SPAN = 900.0
GUIDE_NOISE = 0.02


class GuidedPrior(PretrainedModel):
    """A DDPM of faces, optionally conditioned on a *known* blur of the face to draw.

    DynFaceRestore reduces every degradation to a known Gaussian blur. If faces were Gaussian with the mean power
    spectrum S, the clean face given `x_t` and `G_s x` would have a closed-form mean, one division per DCT-II
    coefficient; the network starts from that mean and learns what is not Gaussian about faces. It is trained on clean
    faces alone, and one time in several without a guide, which makes the same weights the paper's unconditional prior.
    """

    channels_last = True
    recordable = True
    """Whether a call may be recorded as a CUDA graph; see `cuda_graphs`."""
    log_power: Tensor
    alphas_cumprod: Tensor

    @configured
    def __init__(
        self,
        resolution: int = 128,
        unshuffle: int = 4,
        block_out_channels: Sequence[int] = (64, 64, 128, 256),
        layers_per_block: int = 1,
        norm_num_groups: int = 16,
        attention_head_dim: int = 64,
        label_levels: Sequence[float] = (0.25 / 128, 8 / 128),
        schedule: Mapping[str, Any] | None = None,
        last_timestep: int = 1000,
        trained_levels: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.schedule = NoiseSchedule(**(schedule or {}))
        self.unet = _build_unet(
            unshuffle,
            sample_size=resolution // unshuffle,
            block_out_channels=tuple(block_out_channels),
            layers_per_block=layers_per_block,
            norm_num_groups=norm_num_groups,
            attention_head_dim=attention_head_dim,
        )
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)
        self.register_buffer("log_power", torch.zeros(resolution, resolution))
        self.register_buffer("alphas_cumprod", self.schedule.alphas_cumprod(), persistent=False)

    @property
    def resolution(self) -> int:
        """Side of the crops, pixels."""
        return int(self.config.resolution)

    def gaussian_estimate(
        self, sample: Tensor, timestep: Tensor, guide: Tensor, level: Tensor, has_guide: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Posterior mean of Gaussian faces given `x_t` and `G_s x` under noise of `GUIDE_NOISE`.

        Args:
            sample: x_t, (B, 3, R, R), or parts of crops whose side divides R: a part of half the side has every other
                frequency of the whole, at the same power.
            timestep: (B,) long.
            guide: `G_s x`, as `sample`.
            level: s, relative, (B,).
            has_guide: 0 where the guide is ignored, else 1, (B,).

        Returns:
            The mean, as `sample`, and the std, (B,): the root of the mean posterior variance.
        """
        column = (slice(None), None, None, None)
        size = sample.shape[-1]
        every = self.resolution // size
        alphas = self.alphas_cumprod[timestep][column]
        transfer = gaussian_transfer(level_in_pixels(level, self.resolution), size)
        trust_guide = has_guide.float()[column] / GUIDE_NOISE**2
        evidence = alphas.sqrt() / (1 - alphas) * dct2(sample.float()) + trust_guide * transfer * dct2(guide.float())
        own_precision = torch.exp(-self.log_power[::every, ::every])
        precision = own_precision + alphas / (1 - alphas) + trust_guide * transfer**2
        return idct2(evidence / precision), (1 / precision).mean(dim=(1, 2, 3)).sqrt()

    def forward(
        self, sample: Tensor, timestep: Tensor, guide: Tensor, level: Tensor, has_guide: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The clean estimate x0, (B, 3, R, R), and the std it would have if faces were Gaussian, (B,)."""
        with torch.autocast(sample.device.type, enabled=False):
            mean, std = self.gaussian_estimate(sample, timestep, guide, level, has_guide)
        label = torch.where(
            has_guide > 0, level_label(level, self.config.label_levels), torch.full_like(level, NO_GUIDE_LABEL)
        )
        hidden = F.pixel_unshuffle(torch.cat([sample, mean], dim=1), self.config.unshuffle)
        residual = F.pixel_shuffle(self.unet(hidden, timestep, class_labels=label).sample, self.config.unshuffle)
        return mean + std[:, None, None, None] * residual.float(), std

    def predict(self, sample: Tensor, timestep: Tensor, guide: Tensor | None, blur_level: Tensor | None) -> Tensor:
        """See `Denoiser.predict`."""
        if guide is None or blur_level is None:
            has_guide = torch.zeros(len(sample), device=sample.device)
            return self(sample, timestep, torch.zeros_like(sample), torch.ones_like(has_guide), has_guide)[0].clamp(
                -1.2, 1.2
            )
        return self(sample, timestep, guide, blur_level.float(), torch.ones_like(blur_level))[0].clamp(-1.2, 1.2)


def level_label(blur_level: Tensor, span: Sequence[float]) -> Tensor:
    """What the network embeds of a relative blur level: 0 at the first level of `span`, 900 at its last, log scale."""
    smallest, largest = span
    clamped = blur_level.float().clamp(smallest, largest)
    return LABEL_SPAN / math.log(largest / smallest) * torch.log(clamped / smallest)


def mean_log_power(images: Tensor) -> Tensor:
    """Log of the mean squared DCT-II coefficients of crops (N, 3, R, R) in [-1, 1]; returns (R, R)."""
    return dct2(images.float()).square().mean(dim=(0, 1)).log()


def _build_unet(unshuffle: int, *, block_out_channels: tuple[int, ...], **shape: int) -> Any:
    from diffusers import UNet2DModel

    levels = len(block_out_channels)
    return UNet2DModel(
        in_channels=6 * unshuffle**2,
        out_channels=3 * unshuffle**2,
        block_out_channels=block_out_channels,
        down_block_types=("DownBlock2D",) * levels,
        up_block_types=("UpBlock2D",) * levels,
        class_embed_type="timestep",
        **shape,
    )
