"""Clips restored frame by frame, with each part of what makes frames agree alone, and with all: measured and shown."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from dynface_video.config import Settings, changed_settings
from dynface_video.faces.align import align_transform, extract_crop
from dynface_video.faces.detection.detector import FaceLocator
from dynface_video.faces.paste import face_mask
from dynface_video.media.io.probe import VideoInfo, probe
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from dynface_video.metrics.temporal import flicker, flow_warped_error, landmark_motion_error
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.networks import Models, analyze_with
from dynface_video.passes.restore import PassContext, Work
from dynface_video.passes.span import restored_span
from evaluation.clips import (
    DAMAGES,
    SLIGHT,
    CleanClip,
    afresh,
    follow,
    still_clip,
    through_codec,
    write_lossless,
)

Changes = Mapping[str, Mapping[str, object]]

PARTS: dict[str, Changes] = {
    "levels": {"restoration": {"level_interval": 1, "level_smoothing": 0.0, "step_hysteresis": 0.0}},
    "landmarks": {"detection": {"landmark_smoothing": 0.0}},
    "noise": {"restoration": {"noise_correlation": 0.0}},
    "window": {"restoration": {"window_radius": 0}},
    "drawn": {"restoration": {"temporal_radius": 0}},
}
"""What makes frames agree, each with the settings that turn it off."""
RIM = 0.2
"""Share of a crop, from each border, that counts less and less: what is measured is the face."""
ALONE, ALL = "frame by frame", "all"
RM = {"RM, single crops": ("levels", "landmarks"), "RM, windows": ("levels", "landmarks", "window")}
METHODS = (ALONE, *PARTS, ALL, *RM)
FRESH, MOVING = "fresh", "fresh_moving"
"""In place of a codec's strength: the still clip, and the clip itself, degraded anew in each frame."""
STRENGTHS = (*DAMAGES, FRESH, MOVING)
ALL_STRENGTHS = (*STRENGTHS, *SLIGHT)


@dataclass(frozen=True)
class Row:
    """One version of one clip at one strength.

    psnr, spectrum: of the aligned crops, PSNR inside the face, None for the clean clip; flow_error, flicker: levels of
    255, flicker of still clips only; landmarks: motion error in percent of the eye distance; evaluations, seconds: of
    one frame
    """

    clip: str
    strength: str
    method: str
    psnr: float | None
    spectrum: float
    flow_error: float
    landmarks: float
    flicker: float | None = None
    evaluations: float = 0.0
    seconds: float = 0.0


def settings_with(settings: Settings, parts: Iterable[str], *, rm_alone: bool = False) -> Settings:
    """The settings with only these parts of `PARTS` left on; rm_alone: without the prior."""
    kept = set(parts)
    for name, off in PARTS.items():
        if name not in kept:
            settings = changed_settings(settings, off)
    return changed_settings(settings, {"restoration": {"strength": 0.0}}) if rm_alone else settings


def settings_of(method: str, settings: Settings) -> Settings:
    """The settings of one of `METHODS`, from those of a preset."""
    if method in RM:
        return settings_with(settings, RM[method], rm_alone=True)
    return settings_with(settings, {ALONE: (), ALL: tuple(PARTS)}.get(method, (method,)))


@dataclass(frozen=True, eq=False)
class Restored:
    """frames: (T, S, S, 3) uint8 RGB; faces: crops that were restored; evaluations, seconds: of all frames.

    repeats: frames that show an earlier one again; cpu_seconds: processor time
    """

    frames: np.ndarray
    faces: int
    evaluations: int
    seconds: float
    repeats: int = 0
    cpu_seconds: float = 0.0


def restore_clip(frames: np.ndarray, models: Models, settings: Settings, *, segments: int = 1) -> Restored:
    """Both passes over (T, S, S, 3) uint8 RGB frames, without encoding; segments: how many they are restored in."""
    began, cpu, work = time.perf_counter(), time.process_time(), Work()
    with tempfile.TemporaryDirectory() as folder:
        write_lossless(Path(folder) / "clip.nut", frames)
        info = probe(Path(folder) / "clip.nut")
        chosen = Models(
            models.pipeline.with_settings(**settings.restoration.model_dump()), models.locator, models.detector
        )
        analysis = analyze_with(chosen, info, settings, lambda done: None)
        cuts = np.linspace(0, len(frames), segments + 1).round().astype(int).tolist()
        done = [p for start, stop in pairwise(cuts) for p in _segment(info, analysis, chosen, start, stop, work)]
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
    repeats = sum(last - first - 1 for first, last in analysis.repeats)
    return Restored(np.stack(done), work.faces, work.unet_evaluations, seconds, repeats, cpu_seconds)


def _segment(
    info: VideoInfo, analysis: Analysis, models: Models, start: int, stop: int, work: Work
) -> Iterator[np.ndarray]:
    pipeline = models.pipeline
    context = PassContext(info, analysis, pipeline, pipeline.settings.seed, pipeline.settings.grain)
    for frame in restored_span(context, start, stop, keep_fields=False, work=work, warnings=[]):
        yield frame.rgb()


def degraded_clips(
    clip: CleanClip, strengths: Sequence[str], seed: int, crop: int, *, quantiser: int | None = None
) -> Iterator[tuple[str, CleanClip, np.ndarray]]:
    """Strength, clean clip and degraded frames, for some of `ALL_STRENGTHS`; quantiser: instead of a codec's own."""
    for strength in strengths:
        rng = np.random.default_rng([seed, ALL_STRENGTHS.index(strength)])
        if strength in (FRESH, MOVING):
            shown = still_clip(clip) if strength == FRESH else clip
            yield strength, shown, afresh(shown.frames, rng, crop=crop)
        else:
            damage = (DAMAGES | SLIGHT)[strength]
            damage = damage if quantiser is None else replace(damage, quantiser=quantiser)
            yield strength, clip, through_codec(clip.frames, damage, rng)


def evaluate_clip(
    clean: CleanClip,
    strength: str,
    degraded: np.ndarray,
    models: Models,
    settings: Settings,
    methods: Sequence[str],
    told: Callable[[str], None],
    *,
    crop: int,
) -> tuple[list[Row], dict[str, np.ndarray]]:
    """Restore a clip by each method; rows of all versions, and their frames by name.

    crop: side of the aligned crops that are measured, pixels
    """
    versions, costs = {"clean": clean.frames, "input": degraded}, dict[str, Restored]()
    rows = []
    for name in ("clean", "input", *methods):
        if name not in versions:
            costs[name] = restore_clip(degraded, models, settings_of(name, settings))
            versions[name] = costs[name].frames
        row = measure(clean, strength, name, versions[name], models.locator, crop, costs.get(name))
        rows.append(row)
        told(f"{clean.name}, {strength}, {name}: PSNR {row.psnr}, error along the flow {row.flow_error:.2f}")
    return rows, versions


def measure(
    clean: CleanClip,
    strength: str,
    method: str,
    frames: np.ndarray,
    locator: FaceLocator,
    size: int,
    cost: Restored | None,
) -> Row:
    """Measure one version of a clip, (T, S, S, 3) uint8, in crops aligned by the clean clip's landmarks."""
    crops, truth, mask = aligned(frames, clean, size), aligned(clean.frames, clean, size), face_mask(size, falloff=RIM)
    inside = mask > 0.5
    reference = follow(clean.frames, clean.landmarks[0], locator)
    count = len(frames)
    return Row(
        clean.name,
        strength,
        method,
        psnr=None if method == "clean" else float(np.mean(_each(psnr, crops[:, inside], truth[:, inside]))),
        spectrum=float(np.mean(_each(log_spectrum_distance, crops, truth))),
        flow_error=flow_warped_error(crops, truth, mask),
        landmarks=landmark_motion_error(follow(frames, clean.landmarks[0], locator), reference),
        flicker=flicker(crops, mask) if strength == FRESH else None,
        evaluations=cost.evaluations / count if cost else 0.0,
        seconds=cost.seconds / count if cost else 0.0,
    )


def _each(compare: Callable[[np.ndarray, np.ndarray], float], ones: np.ndarray, others: np.ndarray) -> list[float]:
    return [compare(one, other) for one, other in zip(ones, others, strict=True)]


def aligned(frames: np.ndarray, clean: CleanClip, size: int) -> np.ndarray:
    """Crops (T, size, size, 3) float32 in [0, 1] by the clean clip's landmarks."""
    pairs = zip(frames, clean.landmarks, strict=True)
    return np.stack([extract_crop(frame, align_transform(points, size), size) for frame, points in pairs])
