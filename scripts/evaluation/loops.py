"""The sampling engine against plain batches and against one face at a time, at the levels that SE reads off faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch

from dynface_video.diffusion.engine import FaceJob, SamplingEngine
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.errors import ModelError
from dynface_video.models.protocols import Denoiser
from dynface_video.stage import Stage
from evaluation.device.material import spread_levels
from evaluation.device.timing import now

ENGINE, PLAIN, SAMPLED, ALONE = "engine", "plain batches", "plain batches of the faces to sample", "one at a time"
WAYS = (ENGINE, PLAIN, SAMPLED, ALONE)
"""Plain batches take faces as they come and wait for the slowest; the third way leaves out those that keep RM's
estimate."""


@dataclass(frozen=True)
class LoopTime:
    """One way through the same faces.

    Attributes:
        way: One of `WAYS`.
        faces: How many, those that keep RM's estimate included.
        evaluations: Of the prior, of single faces.
        calls: Of the prior.
        slots: Faces in a call.
        seconds: Of all.
    """

    way: str
    faces: int
    evaluations: int
    calls: int
    slots: int
    seconds: float

    @property
    def occupancy(self) -> float:
        """Share of the slots of all calls that a face was in, the emptying at the end included."""
        return self.evaluations / max(1, self.calls * self.slots)


def time_loops(stage: Stage, count: int, slots: int, *, alone: int | None = None) -> Iterator[LoopTime]:
    """Draw faces in each way, once, in turn.

    Args:
        stage: Draws them.
        count: How many faces, at levels of `spread_levels`.
        slots: Faces in a call.
        alone: How many of them are drawn one at a time; None for all.
    """
    jobs = spread_jobs(stage, count)
    few = jobs[:: max(1, count // alone)] if alone else jobs
    sampled = [job for job in jobs if job.starting_step > 0]
    ways: dict[str, tuple[Sequence[FaceJob], Sequence[Sequence[FaceJob]], int]] = {
        ENGINE: (jobs, [jobs], slots),
        PLAIN: (jobs, _batches(jobs, slots), slots),
        SAMPLED: (jobs, _batches(sampled, slots), slots),
        ALONE: (few, [[job] for job in few], 1),
    }
    for way, (faces, groups, size) in ways.items():
        options = replace(stage.sampling_options(), slots=size, fixed_slots=True)
        engine = SamplingEngine(denoiser_of(stage), options, stage.device)
        _run(stage, engine, [sampled[:1]])
        engine.evaluations = engine.calls = 0
        began = now(stage.device)
        _run(stage, engine, groups)
        seconds = now(stage.device) - began
        yield LoopTime(way, len(faces), engine.evaluations, engine.calls, size, seconds)


def loops_table(stage: Stage, counts: Sequence[int], *, faces: int, slots: int, rounds: int) -> str:
    """A Markdown table of all ways, for several largest numbers of evaluations a face; medians of the rounds."""
    lines = [
        "| most evaluations a face | way | faces | evaluations | calls | slots occupied | times the engine's |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for most in counts:
        used = stage.with_settings(stage.settings.model_copy(update={"num_inference_steps": most}))
        timed = [list(time_loops(used, faces, slots)) for _ in range(rounds)]
        seconds = {way: median(one.seconds for times in timed for one in times if one.way == way) for way in WAYS}
        for one in timed[0]:
            ratio = seconds[one.way] / seconds[ENGINE]
            cells = (most, one.way, one.faces, one.evaluations, one.calls, f"{one.occupancy:.1%}", f"{ratio:.2f}")
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def spread_jobs(stage: Stage, count: int) -> list[FaceJob]:
    """Faces to draw at the levels of `spread_levels`; their estimates are noise."""
    levels = spread_levels(count)
    used, steps = stage.effective_blur_levels(levels), stage.starting_steps(levels)
    estimate = torch.rand(3, stage.resolution, stage.resolution, device=stage.device)
    return [
        FaceJob(
            number, estimate, stage.guides(float(used[number]), int(steps[number])), int(steps[number]), NoiseKey(0, 0)
        )
        for number in range(count)
    ]


def denoiser_of(stage: Stage) -> Denoiser:
    """The prior of a stage; raises ModelError where it has none."""
    if stage.sampler is None:
        raise ModelError(f"the stage of {stage.resolution} pixels has no prior to draw with")
    return stage.sampler.prior


def _batches(jobs: Sequence[FaceJob], slots: int) -> list[Sequence[FaceJob]]:
    return [jobs[first : first + slots] for first in range(0, len(jobs), slots)]


def _run(stage: Stage, engine: SamplingEngine, groups: Sequence[Sequence[FaceJob]]) -> None:
    with torch.inference_mode(), torch.autocast(stage.device.type, stage.dtype, enabled=stage.dtype != torch.float32):
        for jobs in groups:
            for _ in engine.run(jobs):
                pass
