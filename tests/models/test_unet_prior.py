"""The unconditional prior as the sampler sees it."""

import pytest
import torch

from dynface_video.diffusion.schedule import add_noise
from dynface_video.models.conversion.guided_diffusion import Architecture, convert_unet
from dynface_video.models.unet_prior import UNetPrior
from plain_unet import TINY, random_state


@pytest.fixture(scope="module")
def prior() -> UNetPrior:
    return convert_unet(random_state(TINY), Architecture("test", TINY.config()))


def test_the_estimate_undoes_the_noise_that_the_network_sees(prior: UNetPrior, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 3, 32, 32, generator=generator) * 1.8 - 0.9
    noise, timestep = torch.randn(2, 3, 32, 32, generator=generator), torch.tensor([10, 700])
    state = add_noise(clean, noise, prior.alphas_cumprod[timestep][:, None, None, None])
    monkeypatch.setattr(UNetPrior, "forward", lambda self, sample, step: torch.cat([noise, 9 * noise], dim=1))
    assert (prior.predict(state, timestep, None, None) - clean).abs().max() < 1e-4


def test_it_ignores_the_guide_and_stays_in_range(prior: UNetPrior) -> None:
    state, timestep = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([400, 900])
    guided = prior.predict(state, timestep, torch.zeros_like(state), torch.ones(2))
    assert torch.equal(guided, prior.predict(state, timestep, None, None))
    assert guided.abs().max() <= 1 and prior.resolution == 32


def test_gradients_reach_the_state(prior: UNetPrior) -> None:
    state = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    prior.predict(state, torch.tensor([100]), None, None).sum().backward()
    assert state.grad is not None and state.grad.abs().max() > 0


def test_bfloat16_stays_near_float32(prior: UNetPrior) -> None:
    state, timestep = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.tensor([300])
    exact = prior(state, timestep)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = prior(state, timestep)
    assert rounded.dtype == torch.float32
    assert (rounded - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("wrong", [{"blocks": (1,)}, {"head_channels": 48}])
def test_shapes_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"levels|heads"):
        UNetPrior(**(TINY.config() | wrong))
