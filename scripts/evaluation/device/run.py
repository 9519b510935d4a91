"""The benchmark of a device: all sections, by value, within a number of seconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dynface_video.pipeline import FacePipeline
from evaluation.device.agreement import compare_faces, compare_parts, compare_precisions, compare_video
from evaluation.device.engine_speed import compare_loops, time_engine, time_video_with_prior
from evaluation.device.machine import describe
from evaluation.device.report import Clock, Report, Section, run_sections
from evaluation.device.scale import TINY, Bench, Scale
from evaluation.device.speed import compile_networks, time_networks, time_parts, time_video

COMPILE_SECONDS = 30
"""`torch.compile` is begun only with so much time left: it cannot be stopped."""


def benchmark_device(
    preset: str, device: str, folder: Path, *, seconds: float, faces: str | None = None, tiny: bool = False
) -> int:
    """Measure a device; prints Markdown and writes `report.md`, `report.json` and `profiles/` to a folder.

    Args:
        preset: Whose networks are measured.
        device: A torch device.
        folder: Of the results.
        seconds: For everything.
        faces: Folder or tar of aligned clean faces of 512 pixels; None for drawn ones.
        tiny: Only run the code, at sizes that say nothing.

    Returns:
        How many sections failed.
    """
    host = FacePipeline.from_pretrained(preset, device="cpu")
    pipeline = FacePipeline.from_pretrained(preset, device=device)
    if tiny:
        host, pipeline = (one.with_settings(temporal_radius=1, window_radius=1) for one in (host, pipeline))
    bench = Bench(pipeline, TINY if tiny else Scale(), faces)
    sections: list[tuple[str, float, Section]] = [
        ("Machine", 4, lambda report, clock: describe(bench, report, clock)),
        ("Parts: CPU against device", 10, lambda report, clock: compare_parts(bench, host, report, clock)),
        ("Sampling engine, prior of 512 pixels", 22, lambda report, clock: time_engine(bench, report, clock)),
        ("Video with the prior of 512 pixels", 12, lambda report, clock: time_video_with_prior(bench, report, clock)),
        ("Video", 22, lambda report, clock: time_video(bench, report, clock)),
        ("Faces: CPU against device", 14, lambda report, clock: compare_faces(_fewer(bench), host, report, clock)),
        ("Engine against plain loops", 10, lambda report, clock: compare_loops(bench, report, clock)),
        ("Networks", 16, lambda report, clock: time_networks(bench, report, clock)),
        ("Precision", 8, lambda report, clock: compare_precisions(bench, report, clock)),
        ("Video: CPU against device", 8, lambda report, clock: compare_video(bench, host, report, clock)),
        ("Parts of the networks", 6, lambda report, clock: time_parts(bench, report, clock)),
        ("torch.compile", 20, lambda report, clock: _compile(bench, report, clock, tiny=tiny)),
    ]
    return run_sections(Report(folder), sections, seconds)


def _compile(bench: Bench, report: Report, clock: Clock, *, tiny: bool) -> None:
    if tiny or clock.left < COMPILE_SECONDS:
        report.say(f"Not begun: {clock.left:.0f} s are left.")
        return
    compile_networks(bench, report, clock)


def _fewer(bench: Bench) -> Bench:
    """With as many faces as a CPU restores quickly."""
    return replace(bench, scale=replace(bench.scale, faces=min(3, bench.scale.faces)))
