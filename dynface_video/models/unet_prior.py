"""The unconditional prior of published checkpoints: the U-Net of guided-diffusion behind `Denoiser` (docs/method.md 1).

Dhariwal and Nichol 2021 (arXiv 2105.05233); DifFace's FFHQ-512 network, the paper's prior, is of this family. It is
built from diffusers' blocks in the order of the published networks, so that block k here is block k there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.pretrained import PretrainedModel, configured

NORM_EPS = 1e-5
"""Of guided-diffusion's group normalisation."""


class TimestepSequence(nn.ModuleList):
    """Layers in a row; those that are conditioned on the step get its embedding."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, H, W) and (B, E) to the last layer's output."""
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResnetBlock2D) else layer(x)
        return x


class UNetPrior(PretrainedModel):
    """A DDPM of faces that predicts the noise, without condition. A `Denoiser`; it ignores the guide.

    Defaults are DifFace's FFHQ-512 network: 159.8 million parameters, 189 billion multiplications a forward pass.

    Args:
        resolution: Side of the crops, pixels.
        model_channels: Of the first level, before its multiplier.
        channel_mult: Multiplier of the channels of each level.
        blocks: Residual blocks of each level on the way down; one more on the way up.
        attention_sizes: Sides of the feature maps that are followed by attention.
        head_channels: Channels of an attention head.
        scale_shift_norm: Whether the step scales and shifts after the second normalisation, or is added before it.
        resblock_updown: Whether residual blocks change the resolution, or plain layers.
        conv_resample: Whether those plain layers have a convolution.
        learned_variance: Whether three more output channels, which sampling by DDIM does not need, hold the variance.
        norm_num_groups: Groups of every normalisation.
        schedule: Arguments of `NoiseSchedule`.
        last_timestep: Number of steps that it was trained on.
    """

    alphas_cumprod: Tensor

    @configured
    def __init__(
        self,
        resolution: int = 512,
        model_channels: int = 32,
        channel_mult: Sequence[int] = (1, 2, 4, 8, 8, 16, 16),
        blocks: Sequence[int] = (1, 2, 2, 2, 2, 3, 4),
        attention_sizes: Sequence[int] = (32, 16, 8),
        head_channels: int = 64,
        scale_shift_norm: bool = True,
        resblock_updown: bool = False,
        conv_resample: bool = True,
        learned_variance: bool = True,
        norm_num_groups: int = 32,
        schedule: Mapping[str, Any] | None = None,
        last_timestep: int = 1000,
    ) -> None:
        super().__init__()
        if len(channel_mult) != len(blocks):
            raise ValueError(f"channel_mult has {len(channel_mult)} levels, blocks has {len(blocks)}")
        self.schedule = NoiseSchedule(**(schedule or {}))
        embedding = 4 * model_channels
        self.time_proj = Timesteps(model_channels, flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(model_channels, embedding)

        widths = [multiplier * model_channels for multiplier in channel_mult]
        self.input_blocks = nn.ModuleList([TimestepSequence([nn.Conv2d(3, widths[0], 3, padding=1)])])
        channels, size, skips = widths[0], resolution, [widths[0]]
        for level, width in enumerate(widths):
            for _ in range(blocks[level]):
                layers = [self._residual(channels, width), *self._attention(width, size)]
                self.input_blocks.append(TimestepSequence(layers))
                channels = width
                skips.append(channels)
            if level < len(widths) - 1:
                self.input_blocks.append(TimestepSequence([self._resampling(channels, down=True)]))
                size //= 2
                skips.append(channels)
        self.middle_block = TimestepSequence(
            [self._residual(channels, channels), self._attention_layer(channels), self._residual(channels, channels)]
        )
        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for number in range(blocks[level] + 1):
                layers = [self._residual(channels + skips.pop(), width), *self._attention(width, size)]
                channels = width
                if level and number == blocks[level]:
                    layers.append(self._resampling(channels, down=False))
                    size *= 2
                self.output_blocks.append(TimestepSequence(layers))
        self.out = nn.Sequential(
            nn.GroupNorm(norm_num_groups, channels, eps=NORM_EPS),
            nn.SiLU(),
            nn.Conv2d(channels, 6 if learned_variance else 3, 3, padding=1),
        )
        self.register_buffer("alphas_cumprod", self.schedule.alphas_cumprod(), persistent=False)

    @property
    def resolution(self) -> int:
        """Side of the crops, pixels."""
        return int(self.config.resolution)

    def forward(self, sample: Tensor, timestep: Tensor) -> Tensor:
        """The network's output.

        Args:
            sample: x_t, (B, 3, R, R).
            timestep: (B,) long.

        Returns:
            The noise, and behind it what determines the variance where it is learned, (B, 3 or 6, R, R).
        """
        embedding = self.time_embedding(self.time_proj(timestep).to(sample.dtype))
        hidden, skips = sample, []
        for block in self.input_blocks:
            hidden = block(hidden, embedding)
            skips.append(hidden)
        hidden = self.middle_block(hidden, embedding)
        for block in self.output_blocks:
            hidden = block(torch.cat([hidden, skips.pop()], dim=1), embedding)
        with torch.autocast(sample.device.type, enabled=False):
            # x0 multiplies an error of the noise by up to a hundred: the last layer is not rounded to bfloat16.
            out: Tensor = self.out(hidden.to(self.out[0].weight.dtype))
        return out

    def predict(self, sample: Tensor, timestep: Tensor, guide: Tensor | None, blur_level: Tensor | None) -> Tensor:
        """See `Denoiser.predict`: `x0 = (x_t - sqrt(1 - abar) eps) / sqrt(abar)`, within [-1, 1]."""
        noise = self(sample, timestep)[:, :3].float()
        alphas = self.alphas_cumprod[timestep][:, None, None, None]
        return ((sample.float() - (1 - alphas).sqrt() * noise) / alphas.sqrt()).clamp(-1, 1)

    def _residual(self, channels: int, width: int, **resampling: bool) -> ResnetBlock2D:
        config = self.config
        return ResnetBlock2D(
            in_channels=channels,
            out_channels=width,
            temb_channels=4 * config.model_channels,
            groups=config.norm_num_groups,
            eps=NORM_EPS,
            time_embedding_norm="scale_shift" if config.scale_shift_norm else "default",
            **resampling,
        )

    def _attention(self, channels: int, size: int) -> Iterator[Attention]:
        if size in self.config.attention_sizes:
            yield self._attention_layer(channels)

    def _attention_layer(self, channels: int) -> Attention:
        head = self.config.head_channels
        if channels % head:
            raise ValueError(f"{channels} channels cannot be divided into attention heads of {head}")
        return Attention(
            query_dim=channels,
            heads=channels // head,
            dim_head=head,
            norm_num_groups=self.config.norm_num_groups,
            eps=NORM_EPS,
            bias=True,
            residual_connection=True,
            _from_deprecated_attn_block=True,
        )

    def _resampling(self, channels: int, *, down: bool) -> nn.Module:
        if self.config.resblock_updown:
            return self._residual(channels, channels, **{"down" if down else "up": True})
        if down:
            return Downsample2D(channels, use_conv=self.config.conv_resample, padding=1, name="op")
        return Upsample2D(channels, use_conv=self.config.conv_resample)
