"""Aligned face crops: the FFHQ five-point template, similarity transforms, and sampling without aliasing.

Convention:
    Pixel centres are integers, points are (x, y); a transform is a (2, 3) matrix that maps frame to crop.
"""

from __future__ import annotations

import cv2
import numpy as np

TEMPLATE_512 = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
"""Where the five points lie in a crop of 512 pixels: image-left eye, image-right eye, nose, mouth corners likewise."""

LANCZOS_REACH = 4.0
LARGEST_FINE_STEP = 0.95
"""Picture pixels from one pixel of a grid to the next, below which the grid counts as finer. At 1 nothing is enlarged:
Lanczos's filter keeps every pixel there."""
LARGE_STD = 0.75
"""Of a low-pass, source pixels: what it leaves is sampled linearly. A crop of half the size is then the mean of two
pixels each way after it, as the networks of the finer stages know it (`models.restoration.on_coarse`)."""
GAUSSIAN_REACH = 3.0


def scaling(side: int, size: int) -> np.ndarray:
    """The transform from a square picture of `side` pixels to the same picture of `size` pixels, (2, 3)."""
    factor = size / side
    return np.array([[factor, 0.0, (factor - 1) / 2], [0.0, factor, (factor - 1) / 2]])


DOUBLING = scaling(1, 2)
"""From the pixels of a picture to those of the same picture at twice its size."""


def template(size: int) -> np.ndarray:
    """The five points in a crop of `size` pixels, (5, 2) float64."""
    return (TEMPLATE_512 + 0.5) * (size / 512) - 0.5


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fit the similarity, without reflection, that brings points closest to others (Umeyama 1991).

    Args:
        source: (N, 2).
        target: (N, 2).

    Returns:
        (2, 3) float64, source to target.

    Raises:
        ValueError: the source points coincide.
    """
    a, b = _as_complex(source), _as_complex(target)
    centred = a - a.mean()
    spread = float((np.abs(centred) ** 2).sum())
    if not spread > 1e-12:
        raise ValueError("points that coincide have no size and no direction to align")
    # A similarity of the plane is multiplication by one complex number and a shift: least squares in closed form.
    factor = (centred.conj() * (b - b.mean())).sum() / spread
    shift = b.mean() - factor * a.mean()
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])


def align_transform(landmarks: np.ndarray, size: int, *, scale: float = 1.0) -> np.ndarray:
    """The similarity from a frame to the aligned crop of a face.

    Args:
        landmarks: (5, 2) frame pixels, in the template's order.
        size: of the crop.
        scale: Side of the crop in sides of the template's square, which has the same centre: above 1 it shows more of
            the frame.

    Returns:
        (2, 3) float64.

    Raises:
        ValueError: the landmarks coincide.
    """
    centre = (size - 1) / 2
    return fit_similarity(landmarks, centre + (template(size) - centre) / scale)


def compose(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The transform that applies `first` and then `second`, (2, 3)."""
    linear = second[:, :2] @ first[:, :2]
    return np.column_stack([linear, second[:, :2] @ first[:, 2] + second[:, 2]])


def invert(transform: np.ndarray) -> np.ndarray:
    """The transform the other way, (2, 3)."""
    linear = np.linalg.inv(transform[:, :2])
    return np.column_stack([linear, -linear @ transform[:, 2]])


def apply_transform(transform: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) under a transform (2, 3)."""
    return np.asarray(points @ transform[:, :2].T + transform[:, 2])


def transform_scale(transform: np.ndarray) -> float:
    """Crop pixels for one frame pixel (the mean of both axes where they differ)."""
    return float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))


def low_pass_std(scale: float) -> float:
    """Std, in source pixels, of the Gaussian that comes before sampling at `scale` target pixels a source pixel.

    It is 0 when nothing is lost. The Gaussian brings a source pixel's own width up to that of a target pixel.
    """
    return 0.5 * float(np.sqrt(scale**-2 - 1)) if scale < 1 else 0.0


def crop_box(transform: np.ndarray, size: int, width: int, height: int) -> tuple[int, int, int, int]:
    """The box of a frame that a crop reads: its square, and what sampling reaches beyond it.

    Args:
        transform: (2, 3) frame to crop.
        size: of the crop.
        width, height: of the frame.

    Returns:
        x0, y0, x1, y1 inside the frame, x1 and y1 one past the last pixel; one pixel wide or high for a crop outside.
    """
    low, high = -0.5, size - 0.5
    corners = apply_transform(invert(transform), np.array([[low, low], [high, low], [high, high], [low, high]]))
    reach = LANCZOS_REACH + GAUSSIAN_REACH * low_pass_std(transform_scale(transform))
    x0, y0 = np.floor(corners.min(axis=0) - reach)
    x1, y1 = np.ceil(corners.max(axis=0) + reach) + 1
    x0, y0 = np.clip(x0, 0, width - 1), np.clip(y0, 0, height - 1)
    return int(x0), int(y0), int(np.clip(x1, x0 + 1, width)), int(np.clip(y1, y0 + 1, height))


def crop_validity(transform: np.ndarray, size: int, width: int, height: int) -> np.ndarray:
    """Which pixels of a crop show the picture; beyond its border a crop holds the picture's mirror image.

    Args:
        transform: (2, 3) picture to crop.
        size: of the crop.
        width, height: of the picture.

    Returns:
        (size, size) float32 in [0, 1]: the share of the crop's pixel that lies in the picture, about.
    """
    back = invert(transform)
    grid = np.arange(size, dtype=np.float64)
    x = back[0, 0] * grid[None, :] + back[0, 1] * grid[:, None] + back[0, 2]
    y = back[1, 0] * grid[None, :] + back[1, 1] * grid[:, None] + back[1, 2]
    # The picture ends half a pixel beyond the centres of its outermost pixels.
    inside = np.minimum(np.minimum(x, width - 1 - x), np.minimum(y, height - 1 - y)) + 0.5
    return np.clip(transform_scale(transform) * inside + 0.5, 0, 1).astype(np.float32)


def picture_beyond(transform: np.ndarray, size: int, width: int, height: int) -> np.ndarray:
    """How far the picture goes on beyond each side of a crop.

    Convention:
        The sides are left, top, right, bottom; a side's points are the crop's rows or columns, in their order.

    Args:
        transform: (2, 3) picture to crop.
        size: Side of the crop, pixels.
        width, height: Of the picture.

    Returns:
        (4, size) float64: at each point of each side, the length of picture straight ahead, outwards, as a share of the
        crop's side. It is 0 where the side lies outside the picture, and for less than half a crop pixel.
    """
    back, low, high = invert(transform), -0.5, size - 0.5
    along, limits = np.arange(size, dtype=np.float64), np.array([width, height]) - 0.5
    lengths = []
    for axis, rim, outward in ((0, low, -1.0), (1, low, -1.0), (0, high, 1.0), (1, high, 1.0)):
        points = np.empty((size, 2))
        points[:, axis], points[:, 1 - axis] = rim, along
        start, step = apply_transform(back, points), outward * back[:, axis]
        with np.errstate(divide="ignore", invalid="ignore"):
            ahead = (np.where(step > 0, limits, -0.5) - start) / step
        inside = ((start >= -0.5) & (start <= limits)).all(axis=1)
        lengths.append(np.where(inside, np.where(step == 0, np.inf, ahead).min(axis=1), 0.0))
    beyond = np.stack(lengths)
    return np.asarray(np.where(beyond < 0.5, 0.0, beyond) / size)


def extract_crop(picture: np.ndarray, transform: np.ndarray, size: int) -> np.ndarray:
    """Sample the aligned crop of a face; beyond its border the picture is mirrored.

    If the crop shrinks the picture, the picture is low-passed first. Interpolation is Lanczos's and may overshoot by a
    few hundredths.

    Args:
        picture: (H, W, 3) RGB, uint8 in [0, 255] or float32, nominally in [0, 1].
        transform: (2, 3) picture to crop.
        size: of the crop.

    Returns:
        (size, size, 3) float32: in [0, 1] for uint8, in the range of a float picture otherwise.
    """
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = crop_box(transform, size, width, height)
    region = picture[y0:y1, x0:x1].astype(np.float32)
    if picture.dtype == np.uint8:
        region /= 255
    from_region = compose(transform, np.array([[1.0, 0.0, x0], [0.0, 1.0, y0]]))
    crop = sample(region, invert(from_region), (size, size), cv2.BORDER_REFLECT_101)
    return np.clip(crop, 0, 1) if picture.dtype == np.uint8 else crop


def sample(
    picture: np.ndarray,
    to_source: np.ndarray,
    size: tuple[int, int],
    border: int,
    *,
    interpolation: int = cv2.INTER_LANCZOS4,
) -> np.ndarray:
    """Sample a picture on a grid, low-passing it first where the grid is coarser.

    Lanczos, not cubic: a restored face that is turned by two degrees on its way back loses less of its finest octave
    (on held-out faces 2 to 4 % of the perceptual distance). For a finer grid, with `BORDER_REPLICATE`, the picture is
    enlarged to twice its size by Lanczos's filter along rows and columns and then sampled by a cubic one: as exact, in
    half the time. Any other border would lie elsewhere in the enlarged picture.

    Args:
        picture: (h, w) or (h, w, C) float32.
        to_source: (2, 3), grid to picture pixels.
        size: (width, height) of the grid.
        border: one of OpenCV's border types.
        interpolation: one of OpenCV's, where the grid is not much coarser; with the default results may overshoot.

    Returns:
        (height, width) or (height, width, C) float32.
    """
    std = low_pass_std(1 / transform_scale(to_source))
    # Below a quarter of a pixel the Gaussian's samples are all but (0, 1, 0).
    if std > LARGE_STD:
        interpolation = cv2.INTER_LINEAR
    if std > 0.25:
        filter_border = cv2.BORDER_REPLICATE if border == cv2.BORDER_CONSTANT else border
        picture = cv2.GaussianBlur(picture, (0, 0), std, borderType=filter_border)
    elif (
        interpolation == cv2.INTER_LANCZOS4
        and border == cv2.BORDER_REPLICATE
        and transform_scale(to_source) < LARGEST_FINE_STEP
    ):
        picture = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_LANCZOS4)
        to_source, interpolation = compose(DOUBLING, to_source), cv2.INTER_CUBIC
    flags = interpolation | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, to_source, size, flags=flags, borderMode=border))


def _as_complex(points: np.ndarray) -> np.ndarray:
    values = np.asarray(points, np.float64)
    return np.asarray(values[:, 0] + 1j * values[:, 1])
