"""Pasting a restored face: through a soft mask, as a change to the region it came from, so that no seam shows."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from dynface_video.faces.align import sample
from dynface_video.faces.colour import LUMINANCE

FALLOFF = 0.06
"""Share of the crop, from each border, over which a restored face gives way to its source."""
FALLOFF_PER_PICTURE = 2.0
"""Most width of that ramp for each length of picture beyond the border: there is nothing to blend into at the rim of
the picture."""
BAND_STD = 1.0
"""Std of a Gaussian, crop pixels: a crop's finest detail is what this blur removes."""
GRID, GRID_STD = 32, 1.3
"""Squares on a side of the grid on which detail is compared, and the std of its smoothing, in squares."""
SMALLEST_POWER = (0.25 / 255) ** 2
"""Of detail: below a quarter of a level of 255 there is nothing to compare, and nothing to see."""


def face_mask(size: int, *, falloff: float = FALLOFF, beyond: np.ndarray | None = None) -> np.ndarray:
    """The soft mask of a restored crop: all of it is shown, hair and neck too, except towards its border.

    Convention:
        Crop coordinates. The mask is the product of one ramp a side, `t^3 (6 t^2 - 15 t + 10)` of the distance `t`
        from it in units of the ramp's width: twice differentiable, so that no rim shows, 1 inside, and exactly 0 in the
        outermost pixels.

    Args:
        size: Side of the crop, at least 2.
        falloff: Width of the ramps as a share of the crop, in (0, 0.5].
        beyond: (4, size) as of `picture_beyond`: the ramp narrows towards the picture's edge and is absent
            beyond it. None: the crop lies well inside the picture.

    Returns:
        (size, size) float32 in [0, 1].
    """
    if beyond is None:
        return _plain_mask(size, falloff).copy()
    widths = np.minimum(falloff, FALLOFF_PER_PICTURE * beyond)
    return _plain_mask(size, falloff).copy() if (widths == falloff).all() else _mask(widths)


@lru_cache(maxsize=8)
def _plain_mask(size: int, falloff: float) -> np.ndarray:
    return _mask(np.full((4, size), falloff))


def _mask(widths: np.ndarray) -> np.ndarray:
    """The mask whose ramps have these widths at each point of each side, (4, size)."""
    distance = np.arange(widths.shape[1]) / (widths.shape[1] - 1)
    left, top, right, bottom = widths
    across = _ramp(distance, left[:, None]) * _ramp(distance[::-1], right[:, None])
    down = _ramp(distance[:, None], top) * _ramp(distance[::-1, None], bottom)
    return (across * down).astype(np.float32)


def _ramp(distance: np.ndarray, width: np.ndarray) -> np.ndarray:
    t = np.where(width > 0, np.clip(distance / np.maximum(width, 1e-6), 0, 1), 1.0)
    return np.asarray(t**3 * (t * (6 * t - 15) + 10))


def signal_share(crop: np.ndarray, restored: np.ndarray) -> np.ndarray:
    """How much of a source's finest detail is signal, measured by what its restored face has kept of it.

    The luminance finer than `BAND_STD` is compared: the share is the square of the restored face's projection on the
    source's, in squares of a `GRID` averaged with their neighbours. A restoration model removes noise and keeps edges,
    and the detail above the crop's resolution is taken to be of the same kind as the finest below it.

    Args:
        crop: (R, R, 3) float32 RGB in [0, 1].
        restored: The same after restoration.

    Returns:
        (R, R) float32 in [0, 1]: 0 where the restored face has nothing of the source's detail, 1 where it has all.
    """
    source, face = (_fine_luminance(picture) for picture in (crop, restored))
    common, own = (_smooth_means(product) for product in (source * face, source * source))
    share = np.clip(common / np.maximum(own, SMALLEST_POWER), 0, 1)
    # Where the source has no detail there is nothing to lose.
    share = np.where(own < SMALLEST_POWER, 1.0, share**2).astype(np.float32)
    return np.asarray(cv2.resize(share, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR))


def _fine_luminance(picture: np.ndarray) -> np.ndarray:
    luminance = picture @ LUMINANCE
    return np.asarray(luminance - cv2.GaussianBlur(luminance, (0, 0), BAND_STD))


def _smooth_means(values: np.ndarray) -> np.ndarray:
    means = cv2.resize(values, (GRID, GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(means, (0, 0), GRID_STD, borderType=cv2.BORDER_REFLECT))


def paste_face(
    region: np.ndarray,
    crop: np.ndarray,
    restored: np.ndarray,
    transform: np.ndarray,
    *,
    mask: np.ndarray,
    source_detail_weight: float | np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Paste a restored face into the region of the frame that its crop came from.

    It is `region + mask * (warp(restored - crop) + (source_detail_weight - 1) * (region - warp(crop)))`.

    Args:
        region: (h, w, 3) float32 RGB, nominally in [0, 1].
        crop: (R, R, 3) float32 RGB in [0, 1], the crop before restoration.
        restored: The same after it.
        transform: (2, 3) region to crop, by which the crop was taken.
        mask: (R, R) float32 in [0, 1], 0 at its border unless the picture ends there, too.
        source_detail_weight: Share in [0, 1] of the region's detail above the crop's resolution that stays: 1 pastes
            only the change, 0 replaces the face. One number, or one for each pixel of the crop, (R, R) float32.

    Returns:
        The region with the face, (h, w, 3) float32, limited to [0, 1] or to what the region had beyond it; and the mask
        in region pixels, (h, w) float32 in [0, 1]. Where that is 0 the region is unchanged.
    """
    size = region.shape[1], region.shape[0]
    weight = np.clip(sample(mask, transform, size, cv2.BORDER_CONSTANT, interpolation=cv2.INTER_LINEAR), 0, 1)
    kept: np.ndarray | np.float32
    replaced: np.ndarray | np.float32
    if isinstance(source_detail_weight, np.ndarray):
        shown = sample(source_detail_weight, transform, size, cv2.BORDER_REPLICATE, interpolation=cv2.INTER_LINEAR)
        kept, replaced = source_detail_weight[..., None], 1 - np.clip(shown, 0, 1)[..., None]
    else:
        kept, replaced = np.float32(source_detail_weight), np.float32(1 - source_detail_weight)
    # Sampling is linear: one of the two differences is as much work as both.
    change = sample(restored - kept * crop, transform, size, cv2.BORDER_REPLICATE)
    if np.any(replaced):
        change -= replaced * region
    change *= weight[..., None]
    change += region
    return _limited(change, region), weight


def _limited(pasted: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Limited, in place, to [0, 1] or to what the region has beyond it."""
    if region.min() >= 0 and region.max() <= 1:
        return np.clip(pasted, 0, 1, out=pasted)
    return np.clip(pasted, np.minimum(region, 0), np.maximum(region, 1), out=pasted)
