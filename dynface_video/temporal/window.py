"""Crops of one face at other times: brought to where the face is now, trusted where they show the same.

All crops are (R, R, 3) float32 RGB in [0, 1] of one face in one shot.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from dynface_video.temporal.flow import agreement, dense_flow, flow_picture, warp

MISSED_FLOW = 0.7 / 128
"""By how much the flows there and back may miss, in sides."""
UNLIKE = 2.5
"""By how much two crops may differ where they show the same, in their typical difference (their noise): more is motion
that the flow has not followed."""
UNLIKE_SPAN = (0.006, 0.05)
"""What that may come to at least and at most."""
UNLIKE_BLUR = 2 / 128
TINY = 1e-12
COARSE = 0.1
"""Standard deviation, in sides, above which brightness and colour are the light's and not the face's."""


def motion(target: np.ndarray, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The flow from a target crop to a source crop, (R, R, 2) pixels, and how far it is to be trusted, (R, R).

    Trust is near 1 where the flows there and back cancel and the source, warped, looks like the target; it is near 0
    where something is covered or the flow has not followed. A change of light is no reason to distrust. Where the two
    differ by no more than their noise as they are, there is no flow: it would follow the noise and shake the face.
    """
    here, there = flow_picture(target), flow_picture(source)
    forward, backward = dense_flow(here, there), dense_flow(there, here)
    agreed = agreement(forward, backward, tolerance=MISSED_FLOW * target.shape[0])
    noise = float(np.median(_unlike(warp(source, forward), target)))
    moved = cv2.GaussianBlur(_unlike(source, target), (0, 0), UNLIKE_BLUR * target.shape[0])
    flow = forward * (moved / (moved + noise + TINY))[..., None]
    allowed = float(np.clip(UNLIKE * np.sqrt(noise), *UNLIKE_SPAN))
    return flow, agreed * np.exp(-_unlike(warp(source, flow), target) / (2 * allowed**2))


def _unlike(crop: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Squared difference of two crops at each point, (R, R), under the same light and without the finest noise."""
    apart = cv2.GaussianBlur(with_light_of(crop, target) - target, (0, 0), UNLIKE_BLUR * crop.shape[0])
    return np.asarray((apart**2).sum(axis=-1))


def with_light_of(crop: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A crop with the coarse brightness and colour of another one: old film flickers, and the face has to as well."""
    size = crop.shape[0]
    small = cv2.resize(target - crop, (size // 8, size // 8), interpolation=cv2.INTER_AREA)
    coarse = cv2.GaussianBlur(small, (0, 0), COARSE * size / 8, borderType=cv2.BORDER_REFLECT)
    return np.asarray(crop + cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR))


def warped_neighbours(middle: np.ndarray, neighbours: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Crops of the same face as the middle one would show them, (K, R, R, 3): what RM reads beside it.

    neighbours: (K, R, R, 3); valid: (K,) bool. Where a neighbour is not to be trusted, and where it is not valid, the
    middle crop stands in its place.
    """
    warped = np.repeat(middle[None], len(neighbours), axis=0)
    for k in np.flatnonzero(valid):
        flow, trust = motion(middle, neighbours[k])
        seen = with_light_of(warp(neighbours[k], flow), middle)
        warped[k] = np.clip(middle + trust[..., None] * (seen - middle), 0, 1)
    return warped


def pulled(
    picture: np.ndarray, guide: np.ndarray, others: Sequence[tuple[np.ndarray, np.ndarray]], strength: float
) -> np.ndarray:
    """A picture drawn towards those of other frames along the flow: the temporal term of the closed form.

    It is `argmin_u ||u - x||^2 + strength sum_k c_k ||u - W_k x_k||^2` for each pixel, a weighted mean: `W_k` warps,
    `c_k` is the flow's trust, and each `W_k x_k` is first given the light of x.

    picture: x, (R, R, 3); guide: what its motion is measured on; others: pairs (x_k, its guide); strength: at least 0
    """
    total, weight = picture.copy(), np.ones((*picture.shape[:2], 1), np.float32)
    for other, its_guide in others:
        flow, trust = motion(guide, its_guide)
        share = np.float32(strength) * trust[..., None]
        total += share * with_light_of(warp(other, flow), picture)
        weight += share
    return np.asarray(np.clip(total / weight, 0, 1))
