"""The U-Net of guided-diffusion restated with plain functions on published tensors: what `UNetPrior` is compared with.

Written from the paper (arXiv 2105.05233, appendix) and the names of the published tensors, without any code of the
package or of diffusers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
Layer = tuple[str, str, int, int]
"""Kind, published name, input channels, output channels."""


@dataclass(frozen=True)
class Shape:
    """A network of the family; see `UNetPrior`."""

    resolution: int
    width: int
    mult: tuple[int, ...]
    blocks: tuple[int, ...]
    attention: tuple[int, ...]
    head: int = 64
    scale_shift: bool = True
    updown: bool = False
    conv_resample: bool = True
    out: int = 6
    groups: int = 32
    heads_first: bool = True

    def config(self) -> dict[str, object]:
        """The arguments of `UNetPrior`."""
        return {
            "resolution": self.resolution,
            "model_channels": self.width,
            "channel_mult": self.mult,
            "blocks": self.blocks,
            "attention_sizes": self.attention,
            "head_channels": self.head,
            "scale_shift_norm": self.scale_shift,
            "resblock_updown": self.updown,
            "conv_resample": self.conv_resample,
            "learned_variance": self.out == 6,
            "norm_num_groups": self.groups,
        }


FFHQ512 = Shape(512, 32, (1, 2, 4, 8, 8, 16, 16), (1, 2, 2, 2, 2, 3, 4), (32, 16, 8))
FFHQ256 = Shape(256, 128, (1, 1, 2, 2, 4, 4), (1,) * 6, (16,), updown=True)
NEW_ORDER = Shape(64, 32, (1, 2, 3), (2, 1, 2), (32, 16), head=32, updown=True, heads_first=False)
SHIFT_ONLY = Shape(32, 32, (1, 2), (1, 2), (16,), head=16, scale_shift=False, conv_resample=False, out=3, groups=16)
TINY = replace(FFHQ512, resolution=32, mult=(1, 2), blocks=(1, 1), attention=(16,), head=32)


def blocks_of(shape: Shape) -> tuple[list[list[Layer]], list[Layer], list[list[Layer]]]:
    """The layers of the blocks on the way down, in the middle, and on the way up."""
    plain = ("down", "up") if not shape.updown else ("down_residual", "up_residual")
    channels, size = shape.width * shape.mult[0], shape.resolution
    down: list[list[Layer]] = [[("conv", "input_blocks.0.0", 3, channels)]]
    kept = [channels]
    for level, multiplier in enumerate(shape.mult):
        for _ in range(shape.blocks[level]):
            at, wide = f"input_blocks.{len(down)}", shape.width * multiplier
            layers: list[Layer] = [("residual", f"{at}.0", channels, wide)]
            if size in shape.attention:
                layers.append(("attention", f"{at}.1", wide, wide))
            channels = wide
            down.append(layers)
            kept.append(channels)
        if level + 1 < len(shape.mult):
            down.append([(plain[0], f"input_blocks.{len(down)}.0", channels, channels)])
            kept.append(channels)
            size //= 2
    middle: list[Layer] = [
        ("residual", "middle_block.0", channels, channels),
        ("attention", "middle_block.1", channels, channels),
        ("residual", "middle_block.2", channels, channels),
    ]
    up: list[list[Layer]] = []
    for level in range(len(shape.mult) - 1, -1, -1):
        for number in range(shape.blocks[level] + 1):
            at, wide = f"output_blocks.{len(up)}", shape.width * shape.mult[level]
            layers = [("residual", f"{at}.0", channels + kept.pop(), wide)]
            if size in shape.attention:
                layers.append(("attention", f"{at}.{len(layers)}", wide, wide))
            channels = wide
            if level > 0 and number == shape.blocks[level]:
                layers.append((plain[1], f"{at}.{len(layers)}", wide, wide))
                size *= 2
            up.append(layers)
    return down, middle, up


def tensor_shapes(shape: Shape) -> Shapes:
    """Names and shapes of the published tensors."""
    embedding = 4 * shape.width
    shapes: Shapes = {}

    def add(name: str, *sizes: int) -> None:
        shapes[f"{name}.weight"] = sizes
        shapes[f"{name}.bias"] = sizes[:1]

    add("time_embed.0", embedding, shape.width)
    add("time_embed.2", embedding, embedding)
    down, middle, up = blocks_of(shape)
    for kind, name, channels, wide in (layer for block in (*down, middle, *up) for layer in block):
        if kind == "conv":
            add(name, wide, channels, 3, 3)
        elif kind.endswith("residual"):
            add(f"{name}.in_layers.0", channels)
            add(f"{name}.in_layers.2", wide, channels, 3, 3)
            add(f"{name}.emb_layers.1", (2 if shape.scale_shift else 1) * wide, embedding)
            add(f"{name}.out_layers.0", wide)
            add(f"{name}.out_layers.3", wide, wide, 3, 3)
            if channels != wide:
                add(f"{name}.skip_connection", wide, channels, 1, 1)
        elif kind == "attention":
            add(f"{name}.norm", wide)
            add(f"{name}.qkv", 3 * wide, wide, 1)
            add(f"{name}.proj_out", wide, wide, 1)
        elif shape.conv_resample:
            add(f"{name}.{'op' if kind == 'down' else 'conv'}", wide, wide, 3, 3)
    add("out.0", shape.width * shape.mult[0])
    add("out.2", shape.out, shape.width * shape.mult[0], 3, 3)
    return shapes


def random_state(shape: Shape, seed: int = 0) -> dict[str, Tensor]:
    """Published tensors with random values that keep the network's output of the order of one."""
    generator = torch.Generator().manual_seed(seed)

    def values() -> Iterator[tuple[str, Tensor]]:
        for name, sizes in tensor_shapes(shape).items():
            tensor = torch.empty(sizes).uniform_(-1, 1, generator=generator)
            if len(sizes) > 1:
                yield name, tensor * (3 / math.prod(sizes[1:])) ** 0.5
            else:
                yield name, tensor * 0.1 + (1.0 if name.endswith("weight") else 0.0)

    return dict(values())


def plain_forward(shape: Shape, state: dict[str, Tensor], x: Tensor, t: Tensor) -> Tensor:
    """The network's output for float64 `x`, (B, 3, H, W), and steps `t`, (B,)."""

    def weights(name: str) -> tuple[Tensor, Tensor]:
        return state[f"{name}.weight"].double(), state[f"{name}.bias"].double()

    def conv(name: str, h: Tensor, stride: int = 1) -> Tensor:
        weight, bias = weights(name)
        return F.conv2d(h, weight, bias, stride=stride, padding=weight.shape[-1] // 2)

    def norm(name: str, h: Tensor) -> Tensor:
        weight, bias = weights(name)
        grouped = h.reshape(h.shape[0], shape.groups, -1)
        mean, var = grouped.mean(-1, keepdim=True), grouped.var(-1, unbiased=False, keepdim=True)
        normal = ((grouped - mean) / (var + 1e-5).sqrt()).reshape(h.shape)
        return normal * weight.reshape(1, -1, 1, 1) + bias.reshape(1, -1, 1, 1)

    def linear(name: str, h: Tensor) -> Tensor:
        weight, bias = weights(name)
        return h @ weight.T + bias

    def silu(h: Tensor) -> Tensor:
        return h / (1 + torch.exp(-h))

    def resized(kind: str, h: Tensor) -> Tensor:
        if kind.startswith("down"):
            return (h[..., ::2, ::2] + h[..., 1::2, ::2] + h[..., ::2, 1::2] + h[..., 1::2, 1::2]) / 4
        if kind.startswith("up"):
            return h.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)
        return h

    def residual(kind: str, name: str, h: Tensor) -> Tensor:
        inner = resized(kind, silu(norm(f"{name}.in_layers.0", h)))
        inner = conv(f"{name}.in_layers.2", inner)
        step = linear(f"{name}.emb_layers.1", silu(embedding))[:, :, None, None]
        if shape.scale_shift:
            half = step.shape[1] // 2
            inner = norm(f"{name}.out_layers.0", inner) * (1 + step[:, :half]) + step[:, half:]
        else:
            inner = norm(f"{name}.out_layers.0", inner + step)
        inner = conv(f"{name}.out_layers.3", silu(inner))
        h = resized(kind, h)
        return inner + (conv(f"{name}.skip_connection", h) if f"{name}.skip_connection.weight" in state else h)

    def attention(name: str, h: Tensor) -> Tensor:
        batch, channels, height, width = h.shape
        weight, bias = weights(f"{name}.qkv")
        rows = weight[..., 0] @ norm(f"{name}.norm", h).flatten(2) + bias[:, None]  # (B, 3 C, N)
        made = []
        for head in range(channels // shape.head):
            if shape.heads_first:
                q, k, v = (rows[:, (3 * head + i) * shape.head : (3 * head + i + 1) * shape.head] for i in range(3))
            else:
                q, k, v = (
                    rows[:, i * channels + head * shape.head : i * channels + (head + 1) * shape.head] for i in range(3)
                )
            score = torch.softmax(q.transpose(1, 2) @ k / shape.head**0.5, dim=-1)
            made.append(v @ score.transpose(1, 2))
        weight, bias = weights(f"{name}.proj_out")
        out = weight[..., 0] @ torch.cat(made, dim=1) + bias[:, None]
        return h + out.reshape(batch, channels, height, width)

    def apply(layer: Layer, h: Tensor) -> Tensor:
        kind, name = layer[:2]
        if kind == "conv":
            return conv(name, h)
        if kind.endswith("residual"):
            return residual(kind, name, h)
        if kind == "attention":
            return attention(name, h)
        if not shape.conv_resample:
            return resized(kind, h)
        return conv(f"{name}.op", h, stride=2) if kind == "down" else conv(f"{name}.conv", resized(kind, h))

    # The step's embedding is made in single precision there, whatever the rest is computed in.
    half = shape.width // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = t[:, None].float() * frequencies[None]
    sines = torch.cat([torch.cos(angles), torch.sin(angles)], dim=1).double()
    embedding = linear("time_embed.2", silu(linear("time_embed.0", sines)))
    down, middle, up = blocks_of(shape)
    h, kept = x, []
    for block in down:
        for layer in block:
            h = apply(layer, h)
        kept.append(h)
    for layer in middle:
        h = apply(layer, h)
    for block in up:
        h = torch.cat([h, kept.pop()], dim=1)
        for layer in block:
            h = apply(layer, h)
    return conv("out.2", silu(norm("out.0", h)))
