"""Compare the speed of the parts of a restoration: ratios from one run, which outlive the machine they were made on.

python scripts/benchmark.py                      # the parts, on synthetic crops
python scripts/benchmark.py --video CLIP.mp4     # and the time of a whole restoration beside its networks'
python scripts/benchmark.py --temporal 8         # and of temporal work in a face's time, at 128, 256 and 512 pixels
python scripts/benchmark.py --operations 16      # and of the operations that each part takes on a GPU, 16 faces at once
python scripts/benchmark.py --loops 256          # and of the sampling engine against plain batches of 256 faces
python scripts/benchmark.py --video CLIP.mp4 --against OLD       # and of a checkout OLD against this one, in turn
python scripts/benchmark.py --no-faces 25        # and of a clip without faces against FFmpeg (100 frames, and 25;
                                                 # medians of --rounds)
python scripts/benchmark.py --length 48          # and of time and memory at 48, 192 and 768 frames
python scripts/benchmark.py --start-up           # and of a command before its first frame, and of those that only tell
python scripts/benchmark.py --repeats CLIP.mp4   # and of repeats restored once, with quality
python scripts/benchmark.py --precision FACES    # and of bfloat16 against float32 on a CPU, with quality
python scripts/benchmark.py --gpu --seconds 120 --out FOLDER    # all there is to measure of a GPU, instead

Every round times every part once, in turn, so that whatever else the machine does hits all of them alike.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import DynfaceError
from dynface_video.models.restoration import enlarge_coarse
from dynface_video.pipeline import FacePipeline, to_tensor
from dynface_video.stage import Stage
from dynface_video.temporal.flow_averaging import (
    Pairs,
    every_pair,
    neighbour_motions,
    temporal_average,
    warp_neighbours,
)
from dynface_video.temporal.motion import motion, motion_both_ways, prepare_motion
from evaluation.baselines import classical_baselines
from evaluation.device.run import benchmark_device
from evaluation.faces import CleanFace, DegradedFace, degrade_faces, load_clean_faces
from evaluation.loops import loops_table
from evaluation.operations import count_operations, operations_table
from evaluation.precisions import SIZES, compare_precisions, precision_table
from evaluation.temporal_share import time_faces, time_table

REFERENCE = "RM"
MOST_EVALUATIONS = 4
"""Of `--loops`, beside what the models take."""
REPEATED_FRAMES = 36
"""Of the clip of `--repeats`, from its start."""


def main() -> int:
    """Parse the command line, measure, print Markdown tables; 0 done, 1 a section failed, 2 unusable input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--device", help="default: cpu, with --gpu cuda")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    parser.add_argument("--video", type=Path, help="also restore this clip into a temporary folder")
    parser.add_argument("--temporal", type=int, metavar="FACES", help="also time so many faces of a track at each size")
    parser.add_argument("--operations", type=int, metavar="FACES", help="also count a face's operations on a GPU")
    parser.add_argument("--loops", type=int, metavar="FACES", help="also draw so many faces in the engine and without")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="also restore --video by another version")
    parser.add_argument("--no-faces", type=int, metavar="FRAMES", help="also restore clips without faces")
    parser.add_argument("--length", type=int, metavar="FRAMES", help="also restore clips of so many frames, x4 and x16")
    parser.add_argument("--start-up", action="store_true", help="also time what comes before a clip's first frame")
    parser.add_argument(
        "--repeats", type=Path, metavar="CLIP", help="also restore a clean clip at each repeat_tolerance"
    )
    parser.add_argument("--precision", type=Path, metavar="FACES", help="also restore clean aligned faces in bfloat16")
    parser.add_argument("--skip-parts", action="store_true", help="only what the other options name")
    parser.add_argument("--gpu", action="store_true", help="measure a GPU instead: agreement, speed, memory")
    parser.add_argument("--seconds", type=float, default=120.0, help="for all of --gpu (default: 120)")
    parser.add_argument("--out", type=Path, help="folder for the tables, figures and profiles of --gpu")
    parser.add_argument("--faces", help="folder or tar of aligned clean faces of 512 pixels for --gpu (default: drawn)")
    parser.add_argument("--tiny", action="store_true", help="only run the code of --gpu, at sizes that say nothing")
    options = parser.parse_args()
    if options.gpu and options.out is None:
        parser.error("--gpu needs --out FOLDER")
    if options.against and not options.video:
        parser.error("--against needs --video CLIP")
    if options.threads:
        torch.set_num_threads(options.threads)
    try:
        if options.gpu:
            return min(
                1,
                benchmark_device(
                    options.preset,
                    options.device or "cuda",
                    options.out,
                    seconds=options.seconds,
                    faces=options.faces,
                    tiny=options.tiny,
                ),
            )
        for table in _tables(options):
            print(table + "\n", flush=True)
    except DynfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _tables(options: argparse.Namespace) -> Iterator[str]:
    """The tables that the options ask for."""
    pipeline = FacePipeline.from_pretrained(options.preset, device=options.device or "cpu")
    if not options.skip_parts:
        yield _parts_table(_parts(pipeline, options.batch_size), options.rounds, options.batch_size)
    if options.temporal:
        yield time_table(time_faces(pipeline, frames=options.temporal))
    if options.operations:
        size = pipeline.resolution
        yield operations_table(count_operations(pipeline, size, options.operations), size, options.operations)
    if options.loops:
        counts = sorted({pipeline.stages[0].config.num_inference_steps, MOST_EVALUATIONS})
        slots, rounds = options.batch_size, options.rounds
        yield loops_table(pipeline.stages[0], counts, faces=options.loops, slots=slots, rounds=rounds)
    yield from _tables_of_videos(options)
    if options.precision:
        faces = load_clean_faces(options.precision, max(SIZES), limit=options.batch_size)
        yield precision_table(list(compare_precisions(options.preset, faces, rounds=options.rounds)))


def _tables_of_videos(options: argparse.Namespace) -> Iterator[str]:
    """Those of whole restorations."""
    # They need PyAV, which `--gpu` must do without on a machine that has only torch.
    from evaluation.network_clock import time_restoration, wall_table
    from evaluation.repeats import compare_tolerances, repeats_table
    from evaluation.start_up import start_up_table, time_start_up
    from evaluation.whole_runs import (
        compare_versions,
        cost_by_length,
        cost_without_faces,
        lengths_table,
        plain_table,
        versions_table,
    )

    if options.against:
        yield versions_table(compare_versions(options.video, options.against, rounds=options.rounds))
    elif options.video:
        yield wall_table(time_restoration(options.video, options.preset))
    if options.no_faces:
        yield plain_table(cost_without_faces(options.no_faces, rounds=options.rounds))
    if options.length:
        yield lengths_table(cost_by_length(options.length))
    if options.start_up:
        yield start_up_table(time_start_up(rounds=options.rounds))
    if options.repeats:
        yield repeats_table(compare_tolerances(options.repeats, frames=REPEATED_FRAMES, preset=options.preset))


def _parts(pipeline: FacePipeline, count: int) -> dict[str, Callable[[], object]]:
    """What is timed, each on the same `count` faces."""
    stage = pipeline.stages[0]
    faces = _faces(count, stage.resolution)
    crops = to_tensor(np.stack([face.image for face in faces]), pipeline.device)
    estimates = stage.regress(crops)
    levels = stage.estimate_levels(estimates)[0].double().cpu().numpy()
    steps = stage.starting_steps(levels)
    keys = [NoiseKey(0, i) for i in range(count)]
    moving, moved = prepare_motion(crops), prepare_motion(torch.roll(crops, 1, dims=0))
    parts: dict[str, Callable[[], object]] = {
        REFERENCE: lambda: stage.regress(crops),
        "RM and blur level": lambda: stage.estimate_levels(stage.regress(crops)),
        "RM with a window of 4 crops": lambda: stage.regress(crops, None, _windows(crops)),
        "one evaluation of the prior": lambda: _evaluate_prior(stage, crops),
        f"full, strength {pipeline.settings.strength:g}": lambda: stage.sample(estimates.estimate, levels, steps, keys),
        "averaged with 16 neighbours twice": lambda: _average(crops),
        "motion of a pair, there": lambda: motion(moving, moved),
        "motion of a pair, there and back": lambda: motion_both_ways(moving, moved),
    }
    for finer in pipeline.stages[1:]:
        larger = enlarge_coarse(2 * crops - 1, finer.resolution) / 2 + 0.5
        parts[f"RM at {finer.resolution}"] = lambda finer=finer, larger=larger: finer.regress(larger, larger)  # type: ignore[misc]
    for name, baseline in classical_baselines().items():
        if name != "degraded":
            chosen = replace(baseline, chosen=baseline.settings[len(baseline.settings) // 2])
            parts[f"{name} {chosen.setting}".strip()] = lambda chosen=chosen: chosen.restore(faces)  # type: ignore[misc]
    return parts


def _neighbours(crops: Tensor, count: int) -> Tensor:
    """For each of B crops `count` others, (B, count, 3, R, R)."""
    return torch.stack([torch.roll(crops, k + 1, dims=0) for k in range(count)], dim=1)


def _windows(crops: Tensor) -> list[Tensor]:
    neighbours = _neighbours(crops, 4)
    pairs = every_pair(neighbour_motions(crops, neighbours))
    return list(warp_neighbours(crops, neighbours.flatten(0, 1), pairs).unflatten(0, (-1, 4)))


def _evaluate_prior(stage: Stage, crops: Tensor) -> None:
    if stage.sampler is not None:
        guide = 2 * crops - 1
        step = torch.full((len(crops),), 100, device=stage.device)
        with torch.inference_mode():
            level = torch.full((len(crops),), 1 / stage.resolution, device=stage.device)
            stage.sampler.prior.predict(guide, step, guide, level)


def _average(crops: Tensor) -> None:
    others = [(number, (number + k) % len(crops)) for k in range(1, 17) for number in range(len(crops))]
    targets, sources = zip(*sorted(others, key=lambda pair: pair[1]), strict=True)
    inputs = prepare_motion(crops[list(targets)]), prepare_motion(crops[list(sources)])
    pairs = Pairs(targets, sources, motion(*inputs))
    for _ in range(2):
        temporal_average(crops, len(crops), pairs)


def _faces(count: int, size: int) -> list[DegradedFace]:
    # Any picture costs the same time; a random smooth one needs no data set.
    rng = np.random.default_rng(0)
    coarse = rng.random((count, 8, 8, 3), dtype=np.float32)
    zoom = np.kron(coarse, np.ones((1, size // 8, size // 8, 1), np.float32))
    return degrade_faces([CleanFace(str(i), image) for i, image in enumerate(zoom)], "medium")


def _parts_table(parts: dict[str, Callable[[], object]], rounds: int, count: int) -> str:
    times: dict[str, list[float]] = {name: [] for name in parts}
    for part in parts.values():
        part()
    for _ in range(rounds):
        for name, part in parts.items():
            began = time.perf_counter()
            part()
            times[name].append((time.perf_counter() - began) / count)
    medians = {name: float(np.median(values)) for name, values in times.items()}
    lines = [f"| part | times {REFERENCE} | milliseconds a face here |", "| --- | --- | --- |"]
    lines += [f"| {name} | {t / medians[REFERENCE]:.2f} | {1000 * t:.1f} |" for name, t in medians.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
