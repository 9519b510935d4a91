"""Crops of one face at other times: brought to where the face is now, trusted where they show the same.

All crops are (R, R, 3) float32 RGB in [0, 1] of one face in one shot.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

from dynface_video.temporal.flow import dense_flow, flow_picture, forward_backward_consistency, warp

MISSED_FLOW = 0.7 / 128
"""By how much the flows there and back may miss, in sides."""
# Chosen by `scripts/evaluate_video.py` on the clips clean_talk_512 and clean_address_mpeg4.
UNLIKE = 4.0
"""How many times as much as they typically do (their noise) two crops may differ, squared, where they show the same:
more is motion that the flow has not followed."""
NOISE_SPAN = (0.0024, 0.04)
"""What the noise of the three channels together is taken for at least and at most, standard deviation."""
DETAIL_BLUR, PLACE_BLUR = 2 / 128, 3 / 128
"""What is finer is not compared; over how large a place a difference is judged. Standard deviations, in sides."""
FAR = 2 / 128
"""Length of a flow at which a mean gives its end half the weight: means along longer ones lose detail."""
REGION = 12 / 128
"""Over how large a region it is decided whether the face moves there, standard deviation in sides."""
STILL, MOVING = 0.85, 0.6
"""What a flow leaves of a region's difference: from the first share on the region stands still and the flow has
followed noise, up to the second it moves; in between the flow is taken in part."""
TINY = 1e-12
COARSE = 0.25
"""Standard deviation, in sides, above which brightness and colour are the light's and not the face's."""
DARKEST = 0.02
"""Added to both sides of the ratio of two lights, so that it says little where it is darker."""

Motion = tuple[np.ndarray, np.ndarray]
"""The flow from a crop to another one, (R, R, 2) pixels, and how far it is to be trusted, (R, R) in [0, 1]."""


def motion(target: np.ndarray, source: np.ndarray) -> Motion:
    """The motion from a target crop to a source crop, (R, R, 3) each; float32.

    Trust is near 1 where the flows there and back cancel and the source, warped, looks like the target; it is near 0
    where something is covered or the flow has not followed. A change of light is no reason to distrust. In regions that
    do not move there is no flow: it would follow the noise and shake the face.
    """
    size = target.shape[0]
    here, there = flow_picture(target), flow_picture(source)
    forward, backward = dense_flow(here, there), dense_flow(there, here)
    agreed = forward_backward_consistency(forward, backward, tolerance=MISSED_FLOW * size)
    before, after = (_region(_unlike(crop, target)) for crop in (source, warp(source, forward)))
    moves = np.clip((STILL - after / (before + TINY)) / (STILL - MOVING), 0, 1)
    flow = forward * moves[..., None]
    unlike = _unlike(warp(source, flow), target)
    allowed = UNLIKE * float(np.clip(np.median(unlike), *np.square(NOISE_SPAN)))
    return flow, agreed * np.exp(-((unlike / allowed) ** 2) / 2)


def packed(moved: Motion) -> Motion:
    """A motion at half the resolution, flow in float16 and trust in uint8: a tenth of the memory. See `unpacked`."""
    flow, trust = (cv2.resize(part, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for part in moved)
    return flow.astype(np.float16), np.rint(255 * trust).astype(np.uint8)


def unpacked(moved: Motion, zoom: int = 2) -> Motion:
    """What `packed` has kept of a motion, in full size; zoom: 4 for pictures of twice the size."""
    flow, trust = moved[0].astype(np.float32) * (zoom / 2), moved[1].astype(np.float32) / 255
    return cv2.resize(flow, None, fx=zoom, fy=zoom), cv2.resize(trust, None, fx=zoom, fy=zoom)


def _unlike(crop: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Squared difference of two crops around each point, (R, R), under the same light and without the finest noise."""
    size = crop.shape[0]
    apart = cv2.GaussianBlur(with_light_of(crop, target) - target, (0, 0), DETAIL_BLUR * size)
    return np.asarray(cv2.GaussianBlur((apart**2).sum(axis=-1), (0, 0), PLACE_BLUR * size))


def _region(values: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), REGION * values.shape[0])


def with_light_of(crop: np.ndarray, target: np.ndarray) -> np.ndarray:
    """A crop with the coarse brightness and colour of another one: old film flickers, and the face has to as well."""
    size = crop.shape[0]
    here, there = (_coarse(picture) + DARKEST for picture in (target, crop))
    return np.asarray(crop * cv2.resize(here / there, (size, size), interpolation=cv2.INTER_LINEAR))


def _coarse(picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), COARSE * small.shape[0], borderType=cv2.BORDER_REFLECT)


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


def temporal_average(picture: np.ndarray, others: Iterable[tuple[np.ndarray, Motion]], strength: float) -> np.ndarray:
    """A picture drawn towards those of other frames along the flow: the temporal term of the closed form.

    It is `argmin_u ||u - x||^2 + strength sum_k c_k ||u - W_k x_k||^2` for each pixel, a weighted mean: `W_k` warps,
    `c_k` is the flow's trust, less where the flow is long, and each `W_k x_k` is first given the light of x.

    picture: x, (R, R, 3); others: pairs of x_k, (R, R, 3), and the motion from x to it; strength: at least 0
    """
    lit = ((with_light_of(warp(other, moved[0]), picture), moved) for other, moved in others)
    return np.asarray(np.clip(_weighted_mean(picture, lit, strength), 0, 1))


def temporal_average_detail(
    detail: np.ndarray, others: Iterable[tuple[np.ndarray, Motion]], strength: float
) -> np.ndarray:
    """As `temporal_average`, of what is added to a picture, (N, N, 3) of either sign; it has no light of its own."""
    return _weighted_mean(detail, ((warp(other, moved[0]), moved) for other, moved in others), strength)


def _weighted_mean(picture: np.ndarray, warped: Iterable[tuple[np.ndarray, Motion]], strength: float) -> np.ndarray:
    total, weight = picture.copy(), np.ones((*picture.shape[:2], 1), np.float32)
    for other, (flow, trust) in warped:
        near = 1 / (1 + np.square(flow / (FAR * picture.shape[0])).sum(axis=-1))
        share = np.float32(strength) * (near * trust)[..., None]
        total += share * other
        weight += share
    return np.asarray(total / weight)
