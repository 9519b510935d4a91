"""What of an aligned crop belongs to the person: ParseNet's parts of a face, as a soft mask for pasting.

ParseNet (Chen et al. 2021, PSFRGAN, arXiv 2009.08709) by facexlib's network and our own loading. Hair, hat, glasses,
ears, jewellery and neck belong to the person; clothes and the background do not, and neither does what covers the
face, such as hands and microphones, which the network takes for background.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.pretrained import load_state_dict
from dynface_video.resampling import gaussian_blur

SIDE = 512
"""Of the crops that the network was trained on, pixels."""
PARTS = (
    "background", "skin", "nose", "glasses", "left eye", "right eye", "left brow", "right brow", "left ear",
    "right ear", "mouth", "upper lip", "lower lip", "hair", "hat", "earring", "necklace", "neck", "cloth",
)  # fmt: skip
"""The network's classes, in their order (CelebAMask-HQ)."""
OUTSIDE = ("background", "cloth")
SOFTNESS = 0.02
"""Std of the blur of the mask as a share of the crop: a face and its source then blend over about a twentieth of it."""


class FaceParser(Protocol):
    """Tells what of a crop is shown when the restored face is pasted."""

    def masks(self, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The soft masks of aligned crops.

        Args:
            crops: Of the source, each (R, R, 3) float32 RGB in [0, 1]; R may differ.

        Returns:
            (R, R) float32 in [0, 1] of each: 1 where the restored face is shown.
        """
        ...


@dataclass
class ParseNetMasks:
    """A `FaceParser`.

    Attributes:
        network: facexlib's, in evaluation mode.
        device: of the network.
        side: of what the network sees, pixels; it was trained on 512.
        batch_size: crops of one forward pass on a GPU.
    """

    network: nn.Module
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    side: int = SIDE
    batch_size: int = 8

    @classmethod
    def from_file(cls, path: Path, device: torch.device | str = "cpu") -> ParseNetMasks:
        """Load the state dict that facexlib publishes ("parsenet" in the catalogue).

        Raises:
            ModelError: As `load_state_dict`.
        """
        from facexlib.parsing.parsenet import ParseNet

        network = ParseNet(in_size=SIDE, out_size=SIDE, parsing_ch=len(PARTS))
        return cls(load_state_dict(network, path, device), torch.device(device))

    def masks(self, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
        """See `FaceParser`."""
        found = list[np.ndarray]()
        # On the CPU one by one: the mask of a crop then has the same bytes in every batch.
        together = 1 if self.device.type == "cpu" else self.batch_size
        with torch.inference_mode():
            for start in range(0, len(crops), together):
                chosen = crops[start : start + together]
                shown = self._shown(torch.cat([self._network_input(crop) for crop in chosen]))
                found += [_resized(mask, len(crop)) for mask, crop in zip(shown, chosen, strict=True)]
        return found

    def _shown(self, batch: Tensor) -> Tensor:
        """Probability that a pixel belongs to the person, blurred: (B, 3, S, S) to (B, 1, S, S)."""
        parts = self.network(batch)[0].float().softmax(dim=1)
        outside = parts[:, [PARTS.index(name) for name in OUTSIDE]].sum(dim=1, keepdim=True)
        return gaussian_blur(1 - outside, SOFTNESS * self.side)

    def _network_input(self, crop: np.ndarray) -> Tensor:
        picture = torch.from_numpy(np.ascontiguousarray(crop, np.float32)).to(self.device).permute(2, 0, 1)[None]
        size = (self.side, self.side)
        return F.interpolate(picture, size, mode="bilinear", antialias=True, align_corners=False) * 2 - 1


def _resized(mask: Tensor, size: int) -> np.ndarray:
    small = F.interpolate(mask[None], (size, size), mode="bilinear", antialias=True, align_corners=False)
    return np.asarray(small[0, 0].clamp(0, 1).cpu().numpy(), np.float32)
