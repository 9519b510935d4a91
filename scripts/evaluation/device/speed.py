"""Faces a second of a preset on a device: its networks alone, and with the temporal work of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor

from dynface_video.cuda_graphs import record
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Estimates, Stage
from evaluation.device.agreement import ARITHMETIC, with_dtype
from evaluation.device.material import LEVEL, blocks_of_video, up_to
from evaluation.device.report import Clock, Report
from evaluation.device.scale import Bench
from evaluation.device.timing import now, observe, seconds_a_call, tf32

BLOCKS = 3
"""Blocks of a video: the first warms up and computes earlier neighbours, the second is timed, the third profiled."""


def time_networks(bench: Bench, report: Report, clock: Clock) -> None:
    """RM, SE and sampler of all stages up to a size, by arithmetic, batch and memory format."""
    add = report.open_table(
        "networks", ["faces up to", "arithmetic", "batch", "format", "ms a face", "faces a second", "GPU busy"]
    )
    for arithmetic, formats in (
        ("bfloat16", (False, True)),
        ("float32, TF32 convolutions", (False, True)),
        ("float32", (False,)),
        ("TF32", (False,)),
    ):
        dtype, convolutions, products = ARITHMETIC[arithmetic]
        for last in formats:
            for size in bench.scale.sizes:
                for batch in bench.scale.batches:
                    if clock.over:
                        break
                    with tf32(convolutions, products), _memory_format(bench.pipeline, channels_last=last):
                        call = _networks(with_dtype(bench.pipeline, dtype), size, batch)
                        seconds = seconds_a_call(call, bench.device, window=bench.scale.window)
                        # Observing takes about as long again; the default's share says what the others' would.
                        share = None
                        if arithmetic == "bfloat16" and not last:
                            share = observe(call, bench.device, _path(report, f"networks-{size}-{batch}")).share_of(
                                seconds
                            )
                    kind = "channels last" if last else "channels first"
                    add([size, arithmetic, batch, kind, 1000 * seconds / batch, batch / seconds, share])
    report.end_table()


def time_parts(bench: Bench, report: Report, clock: Clock) -> None:
    """The parts of the first stage, the later stages' RMs, and how much of it is launching kernels: CUDA graphs."""
    add = report.open_table(
        "parts", ["part", "arithmetic", "batch", "ms a face", "ms a face by CUDA graph", "largest difference"]
    )
    for arithmetic in ("bfloat16", "float32, TF32 convolutions"):
        dtype, convolutions, products = ARITHMETIC[arithmetic]
        for batch in bench.scale.batches:
            with tf32(convolutions, products):
                for name, call in _parts(with_dtype(bench.pipeline, dtype), bench, batch).items():
                    if clock.over:
                        break
                    seconds = seconds_a_call(call, bench.device, window=bench.scale.window / 2)
                    graph, apart = None, None
                    if name.startswith(("RM", "prior")):
                        graph, apart = _graph_seconds(call, bench.device, bench.scale.window / 2)
                    recorded = None if graph is None else 1000 * graph / batch
                    add([name, arithmetic, batch, 1000 * seconds / batch, recorded, apart])
    report.end_table()


def time_video(bench: Bench, report: Report, clock: Clock) -> None:
    """Blocks of a video as the second pass restores them: with flow, windows, averages, damage and colour."""
    add = report.open_table(
        "video",
        [
            "faces up to",
            "faces a frame",
            "arithmetic",
            "CUDA graphs",
            "batch",
            "ms a face",
            "faces a second",
            "GPU busy",
            "kernels a face",
        ],
    )
    for arithmetic, graphs in (("bfloat16", False), ("bfloat16", True), ("float32, TF32 convolutions", False)):
        if graphs and bench.device.type != "cuda":
            continue
        for people, size in [(people, size) for people in bench.scale.people for size in bench.scale.sizes]:
            if clock.over:
                break
            dtype, convolutions, products = ARITHMETIC[arithmetic]
            block = bench.scale.block
            used = with_dtype(bench.pipeline.with_settings(batch_size=block), dtype)
            used = used.with_cuda_graphs() if graphs else used
            with tf32(convolutions, products):
                kind = arithmetic.split(",")[0] + ("-graphs" if graphs else "")
                path = _path(report, f"video-{size}-{people}-{kind}")
                stages = up_to(used, size)
                seconds, share, kernels = video_seconds(used, stages, people=people, block=block, path=path)
            faces = people * block
            speed = [1000 * seconds / faces, faces / seconds, share, kernels / faces]
            add([size, people, arithmetic, "yes" if graphs else "no", block, *speed])
    report.end_table()


def video_seconds(
    pipeline: FacePipeline, stages: tuple[Stage, ...], *, people: int, block: int, path: Path
) -> tuple[float, float | None, int]:
    """Seconds of a block, the share of them in which the device is busy, and its kernels and copies."""
    device = pipeline.device
    blocks, timed, seen = blocks_of_video(pipeline, stages, people=people, block=block, count=BLOCKS), 0.0, None
    for number, call in enumerate(blocks):
        began = now(device)
        if number < BLOCKS - 1:
            call()
            timed = now(device) - began
        else:
            seen = observe(call, device, path, operations=people == 1)
    assert seen is not None
    return timed, seen.share_of(timed), seen.kernels


def compile_networks(bench: Bench, report: Report, clock: Clock) -> None:
    """`torch.compile` of RM and the prior of the first stage: what it takes, and what it gives."""
    add = report.open_table("compile", ["network", "batch", "first call, s", "ms a face", "ms a face compiled"])
    pipeline = with_dtype(bench.pipeline, torch.bfloat16)
    batch = bench.scale.batches[0]
    for name, module in _modules(pipeline).items():
        if clock.over:
            break
        call = _module_call(name, module, pipeline, batch)
        window = bench.scale.window
        plain = seconds_a_call(partial(call, None), bench.device, window=window)
        began = now(bench.device)
        compiled = cast(torch.nn.Module, torch.compile(module))
        call(compiled)
        first = now(bench.device) - began
        after = seconds_a_call(partial(call, compiled), bench.device, window=window)
        add([name, batch, first, 1000 * plain / batch, 1000 * after / batch])
    report.end_table()


def _modules(pipeline: FacePipeline) -> dict[str, torch.nn.Module]:
    stage = pipeline.stages[0]
    found: dict[str, object] = {"RM at 128": stage.restoration}
    if stage.sampler is not None:
        found["U-Net of the prior at 128"] = getattr(stage.sampler.prior, "unet", None)
    return {name: module for name, module in found.items() if isinstance(module, torch.nn.Module)}


def _module_call(
    name: str, module: torch.nn.Module, pipeline: FacePipeline, batch: int
) -> Callable[[torch.nn.Module | None], object]:
    device, size = pipeline.device, pipeline.resolution
    crops = torch.rand(batch, 3, size, size, device=device)

    @torch.no_grad()
    def call(other: torch.nn.Module | None) -> object:
        used = module if other is None else other
        with torch.autocast(device.type, torch.bfloat16):
            if name.startswith("RM"):
                return used(crops)
            steps = torch.full((batch,), 100, device=device)
            hidden = torch.nn.functional.pixel_unshuffle(torch.cat([crops, crops], dim=1), 4)
            return used(hidden, steps, class_labels=steps.float()).sample

    return call


def _networks(pipeline: FacePipeline, size: int, batch: int) -> Callable[[], object]:
    used = pipeline.with_settings(batch_size=batch)
    stages = up_to(used, size)
    crops = [_pictures(batch, stage.resolution, pipeline.device) for stage in stages]
    keys = [NoiseKey(0, 0, number) for number in range(batch)]
    return lambda: used.restore_crops(stages, crops, keys, starting_step=200)


def _parts(pipeline: FacePipeline, bench: Bench, batch: int) -> dict[str, Callable[[], object]]:
    pipeline = pipeline.with_settings(batch_size=batch)
    stage = pipeline.stages[0]
    crops = _pictures(batch, stage.resolution, pipeline.device)
    estimates = stage.regress(crops)
    windows = [torch.stack([crop] * 4) for crop in crops]
    levels = np.full(batch, LEVEL)
    steps, keys = stage.starting_steps(levels), [NoiseKey(0, 0, number) for number in range(batch)]
    parts: dict[str, Callable[[], object]] = {
        f"RM at {stage.resolution}": lambda: stage.regress(crops),
        "RM with a window of 4": lambda: stage.regress(crops, None, windows),
    }
    if stage.sampler is not None:
        prior = stage.sampler.prior
        step = torch.full((batch,), 100, device=pipeline.device)
        level = torch.full((batch,), LEVEL, device=pipeline.device)
        guide = 2 * crops - 1

        @torch.no_grad()
        def evaluate() -> Tensor:
            with torch.autocast(pipeline.device.type, pipeline.dtype, enabled=pipeline.dtype != torch.float32):
                return prior.predict(guide, step, guide, level)

        parts["SE"] = lambda: stage.estimate_levels(estimates)
        parts["prior, one evaluation"] = evaluate
        parts["sampler"] = lambda: stage.sample(estimates.estimate, levels, steps, keys)
    for finer in pipeline.stages[1:]:
        if finer.resolution <= max(bench.scale.sizes):
            larger = _pictures(batch, finer.resolution, pipeline.device)
            parts[f"RM at {finer.resolution}"] = lambda finer=finer, larger=larger: finer.regress(larger, larger)  # type: ignore[misc]
    return parts


def _graph_seconds(
    call: Callable[[], object], device: torch.device, window: float
) -> tuple[float | None, float | None]:
    """Seconds of a recorded call, and how far its results are from the plain call's; None where it is not recorded."""
    if device.type != "cuda":
        return None, None

    def network() -> tuple[Tensor, ...]:
        made = call()
        if isinstance(made, Estimates):
            return made.evidence, made.estimate
        assert isinstance(made, Tensor)
        return (made,)

    try:
        recorded = record(network, (), device)
    except RuntimeError as error:  # something in the call waits for the device
        print(f"not recorded: {' '.join(str(error).split())[:200]}", flush=True)
        return None, None
    apart = max(float((a - b).abs().max()) for a, b in zip(recorded(), network(), strict=True))
    return seconds_a_call(recorded, device, window=window), apart


@contextmanager
def _memory_format(pipeline: FacePipeline, *, channels_last: bool) -> Iterator[None]:
    networks = [network for stage in pipeline.stages for network in stage.networks()] if channels_last else []
    for network in networks:
        network.to(memory_format=torch.channels_last)
    try:
        yield
    finally:
        for network in networks:
            network.to(memory_format=torch.contiguous_format)


def _pictures(count: int, size: int, device: torch.device) -> Tensor:
    """Smooth random pictures with noise, (count, 3, size, size) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, 3, 8, 8, generator=generator).to(device)
    smooth = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")
    return (smooth + 0.02 * torch.randn(smooth.shape, device=device)).clamp(0, 1)


def _path(report: Report, name: str) -> Path:
    return report.folder / "profiles" / f"{name}.txt"


def one_stage(pipeline: FacePipeline, stage: Stage) -> FacePipeline:
    """A pipeline of a single stage."""
    return replace(pipeline, stages=(stage,), settings=stage.settings, dtype=stage.dtype)
