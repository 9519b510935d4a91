"""Published priors: the converted network computes what the published one does, and nothing else is accepted."""

import pytest
import torch

from dynface_video.errors import ModelError
from dynface_video.models.conversion.guided_diffusion import (
    ARCHITECTURES,
    Architecture,
    convert_unet,
    published_shapes,
    recognise,
)
from plain_unet import FFHQ256, FFHQ512, NEW_ORDER, SHIFT_ONLY, TINY, Shape, plain_forward, random_state, tensor_shapes


def architecture(shape: Shape) -> Architecture:
    return Architecture("test", shape.config(), split_heads_first=shape.heads_first)


@pytest.mark.parametrize(
    ("shape", "side"),
    [(FFHQ512, 64), (FFHQ256, 32), (NEW_ORDER, 32), (SHIFT_ONLY, 32)],
    ids=["ffhq512", "ffhq256", "new attention order", "shift only"],
)
def test_a_converted_network_equals_the_restated_one(shape: Shape, side: int) -> None:
    # The true networks at a small size of picture: every tensor takes part, and the sums are as long.
    state = random_state(shape)
    model = convert_unet(state, architecture(shape)).double()
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(1, 3, side, side, generator=generator, dtype=torch.float64)
    timestep = torch.tensor([737])
    with torch.no_grad():
        made, wanted = model(sample, timestep), plain_forward(shape, state, sample, timestep)
    assert made.shape == (1, shape.out, side, side)
    assert 0.1 < wanted.std() < 10
    assert (made - wanted).abs().max() < 1e-8


def test_the_network_of_the_paper_has_its_size() -> None:
    sizes = [torch.Size(shape).numel() for shape in published_shapes(ARCHITECTURES["ffhq512"]).values()]
    assert sum(sizes) == 159_788_454


@pytest.mark.parametrize(("name", "shape"), [("ffhq512", FFHQ512), ("ffhq256", FFHQ256)])
def test_published_networks_are_recognised_by_their_tensors(name: str, shape: Shape) -> None:
    with torch.device("meta"):
        state = {key: torch.empty(sizes) for key, sizes in tensor_shapes(shape).items()}
    assert recognise(state) == name
    del state["out.2.bias"]
    with pytest.raises(ModelError, match=rf"least from {name} in 1 tensors, first out\.2\.bias"):
        recognise(state)


def test_the_two_orders_of_attention_are_told_apart() -> None:
    state = random_state(NEW_ORDER)
    sample, timestep = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)), torch.tensor([500])
    right = convert_unet(state, architecture(NEW_ORDER))(sample, timestep)
    wrong = convert_unet(state, Architecture("test", NEW_ORDER.config()))(sample, timestep)
    assert (right - wrong).abs().max() > 1e-3


def test_every_tensor_must_be_there_fit_and_be_used() -> None:
    state = random_state(TINY)
    convert_unet(state, architecture(TINY))
    missing = {name: tensor for name, tensor in state.items() if name != "out.0.bias"}
    with pytest.raises(ModelError, match=r"out\.0\.bias is missing"):
        convert_unet(missing, architecture(TINY))
    with pytest.raises(ModelError, match=r"label_emb\.weight is not part of the network"):
        convert_unet(state | {"label_emb.weight": torch.zeros(3, 3)}, architecture(TINY))
    with pytest.raises(ModelError, match=r"out.2.weight has shape \(3, 32, 3, 3\), which does not fit \(6, 32, 3, 3\)"):
        convert_unet(state | {"out.2.weight": torch.zeros(3, 32, 3, 3)}, architecture(TINY))
    with pytest.raises(ModelError, match=r"middle_block\.1\.qkv\.weight has shape"):
        convert_unet(state | {"middle_block.1.qkv.weight": torch.zeros(9, 64, 1)}, architecture(TINY))
    with pytest.raises(ModelError, match=r"out\.0\.weight has values that are not finite"):
        convert_unet(state | {"out.0.weight": torch.full((32,), torch.nan)}, architecture(TINY))
