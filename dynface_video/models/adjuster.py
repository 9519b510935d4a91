"""DGSA, the dynamic guidance scaling adjuster: where the guide rules, where the prior may invent (docs/method.md 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dynface_video.models.prior import level_label
from dynface_video.pretrained import PretrainedModel, configured


class GuidanceAdjuster(PretrainedModel):
    """Three convolutions from the guide, the prior's estimate, the step and the blur level to the map `A_t`.

    The paper's network gets the guide, `x0` and t. This one also gets the blur level: at the same step the amount of
    missing detail depends on it. The map has a value for each block of `unshuffle` pixels, between which
    it is interpolated. As initialised it is one half everywhere.
    """

    @configured
    def __init__(
        self, unshuffle: int = 4, width: int = 32, label_levels: Sequence[float] = (0.25 / 128, 8 / 128)
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(6 * unshuffle**2 + 2, width, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect"),
            nn.ReLU(),
            nn.Conv2d(width, 1, 3, padding=1, padding_mode="reflect"),
        )
        last = self.layers[-1]
        nn.init.zeros_(last.weight)  # type: ignore[arg-type]
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, guide: Tensor, denoised: Tensor, alphas_cumprod: Tensor, blur_level: Tensor) -> Tensor:
        """See `GuidanceMap`."""
        guide, denoised = guide.float(), denoised.float()
        seen = nn.functional.pixel_unshuffle(torch.cat([guide, denoised - guide], dim=1), self.config.unshuffle)
        snr = torch.log(alphas_cumprod / (1 - alphas_cumprod)).float() / 8
        condition = torch.stack([snr, level_label(blur_level, self.config.label_levels) / 500 - 1], dim=1)[
            :, :, None, None
        ]
        blocks = torch.sigmoid(self.layers(torch.cat([seen, condition.expand(-1, -1, *seen.shape[-2:])], dim=1)))
        return nn.functional.interpolate(blocks, size=guide.shape[-2:], mode="bilinear", align_corners=False)


def sobel_guidance_map(
    guide: Tensor,
    denoised: Tensor,
    alphas_cumprod: Tensor,
    blur_level: Tensor,
    *,
    block: int = 8,
    lowest: float = 0.4,
) -> Tensor:
    """Untrained stand-in for the trained map: high on smooth skin, low on texture and edges; in [lowest, 1].

    Block means of a Sobel magnitude of the guide's luminance, squashed (DiffBIR's region weights). It ignores
    `x0`, the step and the level.

    Args:
        guide: As of `GuidanceMap`, like the next three.
        denoised: Ignored.
        alphas_cumprod: Ignored.
        blur_level: Ignored.
        block: Side of the blocks, pixels.
        lowest: The map's smallest value.
    """
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=guide.device)
    luminance = nn.functional.pad(guide.float().mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="reflect")
    gx = nn.functional.conv2d(luminance, kernel[None, None])
    gy = nn.functional.conv2d(luminance, kernel.T[None, None])
    magnitude = nn.functional.avg_pool2d((gx**2 + gy**2).sqrt(), block)
    texture = 1 - torch.exp(-2 * magnitude)
    smooth = nn.functional.interpolate(texture, size=guide.shape[-2:], mode="bilinear", align_corners=False)
    return 1 - (1 - lowest) * smooth
