"""The closed form against a brute-force solve, the gradient against finite differences."""

import pytest
import torch

from dynface_video.diffusion.dct import gaussian_blur
from dynface_video.diffusion.guidance import closed_form_guidance, guidance_gradient, guide_spectra, prior_trust
from dynface_video.diffusion.schedule import NoiseSchedule

SIZE = 8


def blur_as_matrix(level: float) -> torch.Tensor:
    basis = torch.eye(SIZE * SIZE).reshape(-1, 1, SIZE, SIZE)
    blurred = gaussian_blur(basis, torch.full((SIZE * SIZE,), level))
    return blurred.reshape(SIZE * SIZE, SIZE * SIZE).T.double()


@pytest.mark.parametrize("levels", [[1.3], [2.0, 1.0], [3.0, 2.0, 1.0]])
def test_it_solves_the_least_squares_problem(levels: list[float]) -> None:
    generator = torch.Generator().manual_seed(1)
    denoised = torch.randn(2, 3, SIZE, SIZE, generator=generator)
    guides = torch.randn(len(levels), 2, 3, SIZE, SIZE, generator=generator)
    weights = torch.rand(len(levels), 2, generator=generator) + 0.2
    rho = torch.tensor([0.05, 2.0])
    per_sample = torch.tensor(levels)[:, None].expand(-1, 2)
    ours = closed_form_guidance(denoised, guide_spectra(guides), per_sample, weights, rho)

    for b in range(2):
        for c in range(3):
            left = rho[b] * torch.eye(SIZE * SIZE).double()
            right = rho[b] * denoised[b, c].reshape(-1).double()
            for i, level in enumerate(levels):
                matrix = blur_as_matrix(level)
                left = left + weights[i, b] * matrix.T @ matrix
                right = right + weights[i, b] * matrix.T @ guides[i, b, c].reshape(-1).double()
            expected = torch.linalg.solve(left, right).reshape(SIZE, SIZE)
            assert torch.allclose(ours[b, c].double(), expected, atol=1e-4)


def test_bfloat16_input_is_solved_in_float32() -> None:
    denoised = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0)).bfloat16()
    guides = gaussian_blur(denoised.float(), torch.tensor([1.0]))[None]
    arguments = (guide_spectra(guides), torch.tensor([[1.0]]), torch.ones(1, 1), torch.tensor([0.1]))
    assert torch.allclose(closed_form_guidance(denoised, *arguments), denoised.float(), atol=1e-4)


def test_a_consistent_estimate_is_left_alone() -> None:
    face = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    level = torch.tensor([2.0])
    spectra = guide_spectra(gaussian_blur(face, level)[None])
    guided = closed_form_guidance(face, spectra, level[None], torch.ones(1, 1), torch.tensor([0.01]))
    assert torch.allclose(guided, face, atol=1e-4)


def test_low_frequencies_follow_the_guide() -> None:
    generator = torch.Generator().manual_seed(0)
    face, wrong = torch.randn(1, 3, 32, 32, generator=generator), torch.randn(1, 3, 32, 32, generator=generator)
    level = torch.tensor([2.0])
    spectra = guide_spectra(gaussian_blur(face, level)[None])
    guided = closed_form_guidance(wrong, spectra, level[None], torch.ones(1, 1), torch.tensor([1e-3]))
    before = (gaussian_blur(wrong, level) - gaussian_blur(face, level)).square().mean()
    after = (gaussian_blur(guided, level) - gaussian_blur(face, level)).square().mean()
    assert after < 0.01 * before


def test_the_prior_is_trusted_more_as_the_state_clears() -> None:
    trust = prior_trust(NoiseSchedule().alphas_cumprod(), 0.01)
    assert (trust.diff() < 0).all()


def test_the_gradient_goes_through_the_network() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(3, 3, dtype=torch.float64, generator=generator)
    sample, guide = (torch.randn(1, 3, SIZE, SIZE, dtype=torch.float64, generator=generator) for _ in range(2))
    level = torch.tensor([1.2])

    def predict(state: torch.Tensor) -> torch.Tensor:
        return torch.tanh(torch.einsum("ij,bjhw->bihw", mixing, state))

    def squared(state: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return (guide - gaussian_blur(predict(state), s)).square().sum()

    gradient = guidance_gradient(predict, sample, guide, level)
    step = 1e-3
    for place in [(0, 0, 0, 0), (0, 1, 4, 5), (0, 2, 7, 3)]:
        moved = torch.zeros_like(sample)
        moved[place] = step
        expected = (squared(sample + moved, level) - squared(sample - moved, level)) / (2 * step)
        assert gradient.sample[place] == pytest.approx(expected.item(), rel=1e-2, abs=1e-3)
    expected = (squared(sample, level + step) - squared(sample, level - step)) / (2 * step)
    assert gradient.level.item() == pytest.approx(expected.item(), rel=2e-2)
    assert gradient.distance.item() == pytest.approx(squared(sample, level).sqrt().item(), rel=1e-4)
    assert torch.allclose(gradient.denoised, predict(sample))


def test_following_the_level_s_gradient_finds_the_blur_of_the_guide() -> None:
    face = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    guide, level = gaussian_blur(face, torch.tensor([1.5])), torch.tensor([2.5])
    for _ in range(200):
        gradient = guidance_gradient(lambda state: state, face, guide, level)
        level = level - 0.02 * gradient.level / gradient.distance.clamp(min=1e-6)
    assert level.item() == pytest.approx(1.5, abs=0.1)


def test_several_guides_in_bfloat16_are_solved_in_float32() -> None:
    generator = torch.Generator().manual_seed(0)
    denoised = torch.randn(2, 3, SIZE, SIZE, generator=generator).bfloat16()
    guides = torch.randn(2, 2, 3, SIZE, SIZE, generator=generator)
    levels, weights, rho = torch.tensor([[2.0, 1.5], [1.0, 0.5]]), torch.ones(2, 2), torch.tensor([0.1, 1.0])
    half = closed_form_guidance(denoised, guide_spectra(guides), levels, weights, rho.bfloat16())
    full = closed_form_guidance(denoised.float(), guide_spectra(guides), levels, weights, rho.bfloat16().float())
    assert half.dtype == torch.float32
    assert torch.allclose(half, full, atol=1e-5)
