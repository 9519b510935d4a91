"""What is lost and saved by restoring frames that repeat an earlier one once: `restoration.repeat_tolerance`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dynface_video.config import changed_settings, load_settings
from dynface_video.passes.networks import load_models
from evaluation.clips import load_clean_clip
from evaluation.steadiness import degraded_clips, measure, restore_clip

TOLERANCES: tuple[int | None, ...] = (None, 0, 1, 2, 3, 5)
STRENGTH = "medium"


@dataclass(frozen=True)
class RepeatRow:
    """One tolerance on one clip.

    Attributes:
        tolerance: `restoration.repeat_tolerance`.
        repeats: Frames that are taken for repeats of an earlier one.
        psnr: Against the clean clip, inside the face, dB.
        flow_error: Levels of 255 along the flow of the clean clip.
        evaluations: Of the prior.
        cpu_seconds: Processor time of both passes.
    """

    tolerance: int | None
    repeats: int
    psnr: float
    flow_error: float
    evaluations: int
    cpu_seconds: float


def compare_tolerances(
    clip: Path, *, frames: int, preset: str = "mini", tolerances: Sequence[int | None] = TOLERANCES
) -> list[RepeatRow]:
    """Restore the start of a clip at each tolerance, cut around its face and damaged by a codec.

    Args:
        clip: A clean clip with a face.
        frames: How many of its frames.
        preset: Of the settings.
        tolerances: Of the setting; None restores every frame.

    Raises:
        InputError: The clip cannot be read or shows no face.
    """
    settings = load_settings(preset, None, {"device": "cpu"})
    models = load_models(settings)
    for stage in models.pipeline.stages:
        # Also what is loaded when a face is first sampled, before the first is timed.
        stage.networks()
    size = models.pipeline.resolution
    clean = load_clean_clip(clip, models.detector, models.locator, frames=frames, crop=size)
    ((_, shown, degraded),) = degraded_clips(clean, [STRENGTH], 0, size)
    rows = []
    for tolerance in tolerances:
        chosen = changed_settings(settings, {"restoration": {"repeat_tolerance": tolerance}})
        made = restore_clip(degraded, models, chosen)
        row = measure(shown, STRENGTH, "", made.frames, models.locator, size, made)
        assert row.psnr is not None
        rows.append(RepeatRow(tolerance, made.repeats, row.psnr, row.flow_error, made.evaluations, made.cpu_seconds))
    return rows


def repeats_table(rows: Sequence[RepeatRow]) -> str:
    """A Markdown table."""
    lines = [
        "| `repeat_tolerance` | repeats | PSNR, dB | error along the flow, levels | evaluations | processor seconds |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        name = "null" if row.tolerance is None else str(row.tolerance)
        lines.append(f"| {name} | {row.repeats} | {row.psnr:.2f} | {row.flow_error:.2f} | {row.evaluations} | "
                     f"{row.cpu_seconds:.1f} |")  # fmt: skip
    return "\n".join(lines)
