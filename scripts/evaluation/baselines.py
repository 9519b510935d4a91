"""Classical restoration to compare with: Lanczos, non-local means, deconvolution with the true blur known.

The baselines get more than they would have in life: the true blur of every face, and the setting that is best *against
the truth* for each strength, found on a few of the very faces that are evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

import cv2
import numpy as np

from dynface_video.metrics.fidelity import psnr
from evaluation.faces import DegradedFace, spread
from training.degradation import REFERENCE, Degradation, enlarge

TUNING_FACES = 16
BORDER = 32
Setting = tuple[float | str, ...]


@dataclass(frozen=True)
class Baseline:
    """A classical method and the settings it may choose from; a `Method` of the evaluation."""

    name: str
    function: Callable[..., np.ndarray]
    settings: tuple[Setting, ...] = ((),)
    chosen: Setting = ()

    @property
    def setting(self) -> str:
        """The chosen setting in words; empty where there is nothing to choose."""
        return " ".join(str(part) for part in self.chosen)

    def tuned(self, faces: Sequence[DegradedFace]) -> Baseline:
        """With the setting that has the best mean PSNR on up to 16 of the faces."""
        few = [faces[i] for i in spread(len(faces), TUNING_FACES)]
        if len(self.settings) == 1:
            return replace(self, chosen=self.settings[0])

        def score(setting: Setting) -> float:
            return float(np.mean([psnr(self.function(face, *setting), face.clean.image) for face in few]))

        return replace(self, chosen=max(self.settings, key=score))

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """Restored faces, (B, R, R, 3) float32 in [0, 1], and 0 network evaluations."""
        return np.stack([self.function(face, *self.chosen) for face in faces]), 0


def degraded(face: DegradedFace) -> np.ndarray:
    """The degraded crop itself (enlarged with a cubic kernel)."""
    return face.image


def lanczos(face: DegradedFace) -> np.ndarray:
    """The small picture enlarged with an 8-tap Lanczos kernel."""
    return enlarge(face.small, face.image.shape[0], cv2.INTER_LANCZOS4)


def non_local_means(face: DegradedFace, strength: float, where: str) -> np.ndarray:
    """Non-local means with filter strength h, on the crop or, where the noise is still white, on the small picture."""
    picture = face.small if where == "small" else np.rint(face.image * 255).astype(np.uint8)
    cleaned = cv2.fastNlMeansDenoisingColored(np.ascontiguousarray(picture), None, strength, strength, 7, 21)
    return enlarge(cleaned, face.image.shape[0])


def richardson_lucy(face: DegradedFace, iterations: int, known: str) -> np.ndarray:
    """Richardson-Lucy deconvolution with the true kernel, so many iterations."""
    from skimage.restoration import richardson_lucy as deconvolve

    kernel = true_kernel(face.degradation, face.image.shape[0], sampling=known == "blur+sampling")

    def restore(channel: np.ndarray) -> np.ndarray:
        return np.asarray(deconvolve(channel, kernel, num_iter=iterations, clip=False, filter_epsilon=1e-6))

    return _by_channel(face.image, restore)


def wiener(face: DegradedFace, balance: float, known: str) -> np.ndarray:
    """Wiener deconvolution with the true kernel and a Laplacian prior of weight `balance`."""
    from skimage.restoration import wiener as deconvolve

    kernel = true_kernel(face.degradation, face.image.shape[0], sampling=known == "blur+sampling")

    def restore(channel: np.ndarray) -> np.ndarray:
        return np.asarray(deconvolve(channel, kernel, balance, clip=False))

    return _by_channel(face.image, restore)


def classical_baselines() -> dict[str, Baseline]:
    """Every baseline by name, the untouched degraded crop first."""
    knowledge = ("blur", "blur+sampling")
    baselines = (
        Baseline("degraded", degraded),
        Baseline("lanczos", lanczos),
        Baseline("nlm", non_local_means, tuple(product((1, 2, 3, 5, 7, 10, 14, 20), ("crop", "small")))),
        Baseline("richardson_lucy", richardson_lucy, tuple(product((1, 2, 3, 5, 8, 12, 20, 40), knowledge))),
        Baseline("wiener", wiener, tuple(product((0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), knowledge))),
    )
    return {baseline.name: baseline for baseline in baselines}


def true_kernel(degradation: Degradation, size: int, *, sampling: bool) -> np.ndarray:
    """The point response of a degradation at a crop size: (K, K) float64, odd K, sum 1.

    sampling: include the shrink (a box as wide as the factor) and the cubic enlargement, not the Gaussian alone.
    """
    scale = size / REFERENCE
    kernel = _gaussian(degradation.blur_x * scale, degradation.blur_y * scale, degradation.angle)
    factor = degradation.downscale * scale
    if sampling and factor > 1:
        axis = _sampling_response(factor)
        kernel = _convolve(kernel, axis[:, None] * axis[None, :])
    return kernel / kernel.sum()


def _gaussian(std_x: float, std_y: float, angle: float) -> np.ndarray:
    if max(std_x, std_y) < 0.2:
        return np.ones((1, 1))
    radius = int(np.ceil(3 * max(std_x, std_y)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    c, s = np.cos(angle), np.sin(angle)
    u, v = (c * x + s * y) / max(std_x, 0.2), (c * y - s * x) / max(std_y, 0.2)
    return np.asarray(np.exp(-(u**2 + v**2) / 2))


def _sampling_response(factor: float) -> np.ndarray:
    """Box of width `factor` followed by OpenCV's cubic kernel (a = -0.75) stretched by it, sampled at pixels."""
    fine, a = 16, -0.75
    radius = int(np.ceil(2.5 * factor))
    x = np.abs(np.arange(-radius * fine, radius * fine + 1) / fine / factor)
    near, far = ((a + 2) * x - (a + 3)) * x * x + 1, ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    cubic = np.where(x <= 1, near, np.where(x < 2, far, 0.0))
    box = np.ones(2 * round(factor * fine / 2) + 1)
    response = np.convolve(cubic, box, mode="same")[::fine]
    return np.asarray(response / response.sum())


def _convolve(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    from scipy.signal import convolve2d

    return np.asarray(convolve2d(a, b))


def _by_channel(image: np.ndarray, restore: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    # Both algorithms assume periodic or black surroundings; a mirrored border keeps their ringing out of the crop.
    padded = np.pad(image.astype(np.float64), ((BORDER, BORDER), (BORDER, BORDER), (0, 0)), mode="symmetric")
    channels = [restore(padded[:, :, c])[BORDER:-BORDER, BORDER:-BORDER] for c in range(3)]
    return np.clip(np.stack(channels, axis=2), 0, 1).astype(np.float32)
