"""How far the device's results are from the CPU's, part by part and for whole faces, and which precision costs what."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dynface_video.diffusion.guidance import closed_form_guidance, guide_spectra
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.face_records import FaceKey
from dynface_video.faces.colour_transfer import apply_colour, match_colour
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr
from dynface_video.models.adjuster import sobel_guidance_map
from dynface_video.pipeline import FacePipeline, to_array
from dynface_video.resampling import box_blur, enlarge, gaussian_blur, reduce_area, warp
from dynface_video.temporal.damage import FoundDamage, NearFrames, find_damage, remove_damage
from dynface_video.temporal.flow_averaging import every_pair, neighbour_motions, temporal_average, warp_neighbours
from dynface_video.temporal.flow_search import inverse_search
from dynface_video.temporal.light import match_light
from dynface_video.temporal.motion import Motion
from dynface_video.video_pipeline import VideoPipeline
from evaluation.device.material import (
    blocks_of_video,
    clean_faces,
    degraded_crops,
    moving_crops,
    reduced,
    steady_track,
    up_to,
)
from evaluation.device.report import Clock, Report
from evaluation.device.scale import Bench
from evaluation.device.timing import tf32

ARITHMETIC: dict[str, tuple[torch.dtype, bool, bool]] = {
    "float32": (torch.float32, False, False),
    "float32, TF32 convolutions": (torch.float32, True, False),
    "TF32": (torch.float32, True, True),
    "bfloat16": (torch.bfloat16, True, False),
}
"""Type of the networks, and whether TF32 is allowed in convolutions and in matrix products. PyTorch's default is the
second."""


def with_dtype(pipeline: FacePipeline, dtype: torch.dtype) -> FacePipeline:
    """The same networks in the arithmetic of another type."""
    stages = tuple(replace(stage, dtype=dtype) for stage in pipeline.stages)
    return replace(pipeline, stages=stages, dtype=dtype)


def compare_faces(bench: Bench, host: FacePipeline, report: Report, clock: Clock) -> None:
    """Whole faces: the CPU's float32 against the device's arithmetics, RM, SE and sampler of all stages."""
    add = report.open_table(
        "faces, CPU against device",
        ["faces up to", "strength", "arithmetic", "mean, of 255", "99 %, of 255", "largest, of 255", "levels apart"],
    )
    for size in bench.scale.sizes:
        clean, stages = clean_faces(bench, size), up_to(host, size)
        for strength in bench.scale.strengths if size == min(bench.scale.sizes) else ("medium",):
            if clock.over:
                break
            crops = degraded_crops(clean, strength, stages)
            expected, level = _restored(host, stages, crops)
            for name, (dtype, convolutions, products) in ARITHMETIC.items():
                with tf32(convolutions, products):
                    device = with_dtype(bench.pipeline, dtype)
                    found, own_level = _restored(device, up_to(device, size), crops)
                apart = 255 * np.abs(found - expected)
                levels = float(np.abs(own_level - level).max())
                add(
                    [
                        size,
                        strength,
                        name,
                        float(apart.mean()),
                        float(np.quantile(apart, 0.99)),
                        float(apart.max()),
                        levels * stages[0].resolution,
                    ]
                )
    report.end_table()


def compare_video(bench: Bench, host: FacePipeline, report: Report, clock: Clock) -> None:
    """A block of a video, temporal work included; the flows differ by their search (DIS on the CPU)."""
    add = report.open_table("video, CPU against device", ["faces up to", "arithmetic", "mean, of 255", "99 %, of 255"])
    for size in bench.scale.sizes[:2]:
        if clock.over:
            break
        faces = {}
        for name, pipeline in (("host", host), ("float32", bench.pipeline), ("bfloat16", bench.pipeline)):
            used = with_dtype(pipeline, torch.bfloat16) if name == "bfloat16" else pipeline
            # A short reach: the CPU has to restore every neighbour's neighbour, too.
            used = used.with_settings(temporal_radius=2)
            block = next(blocks_of_video(used, up_to(used, size), people=1, block=2, count=1))
            faces[name] = np.stack(block())
        for name in ("float32", "bfloat16"):
            apart = 255 * np.abs(faces[name] - faces["host"])
            add([size, name, float(apart.mean()), float(np.quantile(apart, 0.99))])
    report.end_table()


def compare_parts(bench: Bench, host: FacePipeline, report: Report, clock: Clock) -> None:
    """Every part that works on the device's tensors, on the same input: largest and mean difference."""
    add = report.open_table("parts, CPU against device", ["part", "largest", "mean"])
    for name, part in _parts(bench).items():
        if clock.over:
            break
        try:
            expected = _on_cpu(part(torch.device("cpu"), host))
            found = _on_cpu(part(bench.device, bench.pipeline))
            apart = [np.abs(a.astype(np.float64) - b) for a, b in zip(found, expected, strict=True)]
            add([name, max(float(one.max()) for one in apart), float(np.mean([one.mean() for one in apart]))])
        except Exception as error:  # one part that fails is a row of the table
            add([name, f"{type(error).__name__}: {' '.join(str(error).split())[:160]}", None])
            print(traceback.format_exc(), flush=True)
    report.end_table()


def compare_precisions(bench: Bench, report: Report, clock: Clock) -> None:
    """What an arithmetic costs in quality: PSNR and distance of log spectra to the clean faces."""
    add = report.open_table(
        "precisions",
        ["faces up to", "strength", "arithmetic", "PSNR, dB", "spectrum", "from float32: mean, of 255", "99 %"],
    )
    for size in bench.scale.sizes:
        clean = clean_faces(bench, size)
        for strength in bench.scale.strengths:
            if clock.over:
                break
            reference = None
            crops = degraded_crops(clean, strength, up_to(bench.pipeline, size))
            for name in ("float32", "float32, TF32 convolutions", "bfloat16"):
                dtype, convolutions, products = ARITHMETIC[name]
                with tf32(convolutions, products):
                    used = with_dtype(bench.pipeline, dtype)
                    faces = _restored(used, up_to(used, size), crops)[0]
                targets = [reduced(face.image, size) for face in clean]
                pairs = list(zip(faces, targets, strict=True))
                reference = faces if reference is None else reference
                apart = 255 * np.abs(faces - reference)
                add(
                    [
                        size,
                        strength,
                        name,
                        float(np.mean([psnr(a, b) for a, b in pairs])),
                        float(np.mean([log_spectrum_distance(a, b) for a, b in pairs])),
                        float(apart.mean()),
                        float(np.quantile(apart, 0.99)),
                    ]
                )
    report.end_table()


def _restored(pipeline: FacePipeline, stages: Sequence[Any], crops: Sequence[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Faces (B, R, R, 3), and the first stage's levels (B,)."""
    own = [crop.to(pipeline.device) for crop in crops]
    keys = [NoiseKey(0, number) for number in range(len(own[0]))]
    level = stages[0].estimate_levels(stages[0].regress(own[0]))[0].double().cpu().numpy()
    return to_array(pipeline.restore_crops(stages, own, keys).faces), level


def _on_cpu(found: Any) -> list[np.ndarray]:
    if isinstance(found, Motion):
        return _on_cpu([found.flow.float(), found.weight.float()])
    if isinstance(found, (list, tuple)):
        return [array for one in found for array in _on_cpu(one)]
    return [found.float().cpu().numpy() if isinstance(found, Tensor) else np.asarray(found, np.float32)]


def _parts(bench: Bench) -> dict[str, Callable[[torch.device, FacePipeline], Any]]:
    generator = torch.Generator().manual_seed(0)
    size, count = min(bench.scale.sizes), 4
    crops = degraded_crops(
        clean_faces(replace(bench, scale=replace(bench.scale, faces=2)), size), "mild", [bench.pipeline.stages[0]]
    )[0]
    drift = [torch.roll(crops, k + 1, dims=3) for k in range(count)]
    neighbours = torch.stack(drift, dim=1)
    grid = 64
    motions = Motion(
        (torch.randn(len(crops), count, 2, grid, grid, generator=generator) * 0.01).half(),
        torch.rand(len(crops), count, 1, grid, grid, generator=generator).half(),
    )
    flow = motions[:, 0].flow_at(size)
    inside = torch.ones(len(crops), 1, size, size)
    inside[..., : size // 4] = 0
    grey = torch.rand(len(crops), 1, size, size, generator=generator)
    level = torch.full((len(crops),), 1.5)

    def moved(device: torch.device) -> Motion:
        return Motion(motions.flow.to(device), motions.weight.to(device))

    def spotted(device: torch.device) -> Tensor:
        marked = crops.clone()
        marked[:, :, size // 3 : size // 3 + 4, size // 2 : size // 2 + 4] = 1
        still = Motion(torch.zeros_like(motions.flow), torch.ones_like(motions.weight))
        around = crops[:, None].expand(-1, count, -1, -1, -1).contiguous()
        found, others = find_damage(None, marked.to(device)), around.to(device)
        near = NearFrames(
            FoundDamage(others, torch.zeros_like(others[:, :, :1]), others),
            Motion(still.flow.to(device), still.weight.to(device)),
            torch.arange(count, device=device).expand(len(crops), -1) < count // 2,
            torch.eye(2, 3, device=device).expand(len(crops), count, -1, -1),
        )
        return remove_damage(found, near, torch.zeros(len(crops))).repaired

    def guidance(device: torch.device) -> Tensor:
        own = crops.to(device)
        levels, weights = level[None].to(device), torch.ones(1, len(crops), device=device)
        return closed_form_guidance(own, guide_spectra(own[None]), levels, weights, torch.full_like(levels[0], 0.1))

    def sampled(device: torch.device, pipeline: FacePipeline, **changes: Any) -> Tensor:
        stage = pipeline.with_settings(**changes).stages[0]
        levels = np.full(len(crops), 2 / 128)
        keys = [NoiseKey(0, number, correlation=0.5) for number in range(len(crops))]
        return stage.sample(crops.to(device), levels, stage.starting_steps(levels), keys).faces

    def masked_video(device: torch.device, pipeline: FacePipeline) -> list[np.ndarray]:
        return _odd_block(pipeline)

    return {
        "area reduction": lambda d, _: reduce_area(crops.to(d), 48),
        "enlargement": lambda d, _: enlarge(crops.to(d), 2 * size),
        "Gaussian blur": lambda d, _: gaussian_blur(crops.to(d), 2.0, border="reflect"),
        "box blur": lambda d, _: box_blur(crops.to(d), 3),
        "bicubic warp (CPU: 1/32 pixel)": lambda d, _: warp(crops.to(d), flow.to(d)),
        "light": lambda d, _: match_light(crops.to(d), 0.5 * drift[0].to(d), inside.to(d)),
        "colour, one face grey": lambda d, _: apply_colour(
            crops.to(d), match_colour(crops.to(d), drift[0].to(d), [True, False], inside.to(d))
        ),
        "inverse search": lambda d, _: inverse_search(
            (255 * grey).to(torch.uint8).to(d), (255 * torch.roll(grey, 1, dims=3)).to(torch.uint8).to(d)
        ),
        "motion with masks (CPU: DIS)": lambda d, _: neighbour_motions(
            crops.to(d),
            neighbours.to(d),
            middle_valid=inside.to(d),
            neighbours_valid=inside[:, None].expand(-1, count, -1, -1, -1).to(d),
        ),
        "window": lambda d, _: warp_neighbours(crops.to(d), neighbours.flatten(0, 1).to(d), every_pair(moved(d))),
        "temporal average": lambda d, _: temporal_average(
            torch.cat([crops, neighbours.flatten(0, 1)]).to(d), len(crops), every_pair(moved(d), len(crops)), 0.7
        ),
        "damage": lambda d, _: spotted(d),
        "closed form": lambda d, _: guidance(d),
        "Sobel map": lambda d, _: sobel_guidance_map(crops.to(d), crops.to(d), level.to(d), level.to(d)),
        "sampler": lambda d, p: sampled(d, p),
        "sampler, stochastic": lambda d, p: sampled(d, p, eta_scale=1.0),
        "sampler, three guides, Sobel map": lambda d, p: sampled(d, p, guide_count=3, guidance_map="sobel"),
        "sampler, no guidance": lambda d, p: sampled(d, p, guidance="none", guidance_map="none"),
        "sampler, gradient": lambda d, p: sampled(
            d, p, guidance="gradient", guide_count=1, guidance_map="none", level_rate=0.1, guidance_scale=1.0
        ),
        "FacePipeline of a picture": lambda d, p: p(np.moveaxis(crops[0].numpy(), 0, 2), seed=1),
        "video with masks, grey": masked_video,
    }


def _odd_block(pipeline: FacePipeline) -> list[np.ndarray]:
    """Two tracks of a video, one grey, one partly outside of the picture, restored by the first stage."""
    stages = pipeline.stages[:1]
    size, length = stages[0].resolution, 3
    inside = np.ones((size, size), np.float32)
    inside[:, : size // 4] = 0
    tracks = {
        0: replace(steady_track(stages, length, 0), grey=True),
        1: steady_track(stages, length, 1),
    }
    video = VideoPipeline(replace(pipeline, stages=stages), tracks, seed=0)
    for number in tracks:
        for at, crops in enumerate(moving_crops((size,), length)):
            video.add(FaceKey(number, at), crops, inside if number else None)
    return video.restore([FaceKey(number, 1) for number in tracks])
