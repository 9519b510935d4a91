"""SwinIR as DifFace uses it, restated with plain functions on the published tensors.

Written from the paper (arXiv 2108.10257): windows are gathered by index, and the mask of shifted windows follows from
which positions lay side by side before the shift. 8 stages of 6 blocks, 180 channels, pixels unshuffled by 8.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

STAGES, BLOCKS, CHANNELS, HEADS, WINDOW, UNSHUFFLE, FEATURES = 8, 6, 180, 6, 8, 8, 64
RGB_MEAN = (0.4488, 0.4371, 0.4040)


def random_state(seed: int = 0, *, stages: int = STAGES, blocks: int = BLOCKS, side: int = 64) -> dict[str, Tensor]:
    """Published tensors with random values; side: of the feature map that stored masks belong to."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def add(name: str, *sizes: int) -> None:
        fan_in = torch.Size(sizes[1:]).numel()
        if len(sizes) == 1:
            state[f"{name}.weight"] = 1 + 0.1 * torch.empty(sizes).uniform_(-1, 1, generator=generator)
        else:
            state[f"{name}.weight"] = torch.empty(sizes).uniform_(-1, 1, generator=generator) * (3 / fan_in) ** 0.5
        state[f"{name}.bias"] = 0.1 * torch.empty(sizes[:1]).uniform_(-1, 1, generator=generator)

    add("conv_first.1", CHANNELS, 3 * UNSHUFFLE**2, 3, 3)
    add("patch_embed.norm", CHANNELS)
    for stage in range(stages):
        for block in range(blocks):
            at = f"layers.{stage}.residual_group.blocks.{block}"
            if block % 2:
                state[f"{at}.attn_mask"] = shift_mask(side, side).float()
            add(f"{at}.norm1", CHANNELS)
            table = torch.empty((2 * WINDOW - 1) ** 2, HEADS).uniform_(-1, 1, generator=generator)
            state[f"{at}.attn.relative_position_bias_table"] = table
            state[f"{at}.attn.relative_position_index"] = relative_index()
            add(f"{at}.attn.qkv", 3 * CHANNELS, CHANNELS)
            add(f"{at}.attn.proj", CHANNELS, CHANNELS)
            add(f"{at}.norm2", CHANNELS)
            add(f"{at}.mlp.fc1", 2 * CHANNELS, CHANNELS)
            add(f"{at}.mlp.fc2", CHANNELS, 2 * CHANNELS)
        add(f"layers.{stage}.conv", CHANNELS, CHANNELS, 3, 3)
    add("norm", CHANNELS)
    add("conv_after_body", CHANNELS, CHANNELS, 3, 3)
    add("conv_before_upsample.0", FEATURES, CHANNELS, 3, 3)
    for name in ("conv_up1", "conv_up2", "conv_up3", "conv_hr"):
        add(name, FEATURES, FEATURES, 3, 3)
    add("conv_last", 3, FEATURES, 3, 3)
    return state


def relative_index() -> Tensor:
    """For each pair of positions of a window the row of the bias table, (W^2, W^2) long."""
    y, x = torch.arange(WINDOW).repeat_interleave(WINDOW), torch.arange(WINDOW).repeat(WINDOW)
    return (y[:, None] - y + WINDOW - 1) * (2 * WINDOW - 1) + (x[:, None] - x + WINDOW - 1)


def windows_of(height: int, width: int, shift: int) -> Tensor:
    """The positions of each window's members in the flat feature map, (windows, W^2) long."""
    grid = torch.arange(height * width).reshape(height, width)
    rows, columns = (torch.arange(n).roll(-shift) for n in (height, width))
    found = grid[rows][:, columns]
    return torch.stack([
        found[y : y + WINDOW, x : x + WINDOW].flatten()
        for y in range(0, height, WINDOW) for x in range(0, width, WINDOW)
    ])  # fmt: skip


def shift_mask(height: int, width: int) -> Tensor:
    """-100 between members of a shifted window that do not lie side by side in the picture, (windows, W^2, W^2)."""
    members = windows_of(height, width, WINDOW // 2)
    # Only windows at the border have members from the first rows or columns: those come from the other side.
    wrapped = torch.stack([members // width < WINDOW // 2, members % width < WINDOW // 2], dim=-1)
    return -100.0 * (wrapped[:, :, None] != wrapped[:, None]).any(-1).double()


def plain_forward(state: dict[str, Tensor], pictures: Tensor) -> Tensor:
    """Restored pictures of float64 ones, (B, 3, H, W) in [0, 1] with sides that are multiples of 64."""

    def get(name: str) -> Tensor:
        return state[name].double()

    def linear(name: str, h: Tensor) -> Tensor:
        return h @ get(f"{name}.weight").T + get(f"{name}.bias")

    def norm(name: str, h: Tensor) -> Tensor:
        mean, var = h.mean(-1, keepdim=True), h.var(-1, unbiased=False, keepdim=True)
        return (h - mean) / (var + 1e-5).sqrt() * get(f"{name}.weight") + get(f"{name}.bias")

    def conv(name: str, h: Tensor) -> Tensor:
        return F.conv2d(h, get(f"{name}.weight"), get(f"{name}.bias"), padding=1)

    def attend(at: str, tokens: Tensor, height: int, width: int, shift: int) -> Tensor:
        members = windows_of(height, width, shift)
        inside = tokens[:, members]  # (B, windows, W^2, C)
        head = CHANNELS // HEADS
        rows = linear(f"{at}.qkv", inside)
        made = []
        for h in range(HEADS):
            q, k, v = (rows[..., i * CHANNELS + h * head : i * CHANNELS + (h + 1) * head] for i in range(3))
            score = q @ k.transpose(-1, -2) / head**0.5
            score = score + get(f"{at}.relative_position_bias_table")[:, h][relative_index()]
            if shift:
                score = score + shift_mask(height, width)
            made.append(torch.softmax(score, dim=-1) @ v)
        out = torch.empty_like(tokens)
        out[:, members.flatten()] = linear(f"{at}.proj", torch.cat(made, dim=-1)).flatten(1, 2)
        return out

    def block(at: str, tokens: Tensor, height: int, width: int, shift: int) -> Tensor:
        tokens = tokens + attend(f"{at}.attn", norm(f"{at}.norm1", tokens), height, width, shift)
        hidden = linear(f"{at}.mlp.fc1", norm(f"{at}.norm2", tokens))
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
        return tokens + linear(f"{at}.mlp.fc2", hidden)

    def as_map(tokens: Tensor, height: int, width: int) -> Tensor:
        return tokens.transpose(1, 2).reshape(len(tokens), CHANNELS, height, width)

    def as_tokens(feature_map: Tensor) -> Tensor:
        return feature_map.flatten(2).transpose(1, 2)

    def leaky(h: Tensor, slope: float) -> Tensor:
        return torch.where(h > 0, h, slope * h)

    mean = torch.tensor(RGB_MEAN, dtype=torch.float32).double().reshape(1, 3, 1, 1)
    first = conv("conv_first.1", F.pixel_unshuffle(pictures - mean, UNSHUFFLE))
    height, width = first.shape[-2:]
    tokens = norm("patch_embed.norm", as_tokens(first))
    stages = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    for stage in range(stages):
        before, at = tokens, f"layers.{stage}.residual_group.blocks"
        blocks = 1 + max(int(name.split(".")[4]) for name in state if name.startswith(at))
        for number in range(blocks):
            tokens = block(f"{at}.{number}", tokens, height, width, (number % 2) * (WINDOW // 2))
        tokens = before + as_tokens(conv(f"layers.{stage}.conv", as_map(tokens, height, width)))
    h = first + conv("conv_after_body", as_map(norm("norm", tokens), height, width))
    h = leaky(conv("conv_before_upsample.0", h), 0.01)
    for name in ("conv_up1", "conv_up2", "conv_up3"):
        h = leaky(conv(name, h.repeat_interleave(2, dim=-2).repeat_interleave(2, dim=-1)), 0.2)
    return conv("conv_last", leaky(conv("conv_hr", h), 0.2)) + mean
