"""The sampling engine with the paper's 512-pixel prior, random numbers for its weights: they cost the same time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.memory import GIB, slot_memory
from dynface_video.stage import Stage
from evaluation.device.material import EVALUATIONS, LEVEL, prior_stage
from evaluation.device.report import Clock, Report
from evaluation.device.scale import Bench
from evaluation.device.speed import one_stage, video_seconds
from evaluation.device.timing import observe, seconds_a_call
from evaluation.loops import denoiser_of, time_loops

MOST_EVALUATIONS, REFERENCE_STEP = 16, 900
"""Of a face at the spread of levels, as the model set of 512 pixels has them: the number follows the level."""


def time_engine(bench: Bench, report: Report, clock: Clock) -> None:
    """Faces a second by slots, and memory a slot."""
    stage = prior_stage(bench, torch.bfloat16, 1)
    flops = _flops(stage)
    peak = report.figures.get("peak", [{}])[0].get("value")
    computed = slot_memory(dict(bench.scale.prior), torch.bfloat16)
    parameters = sum(parameter.numel() for parameter in _prior(stage).parameters())
    report.say(
        f"{parameters / 1e6:.1f} M parameters, {flops / 1e9:.1f} GFLOP an evaluation of one face; {EVALUATIONS} "
        f"evaluations a face. Computed by `slot_memory` in bfloat16: {computed.slot / GIB:.3f} GiB a slot, "
        f"{computed.weights / GIB:.2f} GiB of weights."
    )
    report.figures["prior"] = {"flops": flops, "computed slot, GiB": computed.slot / GIB}
    add = report.open_table(
        "engine",
        [
            "slots",
            "arithmetic",
            "format",
            "ms an evaluation",
            "faces a second",
            "TFLOP/s",
            "share of peak",
            "GPU busy",
            "peak memory, GiB",
        ],
    )
    most = max(bench.scale.slots)
    plan = [(slots, torch.bfloat16, False) for slots in sorted(bench.scale.slots, key=lambda n: abs(n - 16))]
    plan[1:1] = [(plan[0][0], torch.bfloat16, True), (plan[0][0], torch.float32, False)]
    for slots, dtype, last in plan:
        if clock.over:
            break
        try:
            network = _prior(stage)
            network.to(memory_format=torch.channels_last if last else torch.contiguous_format)
            call = _batch(replace(stage, dtype=dtype), slots)
            _reset_memory(bench.device)
            seconds = seconds_a_call(call, bench.device, window=bench.scale.window)
            memory = _most_memory(bench.device)
            share = None
            if not last and dtype == torch.bfloat16 and slots in (1, 16, most):
                name = f"engine-{slots}-{str(dtype).rpartition('.')[2]}{'-last' if last else ''}"
                share = observe(call, bench.device, report.folder / "profiles" / f"{name}.txt").share_of(seconds)
            rate = slots * EVALUATIONS * flops / seconds / 1e12
            kind = "channels last" if last else "channels first"
            add(
                [
                    slots,
                    str(dtype).rpartition(".")[2],
                    kind,
                    1000 * seconds / EVALUATIONS,
                    slots / seconds,
                    rate,
                    None if peak is None else rate / peak,
                    share,
                    memory,
                ]
            )
        except torch.OutOfMemoryError as error:
            add([slots, str(dtype).rpartition(".")[2], "out of memory", *([None] * 6)])
            print(str(error)[:200], flush=True)
            torch.cuda.empty_cache()
    report.end_table()
    _slot_table(report)


def compare_loops(bench: Bench, report: Report, clock: Clock) -> None:
    """Engine, plain batches and one face at a time, at a spread of levels; see `time_loops`."""
    slots = min(8, max(bench.scale.slots))
    prior = prior_stage(bench, torch.bfloat16, slots)
    by_level = replace(
        prior, config=replace(prior.config, num_inference_steps=MOST_EVALUATIONS, reference_step=REFERENCE_STEP)
    )
    add = report.open_table(
        "loops", ["side", "way", "faces", "evaluations", "calls", "s", "faces a second", "occupancy"]
    )
    for stage in (by_level, replace(bench.pipeline.stages[0], dtype=torch.bfloat16)):
        if clock.over:
            break
        for one in time_loops(stage, bench.scale.spread, slots, alone=8):
            counts = [one.faces, one.evaluations, one.calls]
            add([stage.resolution, one.way, *counts, one.seconds, one.faces / one.seconds, one.occupancy])
            if clock.over:
                break
    report.end_table()


def time_video_with_prior(bench: Bench, report: Report, clock: Clock) -> None:
    """Faces of the prior's size in a video: from crops on the device to faces on the CPU, temporal work included."""
    add = report.open_table(
        "video with the prior",
        ["side", "faces a frame", "slots", "ms a face", "faces a second", "GPU busy", "kernels a face"],
    )
    for people in bench.scale.people:
        if clock.over:
            break
        slots = people * bench.scale.block
        stage = prior_stage(bench, torch.bfloat16, slots)
        pipeline = one_stage(bench.pipeline, stage)
        path = report.folder / "profiles" / f"video-prior-{people}.txt"
        seconds, share, kernels = video_seconds(pipeline, (stage,), people=people, block=bench.scale.block, path=path)
        faces = people * bench.scale.block
        add([stage.resolution, people, slots, 1000 * seconds / faces, faces / seconds, share, kernels / faces])
    report.end_table()


def _batch(stage: Stage, slots: int) -> Callable[[], object]:
    settings = stage.settings.model_copy(update={"batch_size": slots})
    used = stage.with_settings(settings)
    size = stage.resolution
    estimates = torch.rand(slots, 3, size, size, device=stage.device)
    levels = np.full(slots, LEVEL)
    steps = np.full(slots, 800)
    keys = [NoiseKey(0, 0, number) for number in range(slots)]
    return lambda: used.sample(estimates, levels, steps, keys)


def _prior(stage: Stage) -> torch.nn.Module:
    prior = denoiser_of(stage)
    assert isinstance(prior, torch.nn.Module)
    return prior


def _flops(stage: Stage) -> int:
    """Of one evaluation of one face; a multiplication and an addition are two."""
    size = stage.resolution
    sample = torch.zeros(1, 3, size, size, device=stage.device)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _prior(stage)(sample, torch.zeros(1, dtype=torch.long, device=stage.device))
    return int(counter.get_total_flops())


def _reset_memory(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _most_memory(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else None


def _slot_table(report: Report) -> None:
    """Memory a slot, from the peaks at the fewest and the most slots of one arithmetic."""
    rows = [row for row in report.figures["engine"] if row["peak memory, GiB"] and row["arithmetic"] == "bfloat16"]
    rows = sorted((row for row in rows if row["format"] == "channels first"), key=lambda row: row["slots"])
    if len(rows) > 1:
        first, last = rows[0], rows[-1]
        grown = last["peak memory, GiB"] - first["peak memory, GiB"]
        measured = grown / (last["slots"] - first["slots"])
        computed = report.figures["prior"]["computed slot, GiB"]
        report.figures["prior"]["measured slot, GiB"] = measured
        report.say(f"Measured: {measured:.3f} GiB a slot in bfloat16, {measured / computed:.2f} times the computed.")
