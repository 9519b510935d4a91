"""Pasting a restored face: through a soft mask, as a change to the region it came from, so that no seam shows."""

from __future__ import annotations

import cv2
import numpy as np

from dynface_video.faces.align import sample

FALLOFF = 0.06
"""Share of the crop, from each border, over which a restored face gives way to its source."""
FALLOFF_PER_PICTURE = 2.0
"""Most width of that ramp for each length of picture beyond the border: there is nothing to blend into at the rim of
the picture."""


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
    distance = np.arange(size) / (size - 1)
    left, top, right, bottom = np.full((4, size), falloff) if beyond is None else _widths(beyond, falloff)
    across = _ramp(distance, left[:, None]) * _ramp(distance[::-1], right[:, None])
    down = _ramp(distance[:, None], top) * _ramp(distance[::-1, None], bottom)
    return (across * down).astype(np.float32)


def _widths(beyond: np.ndarray, falloff: float) -> np.ndarray:
    return np.minimum(falloff, FALLOFF_PER_PICTURE * beyond)


def _ramp(distance: np.ndarray, width: np.ndarray) -> np.ndarray:
    t = np.where(width > 0, np.clip(distance / np.maximum(width, 1e-6), 0, 1), 1.0)
    return np.asarray(t**3 * (t * (6 * t - 15) + 10))


def paste_face(
    region: np.ndarray,
    crop: np.ndarray,
    restored: np.ndarray,
    transform: np.ndarray,
    *,
    mask: np.ndarray,
    source_detail_weight: float,
    damage: np.ndarray | None = None,
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
            only the change, 0 replaces the face.
        damage: (R, R) float32 in [0, 1], where the crop was damaged, so that no detail may stay; None for nowhere.

    Returns:
        The region with the face, (h, w, 3) float32, limited to [0, 1] or to what the region had beyond it; and the mask
        in region pixels, (h, w) float32 in [0, 1]. Where that is 0 the region is unchanged.
    """
    size = region.shape[1], region.shape[0]
    weight = np.clip(sample(mask, transform, size, cv2.BORDER_CONSTANT, interpolation=cv2.INTER_LINEAR), 0, 1)
    if damage is None:
        kept = np.float32(source_detail_weight)
        # Sampling is linear: one of the two differences is as much work as both.
        change = sample(restored - kept * crop, transform, size, cv2.BORDER_REPLICATE)
        if kept < 1:
            change -= (1 - kept) * region
    else:
        whole = 1 - np.clip(sample(damage, transform, size, cv2.BORDER_REPLICATE), 0, 1)[..., None]
        detail = region - sample(crop, transform, size, cv2.BORDER_REPLICATE)
        change = sample(restored, transform, size, cv2.BORDER_REPLICATE) - region
        change += np.float32(source_detail_weight) * whole * detail
    change *= weight[..., None]
    change += region
    return _limited(change, region), weight


def _limited(pasted: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Limited, in place, to [0, 1] or to what the region has beyond it."""
    if region.min() >= 0 and region.max() <= 1:
        return np.clip(pasted, 0, 1, out=pasted)
    return np.clip(pasted, np.minimum(region, 0), np.maximum(region, 1), out=pasted)
