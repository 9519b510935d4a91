"""Batch normalisation folded into the convolutions before it: the same answers in fewer passes over memory."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def fuse_batch_norm(network: Network) -> Network:
    """Fold every BatchNorm2d that follows a Conv2d in an `nn.Sequential`, in place; for networks in evaluation mode."""
    for block in list(network.modules()):
        if not isinstance(block, nn.Sequential):
            continue
        for (name, layer), (next_name, following) in pairwise(list(block.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
                setattr(block, name, fuse_conv_bn_eval(layer, following))
                setattr(block, next_name, nn.Identity())
    return network
