"""A larger RM that begins as a smaller one: what was learned is kept, and what is new starts from nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dynface_video.models.restoration import RestorationModel


@torch.no_grad()
def widened(model: RestorationModel, channels: Sequence[int], blocks: Sequence[int]) -> RestorationModel:
    """A trainable RM with more channels and blocks that gives the same faces (function-preserving, Chen et al. 2016).

    New channels read the old ones and are not read by them yet; new blocks add nothing yet.

    Args:
        model: The network to begin as.
        channels: Of each level, at least as many as its own.
        blocks: Of each level, at least as many as its own.

    Raises:
        ValueError: The shapes are smaller, or have another number of levels.
    """
    own = model.config
    sizes = [(own.channels, channels), (own.blocks, blocks)]
    if any(len(a) != len(b) or any(x > y for x, y in zip(a, b, strict=True)) for a, b in sizes):
        raise ValueError(
            f"{tuple(channels)} channels in {tuple(blocks)} blocks cannot begin as {own.channels}, {own.blocks}"
        )
    larger = RestorationModel.from_config(own, channels=tuple(channels), blocks=tuple(blocks))
    old = model.state_dict()
    for name, value in larger.state_dict().items():
        if name in old:
            _set_corner(value, old[name], transposed=name.startswith("ups."))
    return larger


def _set_corner(new: Tensor, old: Tensor, *, transposed: bool) -> None:
    """Put an old weight or bias into the first channels of a new one; old outputs read no new input."""
    if old.ndim > 1:
        inputs, outputs = (0, 1) if transposed else (1, 0)
        new.narrow(outputs, 0, old.shape[outputs]).narrow(
            inputs, old.shape[inputs], new.shape[inputs] - old.shape[inputs]
        ).zero_()
    new[tuple(slice(0, side) for side in old.shape)] = old
