"""Faces that are given one after the other share the engine's slots, and become what each becomes alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import Stage

SLOTS = 2
STEPS = np.array([900, 300, 900, 300, 900, 300])
LEVELS = np.full(len(STEPS), 3 / 128)
KEYS = [NoiseKey(0, number) for number in range(len(STEPS))]


@pytest.fixture(scope="module")
def stage() -> Stage:
    pipeline = FacePipeline.from_pretrained("mini", device="cpu")
    return pipeline.with_settings(batch_size=SLOTS, num_inference_steps=4).with_fixed_batches().stages[0]


@pytest.fixture(scope="module")
def estimates() -> torch.Tensor:
    return torch.rand(len(STEPS), 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_faces_are_those_of_one_call_whenever_they_are_given(stage: Stage, estimates: torch.Tensor) -> None:
    together = stage.sample(estimates, LEVELS, STEPS, KEYS)
    sampler, faces, added = stage.face_sampler(), [], []
    for rows in (slice(0, 1), slice(1, 4), slice(4, 6)):
        added.append(sampler.add(estimates[rows], LEVELS[rows], STEPS[rows], KEYS[rows]))
        faces += sampler.take(added[-1])
    assert [number for numbers in added for number in numbers] == list(range(len(STEPS)))
    assert torch.equal(torch.stack(faces), together.faces)
    assert sampler.evaluations == together.unet_evaluations == sum(4 if step > 500 else 2 for step in STEPS)


def test_slots_are_refilled_with_faces_that_are_taken_later(stage: Stage, estimates: torch.Tensor) -> None:
    sampler = stage.face_sampler()
    first = sampler.add(estimates[:3], LEVELS[:3], STEPS[:3], KEYS[:3])
    later = sampler.add(estimates[3:], LEVELS[3:], STEPS[3:], KEYS[3:])
    sampler.take(first)
    before = sampler.evaluations
    assert before > 4 + 2 + 4
    sampler.take(later)
    assert sampler._engine is not None
    # The two slots were full but for what is left of the last face.
    assert sampler._engine.calls <= sampler.evaluations / SLOTS + 2


def test_a_face_that_was_not_added_or_was_taken_is_an_error(stage: Stage, estimates: torch.Tensor) -> None:
    sampler = stage.face_sampler()
    with pytest.raises(KeyError):
        sampler.take([0])
    numbers = sampler.add(estimates[:1], LEVELS[:1], STEPS[:1], KEYS[:1])
    sampler.take(numbers)
    with pytest.raises(KeyError):
        sampler.take(numbers)


def test_nothing_is_loaded_before_a_face_is_taken(stage: Stage) -> None:
    assert stage.sampler is not None
    unusable = replace(stage, sampler=replace(stage.sampler, prior_source=None))  # type: ignore[arg-type]
    sampler = unusable.face_sampler()
    assert sampler.evaluations == 0 and sampler.take([]) == []
