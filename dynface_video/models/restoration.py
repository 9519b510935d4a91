"""RM, the restoration model: the network whose low frequencies can be trusted (docs/method.md 2).

It reads a crop and, if given, the neighbouring crops of the same face, warped onto it: each has noise and compression
of its own (docs/method.md 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.faces.align import low_pass_std
from dynface_video.models.protocols import Regression
from dynface_video.models.residual_unet import ResidualUNet
from dynface_video.pretrained import PretrainedModel, configured, layout_of


class WindowFusion(nn.Module):
    """Weighs the crops of a window pixel by pixel, and adds features for what their weighted mean loses.

    Each crop, the middle one too, is compared with the middle one and the plain mean of all. As initialised all crops
    count the same and the features are zero. The number of neighbours is free.
    """

    def __init__(self, unshuffle: int, channels: int, features: int) -> None:
        super().__init__()
        self.unshuffle, self.features = unshuffle, features
        self.compare = nn.Conv2d(9 * unshuffle**2, channels, 3, padding=1)
        self.judge = nn.Conv2d(channels, features + unshuffle**2, 3, padding=1)
        nn.init.kaiming_normal_(self.compare.weight, nonlinearity="relu")
        nn.init.zeros_(self.judge.weight)
        nn.init.zeros_(self.judge.bias)  # type: ignore[arg-type]

    def forward(self, middle: Tensor, neighbours: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse a window.

        Args:
            middle: (B, 3, R, R).
            neighbours: Warped onto it, (B, K, 3, R, R).
            valid: 0 for padding, else 1, (B, K).

        Returns:
            The weighted mean (B, 3, R, R), and features (B, F, r, r) at the unshuffled size, zero without neighbours.
        """
        counts = torch.cat([torch.ones_like(valid[:, :1]), valid], dim=1)[..., None, None, None]
        mean = (middle + (counts[:, 1:] * neighbours).sum(dim=1)) / counts.sum(dim=1)
        # The convolution of [middle, mean, crop] is the sum of those of its parts; only the last differs in a window.
        parts = self.compare.weight.split([6 * self.unshuffle**2, 3 * self.unshuffle**2], dim=1)
        layout = layout_of(self.compare)
        both, own = (part.contiguous(memory_format=layout) for part in parts)
        seen = F.pixel_unshuffle(torch.cat([middle, mean], dim=1), self.unshuffle)
        common = F.conv2d(seen, both, self.compare.bias, padding=1)
        features = middle.new_zeros(len(middle), self.features, *seen.shape[-2:]).contiguous(memory_format=layout)
        total, divisor = torch.zeros_like(middle), torch.zeros_like(middle[:, :1])
        for number, crop in enumerate((middle, *neighbours.unbind(1))):
            compared = F.conv2d(F.pixel_unshuffle(crop, self.unshuffle), own, padding=1).add_(common)
            out = self.judge(F.relu(compared, inplace=True))
            weight = counts[:, number] * F.pixel_shuffle(2 * out[:, self.features :].sigmoid(), self.unshuffle)
            total.add_(weight * crop)
            divisor.add_(weight)
            if number > 0:
                features.add_(counts[:, number] * out[:, : self.features])
        return total / divisor.clamp(min=1e-3), features / counts.sum(dim=1)


class RestorationModel(ResidualUNet, PretrainedModel):
    """RM: a U-Net of plain residual blocks that regresses the clean face as a residual of the degraded one.

    With neighbours it does so from their weighted mean; without them it is the network of a single crop. One that
    reads the coarser stage starts from that stage's face with the finest octave of the crop (`on_coarse`), and sees the
    crop beside it. Fully convolutional: crops of any side that is a multiple of `unshuffle * 2 ** (levels - 1)` go
    through. A `FaceModel`.

    Args:
        resolution: Side of the crops that it was trained on, pixels.
        unshuffle: Side of the block of pixels that becomes one position of the first layer.
        channels: Of each level of the U-Net.
        blocks: Residual blocks of each level.
        fusion_channels: Channels of the network that weighs neighbouring crops; 0 has none, and neighbours are ignored.
        reads_coarse: Whether it reads the enlarged result of the coarser stage beside the crop.
    """

    channels_last = True
    recordable = True
    """Whether a call may be recorded as a CUDA graph; see `cuda_graphs`."""

    @configured
    def __init__(
        self,
        resolution: int = 128,
        unshuffle: int = 2,
        channels: Sequence[int] = (32, 64, 128, 192),
        blocks: Sequence[int] = (1, 2, 2, 3),
        fusion_channels: int = 0,
        reads_coarse: bool = False,
    ) -> None:
        inputs = 6 if reads_coarse else 3
        super().__init__(inputs * unshuffle**2, 3 * unshuffle**2, channels, blocks)
        self.fusion = WindowFusion(unshuffle, fusion_channels, channels[0]) if fusion_channels else None

    @property
    def reads_windows(self) -> bool:
        """Whether neighbouring crops make a difference."""
        return self.fusion is not None

    @property
    def reads_coarse(self) -> bool:
        """Whether it needs the result of a coarser stage."""
        return bool(self.config.reads_coarse)

    def forward(
        self,
        degraded: Tensor,
        coarse: Tensor | None = None,
        neighbours: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """The estimate of `regress`."""
        return self.regress(degraded, coarse, neighbours, valid).estimate

    def regress(
        self,
        degraded: Tensor,
        coarse: Tensor | None = None,
        neighbours: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Regression:
        """See `FaceModel.regress`; raises ValueError if `coarse` is missing, or is given to a network without it."""
        if (coarse is not None) != self.reads_coarse:
            needs = "needs" if self.reads_coarse else "does not read"
            raise ValueError(f"this restoration model {needs} the face of the coarser stage")
        features: Tensor | float = 0.0
        if self.fusion is not None and neighbours is not None and valid is not None and neighbours.shape[1] > 0:
            degraded, features = self.fusion(degraded, neighbours, valid)
        evidence = degraded if coarse is None else on_coarse(degraded, coarse)
        seen = evidence if coarse is None else torch.cat([evidence, degraded], dim=1)
        changes = self.transform(F.pixel_unshuffle(seen, self.config.unshuffle), features)
        return Regression(evidence, evidence + F.pixel_shuffle(changes, self.config.unshuffle))


def enlarge_coarse(faces: Tensor, size: int) -> Tensor:
    """Faces of the coarser stage at the resolution of the next one.

    Plain cubic interpolation: undoing the known low-pass here would multiply grain near the coarser stage's Nyquist
    frequency by three on each axis, and a convolution that reads the source beside it undoes as much as is signal.

    Args:
        faces: (B, 3, r, r) in [-1, 1].
        size: R, the side of the next stage's crops.

    Returns:
        (B, 3, R, R) float32, overshoot cut off at -1 and 1.

    Convention:
        Pixel centres as those of `faces.align.scaling`: both grids cover the same square.
    """
    # Autocast would round the products of the matrices to bfloat16, a level of 255.
    with torch.autocast(faces.device.type, enabled=False):
        rows = _cubic(faces.shape[-1], size, faces.device)
        return (rows @ faces.float() @ rows.T).clamp(-1, 1)


def on_coarse(degraded: Tensor, coarse: Tensor) -> Tensor:
    """The coarser stage's face with what it cannot hold of the source's crop: one level of a Laplacian pyramid.

    A crop that is too blurred to have anything there leaves the coarser face alone, colour blotches and blocks of the
    source included; a sharp one keeps its own finest octave.

    Args:
        degraded: (B, 3, R, R), R even.
        coarse: (B, 3, R, R), the coarser face as `enlarge_coarse` gives it.

    Returns:
        (B, 3, R, R) float32; the crop itself where the coarser face is the crop's own.
    """
    with torch.autocast(degraded.device.type, enabled=False):
        crop, rows = degraded.float(), _held(degraded.shape[-1], degraded.device)
        return coarse.float() + crop - rows @ crop @ rows.T


def reading_coarse(model: RestorationModel) -> RestorationModel:
    """A network for the next stage that begins as `model`.

    Args:
        model: A network that does not read the coarser stage; its fusion is left out.

    Returns:
        A trainable copy that treats `on_coarse` as `model` treats a crop; its weights for the crop beside it are zero.
    """
    finer = RestorationModel.from_config(model.config, fusion_channels=0, reads_coarse=True)
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("fusion.")}
    state["head.weight"] = torch.cat([state["head.weight"], torch.zeros_like(state["head.weight"])], dim=1)
    finer.load_state_dict(state)
    return finer


# A product with one matrix an axis takes less time on a CPU than torch's interpolation (docs/gpu-and-ray.md). Cached
# outside inference mode: training may use matrices that inference made first.
@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _held(size: int, device: torch.device) -> Tensor:
    """Row i: the weights of a crop's pixels in pixel i of the crop halved and enlarged again, (size, size)."""
    # The Gaussian and the mean of two pixels by which `faces.align.sample` halves a crop, as one filter of eight taps.
    taps = torch.exp(-torch.arange(-3.0, 4.0, dtype=torch.float64).square() / (2 * low_pass_std(0.5) ** 2))
    taps = F.conv1d(F.pad(taps / taps.sum(), (1, 1))[None, None], taps.new_full((1, 1, 2), 0.5))
    pixels = torch.eye(size, dtype=torch.float64)[:, None]
    halved = F.conv1d(F.pad(pixels, (3, 3), mode="reflect"), taps, stride=2)[:, 0].T
    return (_cubic(size // 2, size, torch.device("cpu")).double() @ halved).float().to(device)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _cubic(size: int, enlarged: int, device: torch.device) -> Tensor:
    """Row i: the weights of `size` pixels in pixel i of `enlarged` ones by cubic interpolation, (enlarged, size)."""
    pixels = torch.eye(size)[None, None]
    return F.interpolate(pixels, (enlarged, size), mode="bicubic", align_corners=False)[0, 0].to(device)
