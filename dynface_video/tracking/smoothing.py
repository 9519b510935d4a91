"""Landmarks over time: outliers rejected, then smoothed without lag, inside one shot.

A face's points are split into its pose in the picture (a similarity of the template: size, angle, place) and what
remains in the template's coordinates (expression, turn of the head, noise). The pose decides where the crop is taken;
what remains moves it little and is smoothed more.
"""

from __future__ import annotations

import numpy as np
import scipy

from dynface_video.faces.align import fit_similarity, template

UNIT = 512
HAMPEL_RADIUS = 3
HAMPEL_THRESHOLD = 4.0
MAD_TO_STD = 1.4826
SMALLEST_POSE_STD = 0.004
SMALLEST_REST_STD = 5.0
REST_SMOOTHING = 2.0
CLOSE_SMOOTHING = 0.35
STILL_SMOOTHING = 6.0
"""Std of the smoothing of a head that stands still, in stds of the usual one."""
TOLERATED_SHIFT = 0.015
"""Of a face in its crop, in sides of the crop: too small to matter to restoration, so smaller shifts count as noise."""
STILL_SHIFT = 0.004
"""Of a face in its picture, in sides of the crop: a head that moves less stands still."""
FACE_RADIUS = 0.25
"""How far the face reaches from its middle, in sides of the crop: what a change of size or angle moves."""
BRIDGED_WEIGHT = 0.02
RIDGE = 1e-6


def smooth_landmarks(points: np.ndarray, std: np.ndarray, observed: np.ndarray, *, smoothing: float) -> np.ndarray:
    """Smooth the landmarks of one track inside one shot.

    Outliers are rejected as Hampel does: a value further than `HAMPEL_THRESHOLD` sigma from the median of its
    neighbourhood has no weight. Smoothing is a locally linear fit, so neither steady movement nor the ends of a track
    are pulled back. Where the head moves too fast for it the pose is smoothed less: jitter cannot be seen there, but a
    face that drifts in its crop can. Where the head stands still its pose is a mean over many frames: what is drawn
    into a crop goes wherever the crop goes, and would tremble with it.

    Args:
        points: (T, 5, 2) pixels, display coordinates; bridged frames hold interpolated points.
        std: (T, 5) pixels, standard deviation of each point.
        observed: (T,) bool, false for bridged frames.
        smoothing: std of the Gaussian, frames; 0 only rejects outliers.

    Returns:
        (T, 5, 2) float64.
    """
    pose, rest = split_pose(points)
    side = np.exp(pose[:, 0]) * UNIT
    # Place and size are measured in crop sides, so that one threshold serves small faces and large ones.
    scaled = pose / np.stack([np.ones_like(side), np.ones_like(side), *[np.full_like(side, np.median(side))] * 2], 1)
    outlier_pose = np.any(outliers(scaled, SMALLEST_POSE_STD), axis=1)
    outlier_rest = np.any(outliers(rest, SMALLEST_REST_STD).reshape(len(rest), 5, 2), axis=2)
    weights = _weights(std, side, observed)
    pose_weights = np.where(outlier_pose, 0.0, weights.min(axis=1))[:, None]
    rest_weights = np.repeat(np.where(outlier_rest | outlier_pose[:, None], 0.0, weights), 2, axis=1)
    pose_weights = np.broadcast_to(pose_weights, pose.shape)
    calm = local_linear(pose, pose_weights, smoothing)
    close = local_linear(pose, pose_weights, CLOSE_SMOOTHING * smoothing)
    noise = float(np.median(std.mean(axis=1) / side)) / np.sqrt(5)
    follow = movement_weight(close - calm, side, np.hypot(TOLERATED_SHIFT, 2 * noise), smoothing)[:, None]
    still = local_mean(pose, pose_weights, STILL_SMOOTHING * smoothing)
    tolerance = np.hypot(STILL_SHIFT, 1.5 * noise)
    moves = movement_weight(calm - still, side, tolerance, STILL_SMOOTHING * smoothing)[:, None]
    return join_pose(
        still + moves * (calm + follow * (close - calm) - still),
        local_linear(rest, rest_weights, REST_SMOOTHING * smoothing),
    )


def movement_weight(apart: np.ndarray, side: np.ndarray, tolerance: float, smoothing: float) -> np.ndarray:
    """Weight of the lightly smoothed pose; the strongly smoothed one gets the rest.

    Args:
        apart: (T, 4) the first pose minus the second.
        side: (T,) of the crop in the picture, pixels.
        tolerance: By how much they may differ for noise, in crop sides.
        smoothing: Of the second fit, frames.

    Returns:
        (T,) in [0, 1], changing slowly: near 0 where the two differ by noise, near 1 where by movement.
    """
    if smoothing <= 0:
        return np.zeros(len(apart))
    energy = (FACE_RADIUS * apart[:, :2]) ** 2
    energy = energy.sum(axis=1) + ((apart[:, 2:] / side[:, None]) ** 2).sum(axis=1)
    energy = scipy.ndimage.gaussian_filter1d(energy, smoothing, mode="nearest")
    return np.asarray(energy**2 / (energy**2 + tolerance**4))


def split_pose(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split points (T, 5, 2) into poses (T, 4) and residuals (T, 10) in the template's pixels at 512.

    A pose is the logarithm of the scale, the angle (continuous over time), and the place of the template's mean.
    """
    model = template(UNIT)
    middle = model.mean(axis=0)
    fits = [fit_similarity(model - middle, frame) for frame in points]
    pose = np.array(
        [[np.log(np.hypot(m[0, 0], m[1, 0])), np.arctan2(m[1, 0], m[0, 0]), m[0, 2], m[1, 2]] for m in fits]
    )
    pose[:, 1] = np.unwrap(pose[:, 1])
    return pose, np.stack([_into(p, frame) - (model - middle) for p, frame in zip(pose, points, strict=True)]).reshape(
        -1, 10
    )


def join_pose(pose: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Inverse of `split_pose`."""
    model = template(UNIT)
    shape = model - model.mean(axis=0) + rest.reshape(-1, 5, 2)
    return np.stack([frame @ _linear(p).T + p[2:] for p, frame in zip(pose, shape, strict=True)])


def outliers(values: np.ndarray, smallest: float) -> np.ndarray:
    """Hampel's identifier on each column.

    Args:
        values: (T, D).
        smallest: std below which nothing counts as an outlier, however still the neighbourhood is.

    Returns:
        (T, D) bool.
    """
    length = len(values)
    width = min(2 * HAMPEL_RADIUS + 1, length)
    first = np.clip(np.arange(length) - HAMPEL_RADIUS, 0, length - width)
    windows = values[first[:, None] + np.arange(width)]  # (T, width, D)
    median = np.median(windows, axis=1)
    sigma = MAD_TO_STD * np.median(np.abs(windows - median[:, None]), axis=1)
    return np.asarray(np.abs(values - median) > HAMPEL_THRESHOLD * np.maximum(sigma, smallest), bool)


def local_linear(values: np.ndarray, weights: np.ndarray, std: float) -> np.ndarray:
    """Fit a line around each frame, weighted by a Gaussian over time.

    Args:
        values: (T, D).
        weights: (T, D); values of weight 0 are interpolated from their neighbours first, so that a std of 0 still
            replaces them.
        std: of the Gaussian, frames.

    Returns:
        (T, D), the values of the lines at their frames.
    """
    filled = np.stack([_fill_outliers(v, w) for v, w in zip(values.T, weights.T, strict=True)], axis=1)
    if std <= 0 or len(values) < 2:
        return filled
    weights = np.maximum(weights, 1e-3 * max(float(weights.max()), 1e-12))
    reach = int(np.ceil(4 * std))
    offsets = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel = np.exp(-0.5 * (offsets / std) ** 2)

    def moment(signal: np.ndarray, power: int) -> np.ndarray:
        return np.asarray(scipy.ndimage.correlate1d(signal, kernel * offsets**power, axis=0, mode="constant"))

    s0, s1, s2 = (moment(weights, power) for power in range(3))
    b0, b1 = (moment(weights * filled, power) for power in range(2))
    # The ridge keeps the slope finite where nearly all weight lies in one frame.
    s2 = s2 + RIDGE * std**2 * s0
    return np.asarray((s2 * b0 - s1 * b1) / (s0 * s2 - s1**2))


def local_mean(values: np.ndarray, weights: np.ndarray, std: float) -> np.ndarray:
    """Means around each frame, weighted by a Gaussian over time; arguments and result as of `local_linear`."""
    if std <= 0 or len(values) < 2:
        return values
    weights = np.maximum(weights, 1e-3 * max(float(weights.max()), 1e-12))
    total = scipy.ndimage.gaussian_filter1d(weights * values, std, axis=0, mode="constant")
    return np.asarray(total / scipy.ndimage.gaussian_filter1d(weights, std, axis=0, mode="constant"))


def _fill_outliers(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    sure = np.flatnonzero(weights > 0)
    if len(sure) in (0, len(values)):
        return values
    return np.where(weights > 0, values, np.interp(np.arange(len(values)), sure, values[sure]))


def _weights(std: np.ndarray, side: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Weight of each point and frame, (T, 5): inverse variance, with a floor under the std."""
    relative = std / side[:, None]
    floor = max(0.5 * float(np.median(relative)), 1e-3)
    weights = 1 / (relative**2 + floor**2)
    weights /= weights.max()
    return np.asarray(np.where(observed[:, None], weights, BRIDGED_WEIGHT * weights))


def _linear(pose: np.ndarray) -> np.ndarray:
    c, s = np.exp(pose[0]) * np.cos(pose[1]), np.exp(pose[0]) * np.sin(pose[1])
    return np.array([[c, -s], [s, c]])


def _into(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray((points - pose[2:]) @ np.linalg.inv(_linear(pose)).T)
