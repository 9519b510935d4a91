"""Restorers of other projects as a stage's RM, read by spandrel: GFPGAN, RestoreFormer, CodeFormer, SwinIR and others.

spandrel recognises a network by its tensors. What it does not know about face networks is here: the range of values
that they were trained on, their fidelity weight, and that GFPGAN draws fresh noise in every call unless told otherwise,
which would flicker. All of them were trained on crops of 512 pixels by the FFHQ template, in RGB, as crops are here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dynface_video.errors import MODELS_EXTRA, InputError, ModelError
from dynface_video.models.protocols import Regression
from dynface_video.state_dict import read_state_dict

if TYPE_CHECKING:
    from spandrel import ImageModelDescriptor

logger = logging.getLogger(__name__)

RESOLUTION = 512
"""Side of the crops that the face networks were trained on; other networks get the same, though they take any."""

FaceCall = Callable[[Any, Tensor, float], Tensor]
"""(network, crops (B, 3, 512, 512) in [-1, 1], fidelity) to faces of the same shape and range."""

FACE_NETWORKS: Mapping[str, FaceCall] = {
    # Its decoder's own noise, which is part of the weights: fresh noise would differ from frame to frame.
    "GFPGAN": lambda network, crops, fidelity: network(crops, return_rgb=False, randomize_noise=False)[0],
    "RestoreFormer": lambda network, crops, fidelity: network(crops)[0],
    "CodeFormer": lambda network, crops, fidelity: network(crops, weight=fidelity)[0],
}
"""By spandrel's name of the architecture."""
ADJUSTABLE = frozenset({"CodeFormer"})
"""Those with a fidelity weight."""
DEFAULT_FIDELITY = 0.5


@dataclass(frozen=True)
class RestorerKind:
    """What is known of a network besides its weights.

    Attributes:
        architecture: spandrel's name of it.
        scale: Output pixels for one input pixel.
        bfloat16: Whether it can run in bfloat16.
        float16: Whether it can run in float16.
    """

    architecture: str
    scale: int
    bfloat16: bool
    float16: bool

    @property
    def is_face_network(self) -> bool:
        """Whether it restores aligned faces, rather than any picture."""
        return self.architecture in FACE_NETWORKS

    def runs_in(self, dtype: torch.dtype) -> bool:
        """Whether the network can run in the arithmetic of `dtype`."""
        return {torch.bfloat16: self.bfloat16, torch.float16: self.float16}.get(dtype, True)


class ForeignRestorer(nn.Module):
    """A `FaceModel` around a network of another project: one crop at a time, without a coarser stage.

    Args:
        network: Takes and gives pictures: a face network as `FACE_NETWORKS` calls it, any other in [0, 1].
        kind: What is known of it.
        fidelity: For networks with such a weight, in [0, 1]: 0 is the prettiest, 1 the most faithful face.
    """

    def __init__(self, network: nn.Module, kind: RestorerKind, fidelity: float = DEFAULT_FIDELITY) -> None:
        super().__init__()
        self.network, self.kind, self.fidelity = network, kind, fidelity
        self._told = False

    @property
    def reads_windows(self) -> bool:
        """It does not."""
        return False

    @property
    def reads_coarse(self) -> bool:
        """It does not."""
        return False

    @property
    def resolution(self) -> int:
        """Side of the crops that it takes and gives, pixels."""
        return RESOLUTION

    def regress(
        self,
        degraded: Tensor,
        coarse: Tensor | None = None,
        neighbours: Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Regression:
        """See `FaceModel.regress`. A network that has no bfloat16 or float16 runs in float32, whatever the autocast."""
        device = degraded.device.type
        wanted = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else torch.float32
        if self.kind.runs_in(wanted):
            return Regression(degraded, self._restored(degraded))
        if not self._told:
            logger.warning("%s does not run in %s; it runs in float32", self.kind.architecture, wanted)
            self._told = True
        with torch.autocast(device, enabled=False):
            return Regression(degraded, self._restored(degraded.float()))

    def _restored(self, crops: Tensor) -> Tensor:
        call = FACE_NETWORKS.get(self.kind.architecture)
        if call is not None:
            return call(self.network, crops, self.fidelity)
        pictures = (crops + 1) / 2
        if self.kind.scale > 1:
            size = crops.shape[-1] // self.kind.scale
            pictures = functional.interpolate(pictures, (size, size), mode="bicubic", antialias=True).clamp(0, 1)
        made: Tensor = self.network(pictures)
        return 2 * made - 1


def load_restorer(path: Path, *, fidelity: float | None = None, device: torch.device | str = "cpu") -> ForeignRestorer:
    """Load a restorer from its published checkpoint.

    Args:
        path: As of `read_state_dict`; pickles with more than tensors are refused.
        fidelity: See `ForeignRestorer`; None is 0.5 where there is such a weight.
        device: Where it is moved.

    Raises:
        InputError: There is no such file, or a fidelity is given to a network without such a weight.
        ModelError: spandrel is not installed or does not know the network, or the file is damaged.
    """
    descriptor = _descriptor(path)
    kind = RestorerKind(
        descriptor.architecture.id, descriptor.scale, descriptor.supports_bfloat16, descriptor.supports_half
    )
    if (descriptor.input_channels, descriptor.output_channels) != (3, 3):
        raise ModelError(
            f"{path}: {kind.architecture} from {descriptor.input_channels} to {descriptor.output_channels} channels; "
            "a restorer of colour pictures is needed"
        )
    if RESOLUTION % kind.scale:
        raise ModelError(f"{path}: {kind.architecture} enlarges {kind.scale} times, which does not divide {RESOLUTION}")
    if fidelity is not None and kind.architecture not in ADJUSTABLE:
        raise InputError(f"{path}: {kind.architecture} has no fidelity weight; only {', '.join(ADJUSTABLE)} has one")
    network = descriptor.model if kind.is_face_network else _PictureNetwork(descriptor)
    restorer = ForeignRestorer(network, kind, DEFAULT_FIDELITY if fidelity is None else fidelity)
    return restorer.to(device).eval().requires_grad_(False)


class _PictureNetwork(nn.Module):
    """A network for any picture, called as spandrel does: padded to the sizes that it can take, clipped to [0, 1]."""

    def __init__(self, descriptor: ImageModelDescriptor[Any]) -> None:
        super().__init__()
        self.model = descriptor.model
        # Not a submodule, and not found by `nn.Module`: it holds the same network.
        self._call = (descriptor,)

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] to (B, 3, scale H, scale W) in [0, 1]."""
        # spandrel calls it in inference mode, whose tensors could not be part of the gradient's guidance.
        return self._call[0](pictures).clone()


def check_restorer(path: Path) -> None:
    """Raise as `load_restorer` where the names and shapes of the tensors show that it would fail; nothing is built."""
    registry, state, unknown = _known_networks(path)
    if not any(support.architecture.detect(state) for support in registry.architectures("detection")):
        raise unknown


def _known_networks(path: Path) -> tuple[Any, dict[str, Any], ModelError]:
    """The networks that can be read, the state dict of a file, and what to raise where none of them fits it."""
    try:
        import spandrel
    except ImportError as error:
        raise ModelError(f"{path}: restorers of other projects are read by spandrel; {MODELS_EXTRA}") from error
    registry = spandrel.MAIN_REGISTRY.copy()
    try:
        from spandrel_extra_arches import EXTRA_REGISTRY
    except ImportError:
        more = "; CodeFormer needs pip install spandrel_extra_arches, whose networks forbid commercial use"
    else:
        registry.add(*EXTRA_REGISTRY, ignore_duplicates=True)
        more = ""
    state = spandrel.canonicalize_state_dict(read_state_dict(path))
    return registry, state, ModelError(f"{path}: spandrel does not know this network{more}")


def _descriptor(path: Path) -> ImageModelDescriptor[Any]:
    registry, state, unknown = _known_networks(path)
    import spandrel

    try:
        found = registry.load(state)
    except spandrel.UnsupportedModelError as error:
        raise unknown from error
    except Exception as error:  # a state dict that only resembles a network fails in many ways while it is built
        raise ModelError(f"{path}: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(found, spandrel.ImageModelDescriptor):
        raise ModelError(f"{path}: {found.architecture.name} fills holes; a restorer is needed")
    return found
