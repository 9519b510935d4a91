"""How steady a restored face is: motion of its landmarks, error along the flow, flicker of a face that stands still.

All take crops (T, R, R, 3) or landmarks of one face over consecutive frames of one shot. None of them alone says that
a clip is good: a blurred face is steady, a frozen one more so. Read them beside PSNR and the log-spectrum distance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dynface_video.faces.colour import LUMINANCE
from dynface_video.resampling import enlarge, warp
from dynface_video.temporal.flow_search import dense_flow, flow_picture
from dynface_video.temporal.motion import forward_backward_consistency

FLOW_TOLERANCE = 0.5
SURE = 0.5
INSIDE = 0.5


def landmark_motion_error(landmarks: np.ndarray, reference: np.ndarray) -> float:
    """How far landmarks move from frame to frame in another way than they should, percent of the eye distance.

    The mean over frames t and points i of `|(p_{t+1,i} - p_{t,i}) - (q_{t+1,i} - q_{t,i})|`, over the reference's mean
    eye distance: what the viewer sees as jitter. A constant offset does not count, nor does the motion of the head.

    landmarks, reference: (T, 5, 2) pixels of the same frames, T at least 2; the reference is the clean clip's.
    Raises ValueError when the shapes disagree.
    """
    _check_clips(landmarks, reference)
    apart = np.diff(np.asarray(landmarks, np.float64) - np.asarray(reference, np.float64), axis=0)
    eyes = np.linalg.norm(reference[:, 1] - reference[:, 0], axis=1).mean()
    return 100 * float(np.linalg.norm(apart, axis=2).mean() / eyes)


def flow_warped_error(crops: np.ndarray, reference: np.ndarray, mask: np.ndarray) -> float:
    """How much a face changes from frame to frame beyond its motion, levels of 255 (Lai et al. 2018, there squared).

    For each frame t the next one is warped back onto it along the flow t -> t + 1; the error is the mean absolute
    difference of the luminance over the mask, where the flows there and back meet within half a pixel (weight above
    1/2 in `forward_backward_consistency`), and over all t. The flow is measured on the reference, so that all versions
    of a clip are measured alike; interpolation and what flow cannot follow leave an error in the clean clip itself,
    which is the least to be had.

    Args:
        crops: (T, R, R, 3) float in [0, 1], T at least 2.
        reference: The same of the clean clip, or of the input.
        mask: (R, R), what counts is where it is above 1/2.

    Raises:
        ValueError: The shapes disagree.
    """
    return flow_warped_errors([crops], reference, mask)[0]


def flow_warped_errors(clips: Sequence[np.ndarray], reference: np.ndarray, mask: np.ndarray) -> list[float]:
    """`flow_warped_error` of several clips, with the flow of their reference measured once."""
    for crops in clips:
        _check_clips(crops, reference)
    luminances, inside = [torch.from_numpy(_luminance(crops))[:, None] for crops in clips], mask > INSIDE
    errors: list[list[float]] = [[] for _ in clips]
    for t, (forward, backward) in enumerate(zip(*_flows(reference), strict=True)):
        agreed = forward_backward_consistency(forward[None], backward[None], tolerance=FLOW_TOLERANCE)[0, 0]
        counts = (agreed > SURE) & torch.from_numpy(inside)
        if counts.any():
            for luminance, found in zip(luminances, errors, strict=True):
                back = warp(luminance[t + 1 : t + 2], forward[None])
                found.append(float((back - luminance[t])[0, 0][counts].abs().mean()))
    return [255 * float(np.mean(found or [np.nan])) for found in errors]


def _flows(clip: np.ndarray) -> tuple[Tensor, Tensor]:
    """The flows of a clip from each frame to the next one and back, (T - 1, 2, R, R) pixels each."""
    size = clip.shape[1]
    seen = flow_picture(torch.from_numpy(np.asarray(clip, np.float32)).permute(0, 3, 1, 2))
    pairs = (seen[:-1], seen[1:]), (seen[1:], seen[:-1])
    forward, backward = (enlarge(dense_flow(*pair), size) * (size / seen.shape[-1]) for pair in pairs)
    return forward, backward


def flicker(crops: np.ndarray, mask: np.ndarray) -> float:
    """Standard deviation over time at the points of a face that stands still, levels of 255; 0 is steady.

    The luminance's standard deviation over the T frames at each pixel, then the mean over the mask. It is meant for
    clips in which nothing moves: motion counts as flicker.

    crops: (T, R, R, 3) float in [0, 1]; mask: (R, R), what counts is where it is above 1/2
    """
    return 255 * float(_luminance(crops).std(axis=0)[mask > INSIDE].mean())


def _luminance(crops: np.ndarray) -> np.ndarray:
    return np.asarray(np.asarray(crops, np.float32) @ LUMINANCE)


def _check_clips(clip: np.ndarray, reference: np.ndarray) -> None:
    if clip.shape != reference.shape or len(clip) < 2:
        raise ValueError(
            f"two clips of at least two frames and one shape are needed, not {clip.shape} and {reference.shape}"
        )
