"""GPU memory of sampling: of the weights, of a slot, and how many slots fit.

Computed from the networks' shapes alone (torch's fake tensors): what one evaluation of a prior holds at its peak. It is
a lower bound: libraries' workspaces, fragmentation and RM come on top, for which `RESERVE` is kept free.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from dynface_video.models.unet_prior import UNetPrior

GIB = 1 << 30
RESERVE = 2 * GIB
"""Left to the driver, workspaces, the other networks and the frames."""
KEPT_PICTURES = 6
"""Float32 pictures of a slot between evaluations: state, noise, estimate, and of a guide picture and spectrum."""


@dataclass(frozen=True)
class SlotMemory:
    """Bytes.

    Attributes:
        weights: Of the prior.
        slot: Peak of what one face adds to an evaluation, with what is kept of it between them.
        gradient_slot: The same where the gradient is taken through the network, which keeps all activations.
    """

    weights: int
    slot: int
    gradient_slot: int

    def slots(self, memory: int, *, gradient: bool = False) -> int:
        """How many faces can be sampled at once.

        Args:
            memory: Of the GPU, bytes.
            gradient: Whether by the gradient through the network.
        """
        return max(0, (memory - RESERVE - self.weights) // (self.gradient_slot if gradient else self.slot))


def slot_memory(config: dict[str, Any] | None = None, dtype: torch.dtype = torch.float32) -> SlotMemory:
    """The memory of sampling with a prior.

    Args:
        config: Arguments of `UNetPrior`; None for the paper's prior.
        dtype: Of the arithmetic. Weights stay float32 and are cast layer by layer, as autocast does, and the copies are
            kept for one evaluation.
    """
    with FakeTensorMode():
        return _slot_memory(UNetPrior(**(config or {})).requires_grad_(False), dtype)


def _slot_memory(prior: UNetPrior, dtype: torch.dtype) -> SlotMemory:
    if dtype != torch.float32:
        for module in prior.modules():
            if isinstance(module, nn.GroupNorm):
                # As autocast does on a GPU; on a CPU, whose rules are used here, it would stay in bfloat16.
                module.register_forward_pre_hook(lambda norm, inputs: tuple(x.float() for x in inputs))
    weights = sum(parameter.numel() * 4 for parameter in prior.parameters())
    copies = 0 if dtype == torch.float32 else sum(p.numel() * dtype.itemsize for p in prior.parameters() if p.ndim > 1)
    peaks = [_peak(prior, batch, dtype, gradient=False) for batch in (1, 2)]
    kept = [_peak(prior, batch, dtype, gradient=True) for batch in (1, 2)]
    picture = 3 * prior.resolution**2 * 4
    between = KEPT_PICTURES * picture
    # What is the same for any number of faces, such as the cast weights, drops out of the difference.
    return SlotMemory(weights + copies, peaks[1] - peaks[0] + between, kept[1] - kept[0] + between)


def _peak(prior: UNetPrior, batch: int, dtype: torch.dtype, *, gradient: bool) -> int:
    """Most bytes of tensors that were made in an evaluation and live at the same time."""
    size = prior.resolution
    sample = torch.zeros(batch, 3, size, size, requires_grad=gradient)
    timestep = torch.zeros(batch, dtype=torch.long)
    counter = _LiveBytes()
    with torch.set_grad_enabled(gradient), torch.autocast("cpu", dtype, enabled=dtype != torch.float32), counter:
        made = prior(sample, timestep)
    del made
    return counter.peak


class _LiveBytes(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, until they are freed."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self._sizes: Any = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, Iterable) and not isinstance(made, torch.Tensor) else (made,):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._sizes:
            return
        size = storage.nbytes()
        self._sizes[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._freed, size)

    def _freed(self, size: int) -> None:
        self.live -= size
