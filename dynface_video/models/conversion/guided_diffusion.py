"""From the published networks of the guided-diffusion family to `UNetPrior`: every tensor is accounted for.

Convention:
    Published names are those of openai/guided-diffusion, which DifFace, DPS and P2-weighting kept: block k there is
    block k here, and only the layers inside a block have other names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from dynface_video.errors import ModelError
from dynface_video.models.unet_prior import UNetPrior

RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
TIME_EMBEDDING = {"linear_1": "time_embed.0", "linear_2": "time_embed.2"}


@dataclass(frozen=True)
class Architecture:
    """A published network.

    Attributes:
        about: Who published it, and as what.
        config: Arguments of `UNetPrior`.
        split_heads_first: Whether the rows of `qkv` are ordered by head and then by query, key and value ("legacy"),
            or by query, key and value and then by head (`use_new_attention_order`). The tensors have the same shapes.
    """

    about: str
    config: Mapping[str, Any] = field(default_factory=dict)
    split_heads_first: bool = True


ARCHITECTURES: Mapping[str, Architecture] = {
    "ffhq512": Architecture("DifFace's prior of 512 pixels, iddpm_ffhq512_ema500000.pth"),
    "ffhq256": Architecture(
        "the FFHQ network of 256 pixels that DPS and DiffPIR use, ffhq_10m.pt",
        {
            "resolution": 256,
            "model_channels": 128,
            "channel_mult": (1, 1, 2, 2, 4, 4),
            "blocks": (1, 1, 1, 1, 1, 1),
            "attention_sizes": (16,),
            "resblock_updown": True,
        },
    ),
}


def convert_unet(state: Mapping[str, Tensor], architecture: Architecture) -> UNetPrior:
    """Build the network of a published state dict.

    Args:
        state: As `read_state_dict` gives it.
        architecture: Of the network.

    Returns:
        The network on the CPU, in evaluation mode, frozen.

    Raises:
        ModelError: A tensor is missing, is left over, has another shape, or is not finite.
    """
    with torch.device("meta"):
        model = UNetPrior(**architecture.config)
    wanted, converted, used = dict(model.named_parameters()), dict[str, Tensor](), set[str]()
    problems = list[str]()
    for name, source, part in _sources(model):
        tensor = state.get(source)
        if tensor is None:
            problems.append(f"{source} is missing")
            continue
        used.add(source)
        shape = tuple(wanted[name].shape)
        if part is not None:
            expected = (3 * shape[0], *shape[1:])
            pieces = _split_qkv(tensor, architecture) if tensor.squeeze(-1).shape == expected else None
            tensor = None if pieces is None else pieces[part]
        elif tensor.ndim == len(shape) + 1 and tensor.shape[-1] == 1:
            tensor = tensor.squeeze(-1)  # a convolution over a line of pixels
        if tensor is None or tuple(tensor.shape) != shape:
            problems.append(f"{source} has shape {tuple(state[source].shape)}, which does not fit {shape}")
        elif not bool(torch.isfinite(tensor).all()):
            problems.append(f"{source} has values that are not finite")
        else:
            converted[name] = tensor.float().contiguous()
    problems += [f"{source} is not part of the network" for source in state if source not in used]
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ModelError(f"the checkpoint is not this network: {'; '.join(problems[:3])}{more}")
    model.load_state_dict(converted, assign=True, strict=True)
    # A buffer that is no part of the weights was made without memory, as everything on the meta device.
    model.register_buffer("alphas_cumprod", model.schedule.alphas_cumprod(), persistent=False)
    return model.eval().requires_grad_(False)


def recognise(state: Mapping[str, Tensor]) -> str:
    """The name in `ARCHITECTURES` whose tensors have these names and shapes.

    Raises:
        ModelError: None has; the message says what tells the nearest one apart.
    """
    nearest: tuple[int, str] | None = None
    for name, architecture in ARCHITECTURES.items():
        shapes = published_shapes(architecture)
        unlike = [key for key in shapes.keys() | state.keys() if shapes.get(key) != _shape_of(state.get(key))]
        if not unlike:
            return name
        if nearest is None or len(unlike) < nearest[0]:
            nearest = (len(unlike), f"{name} in {len(unlike)} tensors, first {min(unlike)}")
    assert nearest is not None
    raise ModelError(
        f"not a prior that is known here ({', '.join(ARCHITECTURES)}); it differs least from {nearest[1]}. "
        "Give its architecture with --config FILE, a JSON object of the arguments of UNetPrior"
    )


def published_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of a published network."""
    with torch.device("meta"):
        model = UNetPrior(**architecture.config)
    wanted, shapes = dict(model.named_parameters()), dict[str, tuple[int, ...]]()
    for name, source, part in _sources(model):
        shape = tuple(wanted[name].shape)
        if part is not None:
            shape = (3 * shape[0], *shape[1:])
        shapes[source] = (*shape, 1) if source.endswith(("qkv.weight", "proj_out.weight")) else shape
    return shapes


def _shape_of(tensor: Tensor | None) -> tuple[int, ...] | None:
    return None if tensor is None else tuple(tensor.shape)


def _sources(model: UNetPrior) -> list[tuple[str, str, int | None]]:
    """For each parameter its name, the published tensor, and which third of that tensor it is."""
    names = {module: name for name, module in model.named_modules()}
    found = list[tuple[str, str, int | None]]()

    def add(module: nn.Module, source: str, part: int | None = None) -> None:
        for kind, _ in module.named_parameters(recurse=False):
            found.append((f"{names[module]}.{kind}", f"{source}.{kind}", part))

    for inner, source in TIME_EMBEDDING.items():
        add(getattr(model.time_embedding, inner), source)
    add(model.out[0], "out.0")
    add(model.out[2], "out.2")
    for block in (*model.input_blocks, model.middle_block, *model.output_blocks):
        for layer in block.children():
            at = names[layer]
            if isinstance(layer, ResnetBlock2D):
                for inner, source in RESIDUAL.items():
                    if getattr(layer, inner) is not None:
                        add(getattr(layer, inner), f"{at}.{source}")
            elif isinstance(layer, Attention):
                add(layer.group_norm, f"{at}.norm")
                for part, inner in enumerate(("to_q", "to_k", "to_v")):
                    add(getattr(layer, inner), f"{at}.qkv", part)
                add(layer.to_out[0], f"{at}.proj_out")
            elif isinstance(layer, Downsample2D | Upsample2D):
                if layer.use_conv:
                    add(layer.conv, f"{at}.{'op' if isinstance(layer, Downsample2D) else 'conv'}")
            else:
                add(layer, at)
    return found


def _split_qkv(tensor: Tensor, architecture: Architecture) -> tuple[Tensor, ...]:
    """Query, key and value, (C, C) or (C,) each, of (3 C, C, 1) or (3 C,)."""
    rows = tensor.squeeze(-1) if tensor.ndim == 3 else tensor
    if not architecture.split_heads_first:
        return rows.chunk(3)
    head = architecture.config.get("head_channels", 64)
    by_head = rows.unflatten(0, (-1, 3, head))  # (heads, 3, head channels, ...)
    return tuple(by_head[:, part].flatten(0, 1) for part in range(3))
