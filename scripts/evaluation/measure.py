"""Measure methods on degraded faces: one `Measurement` for each method, strength and face."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dynface_video.metrics.fidelity import log_spectrum_distance, psnr, ssim
from evaluation.faces import DegradedFace
from evaluation.methods import Method
from evaluation.network_measures import FaceMeasure
from evaluation.picture_measures import chroma_error, finest_octaves_error, octave_offsets, skin_roughness

BATCH = 16


@dataclass(frozen=True)
class Measurement:
    """One face by one method.

    psnr:        dB
    perceptual:  distance of EfficientNet-Lite0's features at 256 pixels or less, perceptual_native: at the face's own
                 size; identity: distance of dlib's embeddings; landmarks: percent of the eye distance; nan where not
                 measured
    chroma:      mean absolute difference of Cb and Cr, 8-bit levels
    roughness:   texture of the skin in ratio to the clean face's
    finest:      mean absolute offset of the finest two octaves, decades; octaves: each octave's offset, finest first
    spectrum:    log-spectrum distance
    evaluations: of the prior; seconds: wall time, both its share of its batch
    """

    method: str
    strength: str
    face: str
    group: str
    psnr: float
    ssim: float
    chroma: float
    roughness: float
    finest: float
    octaves: tuple[float, ...]
    spectrum: float
    evaluations: float
    seconds: float
    perceptual: float = math.nan
    perceptual_native: float = math.nan
    identity: float = math.nan
    landmarks: float = math.nan


@dataclass(frozen=True)
class Evaluation:
    """Measurements, and for each (strength, method) the setting chosen and the pictures, (N, R, R, 3) uint8."""

    faces: Mapping[str, Sequence[DegradedFace]]
    measurements: list[Measurement] = field(default_factory=list)
    settings: dict[tuple[str, str], str] = field(default_factory=dict)
    images: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in the order in which they were measured."""
        return list(dict.fromkeys(m.method for m in self.measurements))


def evaluate(
    faces: Mapping[str, Sequence[DegradedFace]],
    methods: Sequence[Method],
    *,
    measures: Mapping[str, FaceMeasure] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Evaluation:
    """Restore the degraded faces of each strength by each method and measure them against the clean ones.

    Pictures are rounded to 8 bits first, as they would be saved: without it the empty top of a float picture's
    spectrum would count as infinitely far from any other's.

    Args:
        faces: Degraded faces by strength.
        methods: What restores them.
        measures: Further measures by the name of their column, as of `network_measures`.
        progress: Called with a line for each method and strength that is done.
    """
    evaluation = Evaluation(faces)
    for strength, degraded in faces.items():
        for method in methods:
            tuned = method.tuned(degraded)
            pictures, measurements = _measure(tuned, degraded, measures or {})
            evaluation.settings[strength, method.name] = tuned.setting
            evaluation.images[strength, method.name] = pictures
            evaluation.measurements.extend(measurements)
            if progress is not None:
                mean = np.mean([m.psnr for m in measurements])
                progress(f"{strength}: {method.name} {tuned.setting} {mean:.2f} dB")
    return evaluation


def _measure(
    method: Method, faces: Sequence[DegradedFace], measures: Mapping[str, FaceMeasure]
) -> tuple[np.ndarray, list[Measurement]]:
    measurements: list[Measurement] = []
    pictures = []
    for batch, restored, evaluations, seconds in _batches(method, faces):
        rounded = np.rint(np.clip(restored, 0, 1) * 255).astype(np.uint8)
        pictures.append(rounded)
        for face, picture in zip(batch, rounded, strict=True):
            shown = picture.astype(np.float32) / 255
            clean = face.clean
            measurements.append(
                Measurement(
                    method=method.name,
                    strength=face.strength,
                    face=clean.name,
                    group=clean.group,
                    psnr=psnr(shown, clean.image),
                    ssim=ssim(shown, clean.image),
                    chroma=chroma_error(shown, clean.image),
                    roughness=skin_roughness(shown, clean.image),
                    finest=finest_octaves_error(shown, clean.image),
                    octaves=tuple(float(v) for v in octave_offsets(shown, clean.image)),
                    spectrum=log_spectrum_distance(shown, clean.image),
                    evaluations=evaluations / len(batch),
                    seconds=seconds / len(batch),
                    **{name: measure(shown, clean.image) for name, measure in measures.items()},
                )
            )
    return np.concatenate(pictures), measurements


def _batches(
    method: Method, faces: Sequence[DegradedFace]
) -> Iterator[tuple[Sequence[DegradedFace], np.ndarray, int, float]]:
    for start in range(0, len(faces), BATCH):
        batch = faces[start : start + BATCH]
        began = time.perf_counter()
        restored, evaluations = method.restore(batch)
        yield batch, restored, evaluations, time.perf_counter() - began
