"""Guidance by known Gaussian blurs: closed form in the DCT-II basis, and the paper's gradient (docs/method.md 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dynface_video.diffusion.dct import dct2, gaussian_blur, gaussian_transfer, idct2


@dataclass(frozen=True)
class Guide:
    """One guide of a face: RM's estimate blurred to the relative `level`, active from timestep `active_from` down."""

    level: float
    active_from: int


def guide_spectra(guides: Tensor) -> Tensor:
    """DCT-II of the guides, (G, B, 3, R, R) float32: computed once per face, used at every step."""
    return dct2(guides.float())


def closed_form_guidance(
    denoised: Tensor, spectra: Tensor, blur_levels: Tensor, weights: Tensor, trust: Tensor
) -> Tensor:
    """`argmin_u sum_i w_i ||G_{s_i} u - yhat_i||^2 + rho ||u - x0||^2`, exactly.

    `G_s` is diagonal in the DCT-II basis, so the solution is one division:
    `U = (sum_i w_i g_i Yhat_i + rho X0) / (sum_i w_i g_i^2 + rho)`.

    Args:
        denoised: x0, (B, 3, R, R).
        spectra: Yhat, `guide_spectra` of the G guides, (G, B, 3, R, R).
        blur_levels: s, (G, B) in pixels.
        weights: w, (G, B); 0 leaves a guide out.
        trust: rho, (B,) positive: weight of the denoised estimate against the guides.

    Returns:
        u, (B, 3, R, R) float32.
    """
    size = denoised.shape[-1]
    rho = trust[:, None, None, None].float()
    numerator = rho * dct2(denoised.float())
    denominator = rho.expand(len(denoised), 1, size, size)
    for spectrum, level, weight in zip(spectra, blur_levels, weights, strict=True):
        transfer = gaussian_transfer(level, size)
        w = weight[:, None, None, None].float()
        numerator = numerator + w * transfer * spectrum
        denominator = denominator + w * transfer**2
    return idct2(numerator / denominator)


def prior_trust(alphas_cumprod: Tensor, strength: float) -> Tensor:
    """`rho_t = lambda abar / (1 - abar)` (DiffPIR): the guide rules a noisy state, the prior a clear one.

    Args:
        alphas_cumprod: abar at the step of each face, (B,).
        strength: lambda.
    """
    return strength * alphas_cumprod / (1 - alphas_cumprod).clamp(min=1e-6)


@dataclass(frozen=True)
class GuidanceGradient:
    """The result of `guidance_gradient`.

    Attributes:
        denoised: x0, (B, 3, R, R).
        sample: Gradient by x_t, (B, 3, R, R).
        level: Gradient by s, (B,).
        distance: `||yhat - G_s x0||`, (B,).
    """

    denoised: Tensor
    sample: Tensor
    level: Tensor
    distance: Tensor


@torch.enable_grad()
def guidance_gradient(
    predict: Callable[[Tensor], Tensor], sample: Tensor, guide: Tensor, blur_level: Tensor
) -> GuidanceGradient:
    """Gradient of `||yhat - G_s x0(x_t)||^2` by the state, *through the network*, and by the level (the paper's Eq. 7).

    As in DPS, the step along it is to be divided by `distance`.

    Args:
        predict: The prior's x0 of a state that requires a gradient.
        sample: x_t, (B, 3, R, R).
        guide: yhat, (B, 3, R, R).
        blur_level: s, (B,) in pixels.
    """
    state, level = sample.detach().requires_grad_(), blur_level.detach().float().requires_grad_()
    denoised = predict(state)
    squared = (guide - gaussian_blur(denoised, level)).square().sum(dim=(1, 2, 3))
    by_sample, by_level = torch.autograd.grad(squared.sum(), (state, level))
    return GuidanceGradient(denoised.detach(), by_sample, by_level, squared.detach().sqrt())
