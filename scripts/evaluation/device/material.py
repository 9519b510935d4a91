"""Faces, videos and stages to measure with, made up where no data is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.face_records import FaceKey
from dynface_video.faces.align import extract_crop, scaling, template
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.registry import model_folder
from dynface_video.models.unet_prior import UNetPrior
from dynface_video.pipeline import FacePipeline, to_tensor
from dynface_video.stage import Sampler, Stage, StageConfig
from dynface_video.tracking.observation import FaceTrack
from dynface_video.video_pipeline import VideoPipeline, reach
from evaluation.device.scale import Bench
from evaluation.faces import CleanFace, degrade_faces, load_clean_faces

LEVEL = 1.5 / 128
"""Relative blur level of a video's faces: they are sampled, and averaged with the full weight."""
SPREAD = (0.08, 0.12, 0.16, 0.37, 0.75, 1.10, 1.75, 2.56, 3.15, 4.19)
"""Pixels of 128: quantiles 5 to 95 % of the levels that SE of `mini` reads at 128 pixels off 48 evaluation faces, each
at the three strengths of `evaluation.faces`."""
EVALUATIONS = 4


def clean_faces(bench: Bench, size: int) -> list[CleanFace]:
    """Aligned faces of `size` pixels: real ones if the bench has a folder, else drawn ones."""
    if bench.faces is not None:
        return load_clean_faces(Path(bench.faces), size, limit=bench.scale.faces)
    return [CleanFace(str(number), drawn_face(size, number)) for number in range(bench.scale.faces)]


def drawn_face(size: int, number: int) -> np.ndarray:
    """A face of ellipses and fine texture where the template has its parts, (size, size, 3) float32 RGB in [0, 1]."""
    rng = np.random.default_rng(number)
    picture = np.full((size, size, 3), rng.uniform(0.15, 0.6, 3), np.float32)
    skin, dark = rng.uniform((0.5, 0.35, 0.25), (0.9, 0.7, 0.6)), rng.uniform(0.02, 0.25, 3)
    points = template(size)

    def ellipse(centre: np.ndarray, axes: tuple[float, float], colour: np.ndarray) -> None:
        sides = tuple(round(size * axis) for axis in axes)
        place = tuple(round(float(value)) for value in centre)
        cv2.ellipse(picture, place, sides, 0, 0, 360, colour.tolist(), -1, cv2.LINE_AA)

    ellipse(points.mean(axis=0), (0.32, 0.44), skin)
    for eye in points[:2]:
        ellipse(eye, (0.06, 0.03), np.full(3, 0.9))
        ellipse(eye, (0.025, 0.025), dark)
        ellipse(eye - (0, 0.07 * size), (0.07, 0.012), dark)
    ellipse(points[2], (0.04, 0.02), 0.85 * skin)
    ellipse(points[3:].mean(axis=0), (0.1, 0.03), skin * (0.9, 0.5, 0.5))
    texture = rng.normal(0, 0.03, (size, size, 1)).astype(np.float32)
    shade = 1 + 0.2 * np.linspace(-1, 1, size, dtype=np.float32)[None, :, None]
    return np.clip(cv2.GaussianBlur(picture, (0, 0), size / 400) * shade + texture, 0, 1).astype(np.float32)


def degraded_crops(faces: Sequence[CleanFace], strength: str, stages: Sequence[Stage]) -> list[Tensor]:
    """Degraded faces as each stage gets them, (B, 3, R, R) in [0, 1] on the CPU."""
    pictures = [face.image for face in degrade_faces(faces, strength)]
    return [to_tensor(np.stack([reduced(picture, stage.resolution) for picture in pictures])) for stage in stages]


def reduced(picture: np.ndarray, size: int) -> np.ndarray:
    """A square picture as a crop of `size` pixels."""
    side = picture.shape[0]
    return np.clip(extract_crop(picture, scaling(side, size), size), 0, 1)


def up_to(pipeline: FacePipeline, size: int) -> tuple[Stage, ...]:
    """The stages of a pipeline up to a resolution."""
    return tuple(stage for stage in pipeline.stages if stage.resolution <= size)


def steady_track(stages: Sequence[Stage], length: int, number: int = 0) -> AnalyzedTrack:
    """A face that is seen in `length` frames, at one level."""
    track = FaceTrack(
        number, 0, np.zeros((length, 5, 2), np.float32), np.ones(length, bool), np.ones(length, np.float32)
    )
    levels = np.stack([np.full(length, LEVEL if stage.sampler else 0.0) for stage in stages])
    steps = [
        stage.starting_steps(level) if stage.sampler else np.zeros(length, np.int64)
        for stage, level in zip(stages, levels, strict=True)
    ]
    return AnalyzedTrack(track, levels, np.stack(steps), grey=False, noise=number)


@lru_cache(maxsize=4)
def moving_crops(sides: tuple[int, ...], length: int) -> list[list[np.ndarray]]:
    """A drawn face that moves by a pixel of 128 a frame, with noise of its own in each.

    Args:
        sides: Of the crops, rising.
        length: Frames.

    Returns:
        For each frame its crops, (side, side, 3) float32 in [0, 1].
    """
    face = drawn_face(sides[-1], 0)
    noise = np.random.default_rng(0).normal(0, 0.02, face.shape).astype(np.float32)
    frames = []
    for at in range(length):
        moved = np.roll(face, at * max(1, sides[-1] // 128), axis=1) + np.roll(noise, 37 * at, axis=0)
        crop = np.clip(moved, 0, 1)
        frames.append([cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA) for side in sides])
    return frames


def blocks_of_video(
    pipeline: FacePipeline, stages: Sequence[Stage], *, people: int, block: int, count: int
) -> Iterator[Callable[[], list[np.ndarray]]]:
    """The blocks of a video, in order: each call restores `people * block` faces, whose crops are on the device.

    Args:
        pipeline: Of the stages.
        stages: That all faces go through.
        people: Faces in each frame.
        block: Frames.
        count: Blocks.
    """
    far = reach(stages)
    length = 2 * far + count * block
    own = replace(pipeline, stages=tuple(stages)).with_fixed_batches()
    tracks = {number: steady_track(stages, length, number) for number in range(people)}
    video = VideoPipeline(own, tracks, seed=0)
    for number in range(people):
        for at, crops in enumerate(moving_crops(tuple(stage.resolution for stage in stages), length)):
            video.add(FaceKey(number, at), crops)
    for first in range(far, far + count * block, block):
        wanted = [FaceKey(number, at) for at in range(first, first + block) for number in range(people)]
        yield lambda wanted=wanted: video.restore(wanted)  # type: ignore[misc]
        video.discard(dict.fromkeys(tracks, first + block))


def prior_stage(bench: Bench, dtype: torch.dtype, slots: int) -> Stage:
    """A stage with the paper's 512-pixel prior, random numbers for its weights; RM is that of the first stage.

    Every face gets `EVALUATIONS` evaluations.
    """
    prior = _random_prior(bench.device, tuple(bench.scale.prior.items()))
    size, first = prior.resolution, bench.pipeline.stages[0]
    table = replace(
        StartingStepTable.load(model_folder("ffhq512") / "starting_steps.json"),
        resolution=size,
        schedule=prior.schedule,
    )
    estimator = BlurLevelEstimator(resolution=size).to(bench.device).eval().requires_grad_(False)
    config = StageConfig(
        size, "", "", "", "", num_inference_steps=EVALUATIONS, reference_step=1, window_radius=0, temporal_radius=4
    )
    settings = first.settings.model_copy(update={"batch_size": slots, "guidance_map": "none"})
    return Stage(config, first.restoration, Sampler(estimator, prior, table), settings, bench.device, dtype)


@lru_cache(maxsize=1)
def _random_prior(device: torch.device, config: tuple[tuple[str, Any], ...]) -> UNetPrior:
    torch.manual_seed(0)
    with torch.device(device):
        prior = UNetPrior(**dict(config))
    return prior.requires_grad_(False).to(device).eval()


def spread_levels(count: int) -> np.ndarray:
    """Relative levels with the quantiles of `SPREAD`, shuffled, (count,)."""
    places = (np.arange(count) + 0.5) / count
    levels = np.interp(places, np.linspace(0.05, 0.95, len(SPREAD)), np.array(SPREAD) / 128)
    return np.random.default_rng(0).permutation(levels)
