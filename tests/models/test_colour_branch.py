"""The colour branch: what of a face it changes, and what it leaves."""

import torch

from dynface_video.faces.colour_transfer import join_chroma, split_chroma
from dynface_video.models.colour_branch import ColourBranch
from dynface_video.models.restoration import RestorationModel, reading_coarse

SIZE = 32


def branch(bias: float = 0.0) -> ColourBranch:
    torch.manual_seed(0)
    made = ColourBranch((4, 8), (1, 1))
    with torch.no_grad():
        made.tail.bias.fill_(bias)
    return made.eval()


@torch.no_grad()
def test_luminance_and_the_finest_chroma_stay() -> None:
    torch.manual_seed(3)
    crops, faces = torch.rand(2, 2, 3, SIZE, SIZE).mul(2).sub(1).unbind(0)
    board = 0.1 * (-1.0) ** torch.arange(SIZE)
    board = board * (-1.0) ** torch.arange(SIZE)[:, None]
    luminance, chroma = split_chroma(faces)
    finer = join_chroma(luminance, chroma + board)
    one, other = branch(0.3)(crops, faces), branch(0.3)(crops, finer)
    torch.testing.assert_close(split_chroma(one)[0], luminance, atol=1e-5, rtol=0)
    torch.testing.assert_close(split_chroma(other - one)[1], board.expand(2, 2, SIZE, SIZE), atol=1e-4, rtol=0)


@torch.no_grad()
def test_it_begins_with_the_mean_of_both_colours_and_adds_to_it() -> None:
    grey = torch.zeros(1, 3, SIZE, SIZE)
    tinted = grey + torch.tensor([0.2, 0.0, -0.2])[:, None, None]
    wanted = (split_chroma(grey)[1] + split_chroma(tinted)[1]) / 2
    torch.testing.assert_close(split_chroma(branch()(tinted, grey))[1], wanted, atol=0.02, rtol=0)
    added = split_chroma(branch(0.4)(tinted, grey))[1]
    torch.testing.assert_close(added, wanted + 0.2, atol=0.02, rtol=0)


@torch.no_grad()
def test_bfloat16_differs_by_rounding() -> None:
    torch.manual_seed(1)
    model = RestorationModel(64, channels=(4, 8), blocks=(1, 1), colour_channels=(4, 8)).eval()
    model.colour.tail.weight.normal_(0, 0.1)
    crops = torch.rand(1, 3, 64, 64) * 2 - 1
    exact = model(crops)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(crops).float()
    assert (rough - exact).abs().mean() < 0.01


@torch.no_grad()
def test_the_next_stage_begins_with_the_branch_as_well() -> None:
    torch.manual_seed(2)
    model = RestorationModel(64, channels=(4, 8), blocks=(1, 1), colour_channels=(4, 8)).eval()
    model.colour.tail.bias.fill_(0.4)
    finer = reading_coarse(model).eval()
    assert finer.colour is not None
    torch.testing.assert_close(finer.colour.tail.bias, model.colour.tail.bias)
