"""Guidance by a known Gaussian blur: the closed form in the DCT-II basis (METHOD.md 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from dynface_video.blur.gaussian import dct2, gaussian_transfer, idct2


def guide_spectra(guides: Tensor) -> Tensor:
    """DCT-II of the guides, (G, B, 3, R, R) float32: made once a face, used at every step."""
    return dct2(guides.float())


def closed_form_guidance(
    denoised: Tensor, spectra: Tensor, blur_levels: Tensor, weights: Tensor, trust: Tensor
) -> Tensor:
    """`argmin_u sum_i w_i ||G_{s_i} u - yhat_i||^2 + rho ||u - x0||^2`, exactly.

    `G_s` is diagonal in the DCT-II basis, so the solution is one division:
    `U = (sum_i w_i g_i Yhat_i + rho X0) / (sum_i w_i g_i^2 + rho)`.

    denoised:    x0, (B, 3, R, R)
    spectra:     Yhat, `guide_spectra` of the G guides, (G, B, 3, R, R)
    blur_levels: s, (G, B) in pixels
    weights:     w, (G, B); 0 leaves a guide out
    trust:       rho, (B,) positive: how much the denoised estimate weighs against the guides
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
    """`rho_t = lambda abar / (1 - abar)` (DiffPIR): the guide rules a noisy state, the prior a clear one."""
    return strength * alphas_cumprod / (1 - alphas_cumprod).clamp(min=1e-6)


def sobel_guidance_map(image: Tensor, *, block: int = 8, lowest: float = 0.4) -> Tensor:
    """Untrained stand-in for DGSA's map A_t: high on smooth skin and contours' surroundings, low on texture.

    Block means of a Sobel magnitude of the luminance, squashed (DiffBIR's region weights).
    image: (B, 3, R, R) in [-1, 1]; returns (B, 1, R, R) in [lowest, 1].
    """
    kernel = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=image.device)
    luminance = torch.nn.functional.pad(image.float().mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="reflect")
    gx = torch.nn.functional.conv2d(luminance, kernel[None, None])
    gy = torch.nn.functional.conv2d(luminance, kernel.T[None, None])
    magnitude = torch.nn.functional.avg_pool2d((gx**2 + gy**2).sqrt(), block)
    texture = 1 - torch.exp(-2 * magnitude)
    smooth = torch.nn.functional.interpolate(texture, size=image.shape[-2:], mode="bilinear", align_corners=False)
    return 1 - (1 - lowest) * smooth
