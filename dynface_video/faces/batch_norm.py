"""Convolutions with batch normalisation, and folding it into them: the same answers in fewer passes over memory."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

Network = TypeVar("Network", bound=nn.Module)


def normalized_conv(in_channels: int, out_channels: int, *, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution with batch normalisation."""
    conv = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out_channels))


class ResidualBlock(nn.Module):
    """Two such convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = (normalized_conv(channels, channels) for _ in range(2))
        self.body = nn.Sequential(first, nn.ReLU(inplace=True), second)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return functional.relu(x + self.body(x), inplace=True)


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
