"""Dense optical flow between aligned crops of one face.

Convention: the point (x, y) of the target is found at (x, y) + flow[:, :, y, x] in the source.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dynface_video.faces.colour import LUMINANCE
from dynface_video.resampling import array_of, enlarge, gaussian_blur, on_cpu, reduce_area, warp

SEARCH_SIZE = 256
"""Side of the pictures that flow is measured on; larger crops are reduced to it."""
QUICK_SIZES = (64, 128)
"""Least and largest side of those of the quick search, which takes half the crop's where it can."""
QUICK_REFINEMENTS, QUICK_SMOOTHING = 2, 2 / 64
"""Variational refinements of the quick search, and the sigma of the blur of its flow in sides."""
FLOW_BLUR = 2 / 128
"""Sigma, in sides, of the blur of the pictures that flow is measured on: noise moves a flow more than the blur does."""
LEVELS = (16, 32, 64)
"""Sides of the pyramid of `_search`, coarsest first."""
ITERATIONS = 6
WINDOW = 2.0
"""Sigma of the window that one displacement is fitted to, in pixels of the pyramid's level."""
FLATNESS = 2e-5
"""Added to the structure tensor's diagonal, of pictures in [0, 1]: where nothing is drawn the flow stays as it was."""
DAMPING = 2.0
"""Added to that diagonal, in variances of what the pictures still differ by in the window: where noise rules, the flow
is the neighbours'."""
SMOOTHING = 2.5
"""Sigma of the blur of the flow after each iteration, in pixels of the pyramid's level."""
LARGEST_STEP = 1.0
"""Of one iteration, in pixels of the pyramid's level."""


def flow_picture(crops: Tensor, *, quick: bool = False) -> Tensor:
    """The slightly blurred luminance that flow is measured on.

    Args:
        crops: (B, 3, R, R) float32 RGB in [0, 1].
        quick: Whether it is for the quick search.

    Returns:
        (B, 1, S, S) uint8, S the smaller of R and `SEARCH_SIZE`; for the quick search half of it, as `QUICK_SIZES`
        allow.
    """
    size = min(crops.shape[-1], SEARCH_SIZE)
    if quick:
        size = min(size, max(size // 2, QUICK_SIZES[0]), QUICK_SIZES[1])
    red_weight, green_weight, blue_weight = LUMINANCE.tolist()
    red, green, blue = reduce_area(crops, size).split(1, dim=1)
    small = red_weight * red + green_weight * green + blue_weight * blue
    sigma = FLOW_BLUR * small.shape[-1]
    if on_cpu(small):
        # A kernel of a few pixels is cheaper than a dense matrix here.
        blurred = torch.from_numpy(np.stack([cv2.GaussianBlur(one[0], (0, 0), sigma)[None] for one in array_of(small)]))
    else:
        blurred = gaussian_blur(small, sigma)
    return (255 * blurred).round().clamp(0, 255).to(torch.uint8)


def dense_flow(target: Tensor, source: Tensor, *, quick: bool = False) -> Tensor:
    """The flow from targets to sources, both from `flow_picture`: (B, 2, S, S) float32 pixels of S.

    On the CPU it is OpenCV's dense inverse search (Kroeger et al. 2016) in its fast setting: on degraded faces finer
    settings follow the noise (at severe strength they err by 0.9 pixels of 128, this one by 0.5, and no motion at all
    by 1.1). The quick search has patches of the same size in pictures of half the side and fewer refinements, for half
    the time: on faces of 128 pixels moved by 2.84 pixels both err by 0.33 clean and at mild strength, by 0.37 at medium
    strength, and by 0.55 and 0.57 at severe strength. On other devices it is `inverse_search`.
    """
    if not on_cpu(target):
        return inverse_search(target, source)
    flows = np.empty((len(target), 2, *target.shape[-2:]), np.float32)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    if quick:
        search.setFinestScale(search.getFinestScale() - 1)
        search.setVariationalRefinementIterations(QUICK_REFINEMENTS)
    for (here,), (there,), flow in zip(array_of(target), array_of(source), flows, strict=True):
        found = search.calc(here, there, np.zeros((*here.shape, 2), np.float32))
        if quick:
            found = cv2.GaussianBlur(found, (0, 0), QUICK_SMOOTHING * len(here))
        cv2.split(found, list(flow))
    return torch.from_numpy(flows)


def inverse_search(target: Tensor, source: Tensor) -> Tensor:
    """Pyramidal Lucas-Kanade with the target's gradients (inverse compositional), as `dense_flow`, in torch.

    Each window fits one displacement to the pictures less their means in the window, so that a change of light is not
    taken for motion. A step is damped by the variance that is left in the window, and the flow is smoothed after each.
    """
    size, target, source = target.shape[-1], target.float() / 255, source.float() / 255
    levels = [side for side in LEVELS if side <= size] or [size]
    flow = torch.zeros(len(target), 2, levels[0], levels[0], device=target.device)
    for side in levels:
        flow = enlarge(flow, side) * (side / flow.shape[-1])
        flow = _refined(flow, reduce_area(target, side), reduce_area(source, side))
    return enlarge(flow, size) * (size / flow.shape[-1])


def _refined(flow: Tensor, target: Tensor, source: Tensor) -> Tensor:
    """`ITERATIONS` Gauss-Newton steps on one level; flow (B, 2, S, S) pixels, pictures (B, 1, S, S)."""
    slope = _gradient(target)
    mean_slope = _window(slope)
    xx, yy = (_window(slope.square()) - mean_slope.square() + FLATNESS).split(1, dim=1)
    xy = _window(slope[:, :1] * slope[:, 1:]) - mean_slope[:, :1] * mean_slope[:, 1:]
    for _ in range(ITERATIONS):
        missed = warp(source, flow, "bilinear") - target
        mean = _window(missed)
        damping = DAMPING * (_window(missed.square()) - mean.square()).clamp(min=0)
        x, y = (_window(slope * missed) - mean_slope * mean).split(1, dim=1)
        a, b = xx + damping, yy + damping
        step = torch.cat([b * x - xy * y, a * y - xy * x], dim=1) / (a * b - xy.square())
        flow = gaussian_blur(flow - step.clamp(-LARGEST_STEP, LARGEST_STEP), SMOOTHING)
    return flow


def _window(values: Tensor) -> Tensor:
    return gaussian_blur(values, WINDOW)


def _gradient(picture: Tensor) -> Tensor:
    """Central differences along x and y, (B, 2, S, S)."""
    padded = F.pad(picture, (1, 1, 1, 1), mode="replicate")
    along_x = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    along_y = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return torch.cat([along_x, along_y], dim=1) / 2
