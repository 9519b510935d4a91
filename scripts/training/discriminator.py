"""A discriminator of patches, and the hinge losses (Lim and Ye 2017) that train it and a generator side by side."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

WIDTHS = (48, 96, 192)
SLOPE = 0.2


class PatchDiscriminator(nn.Module):
    """Three spectrally normalised convolutions of stride 2 and a score for every eighth pixel; 0.4 M parameters."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((3, *widths)):
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(widths[-1], 1, 3, padding=1)))

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] to scores (B, 1, H / 8, W / 8), above 0 where they seem real."""
        return self.layers(pictures)


class Adversarial(nn.Module):
    """A generator and its discriminator as one module, so that one loop trains, averages and resumes both."""

    def __init__(self, generator: nn.Module, discriminator: PatchDiscriminator) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator

    def losses(self, generated: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Both hinge losses of a batch.

        They may be summed for one backward pass: the first gives the discriminator no gradient, the second gives the
        generator none.

        Args:
            generated: What the generator made, (B, 3, H, W) in [-1, 1], attached to its graph.
            real: What it should look like, of the same shape.

        Returns:
            The generator's loss and the discriminator's, scalars.
        """
        self.discriminator.requires_grad_(False)
        generator_loss = -self.discriminator(generated).mean()
        self.discriminator.requires_grad_(True)
        scores = self.discriminator(torch.cat([real, generated.detach()]))
        on_real, on_generated = scores.chunk(2)
        return generator_loss, F.relu(1 - on_real).mean() + F.relu(1 + on_generated).mean()
