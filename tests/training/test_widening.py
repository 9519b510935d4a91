from __future__ import annotations

import pytest
import torch

from dynface_video.models.restoration import RestorationModel
from training.widening import widened


def made(channels: tuple[int, ...], blocks: tuple[int, ...]) -> RestorationModel:
    torch.manual_seed(0)
    model = RestorationModel(channels=channels, blocks=blocks, reads_coarse=True)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_a_widened_network_gives_the_same_faces_and_can_learn() -> None:
    small = made((8, 12), (1, 2))
    large = widened(small, (12, 20), (2, 3))
    crops = torch.rand(2, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(large(crops, crops.flip(3)), small(crops, crops.flip(3)), atol=1e-4, rtol=1e-4)
    large(crops, crops.flip(3)).square().mean().backward()
    # What the old channels may read of the new ones is zero and has a gradient.
    new = large.downs[0].weight.grad[:12, 8:]  # type: ignore[union-attr, index]
    assert (large.downs[0].weight[:12, 8:] == 0).all() and new.abs().sum() > 0  # type: ignore[union-attr, index]


@pytest.mark.parametrize(("channels", "blocks"), [((4, 12), (1, 2)), ((8, 12), (1, 1)), ((8, 12, 16), (1, 2, 2))])
def test_a_smaller_shape_is_an_error(channels: tuple[int, ...], blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="cannot begin as"):
        widened(made((8, 12), (1, 2)), channels, blocks)
