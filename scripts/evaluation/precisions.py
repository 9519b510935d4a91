"""bfloat16 against float32 on a CPU: time, quality, and how far the faces lie apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from dynface_video.pipeline import FacePipeline, to_array, to_tensor
from dynface_video.stage import Stage
from evaluation.faces import CleanFace, degrade_faces
from training.degradation import STRENGTHS

SIZES = (128, 256)
DTYPES = torch.float32, torch.bfloat16


@dataclass(frozen=True)
class PrecisionRow:
    """One strength and size; pairs are of float32 and bfloat16.

    Attributes:
        strength: Of the damage.
        size: Resolution of the last stage.
        milliseconds: Processor time a face.
        psnr: dB.
        spectrum: Distance of log spectra.
        apart: Mean distance of the faces, and what 99 % of the samples lie within, levels of 255.
    """

    strength: str
    size: int
    milliseconds: tuple[float, float]
    psnr: tuple[float, float]
    spectrum: tuple[float, float]
    apart: tuple[float, float]


def compare_precisions(
    preset: str, faces: Sequence[CleanFace], *, sizes: Sequence[int] = SIZES, rounds: int = 3
) -> Iterator[PrecisionRow]:
    """Restore degraded faces in both precisions, in turn.

    Args:
        preset: Of the models.
        faces: Clean, of the largest of `sizes` or more.
        sizes: Resolutions of the last stage.
        rounds: How often; the least time counts.
    """
    pipelines = [FacePipeline.from_pretrained(preset, device="cpu", torch_dtype=t) for t in DTYPES]
    for strength in STRENGTHS:
        degraded = degrade_faces(faces, strength)
        for size in sizes:
            clean = _resized([face.clean.image for face in degraded], size)
            images = [
                _resized([face.image for face in degraded], stage.resolution) for stage in _stages(pipelines[0], size)
            ]
            made, costs = [np.empty(0)] * 2, [np.inf] * 2
            for _ in range(rounds):
                for which, pipeline in enumerate(pipelines):
                    began = time.process_time()
                    made[which] = _restore(pipeline, images, size)
                    costs[which] = min(costs[which], time.process_time() - began)
            apart = 255 * np.abs(made[0] - made[1])
            yield PrecisionRow(
                strength,
                size,
                _pair(1000 * cost / len(faces) for cost in costs),
                _pair(_mean(psnr, one, clean) for one in made),
                _pair(_mean(log_spectrum_distance, one, clean) for one in made),
                (float(apart.mean()), float(np.quantile(apart, 0.99))),
            )


def precision_table(rows: Sequence[PrecisionRow]) -> str:
    """A Markdown table."""
    lines = [
        "| strength | faces up to | float32: ms, PSNR, spectrum | bfloat16: the same | apart: mean, 99 % within |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        parts = [f"{row.milliseconds[i]:.0f}, {row.psnr[i]:.2f}, {row.spectrum[i]:.3f}" for i in (0, 1)]
        lines.append(
            f"| {row.strength} | {row.size} | {parts[0]} | {parts[1]} | {row.apart[0]:.2f}, {row.apart[1]:.1f} |"
        )
    return "\n".join(lines)


def _stages(pipeline: FacePipeline, size: int) -> list[Stage]:
    return [stage for stage in pipeline.stages if stage.resolution <= size]


def _restore(pipeline: FacePipeline, images: Sequence[np.ndarray], size: int) -> np.ndarray:
    keys = [NoiseKey(0, number) for number in range(len(images[0]))]
    crops = [to_tensor(image) for image in images]
    return to_array(pipeline.restore_crops(_stages(pipeline, size), crops, keys).faces)


def _resized(images: Sequence[np.ndarray], size: int) -> np.ndarray:
    """(B, size, size, 3) float32, by averaging over areas."""
    return np.stack([cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA) for image in images])


def _mean(measure: Callable[[np.ndarray, np.ndarray], float], faces: np.ndarray, clean: np.ndarray) -> float:
    return float(np.mean([measure(face, own) for face, own in zip(faces, clean, strict=True)]))


def _pair(values: Iterable[float]) -> tuple[float, float]:
    first, second = values
    return float(first), float(second)
