"""Clips of simulated motion, their damage, and the fusion that learns from them."""

from __future__ import annotations

import numpy as np
import torch

from dynface_video.models.restoration import RestorationModel
from noise_faces import noise_faces
from training.clips import degrade_clip, motion, sample_clip
from training.degradation import Degradation, codec_clip
from training.restoration import RADIUS, WindowTraining, some_neighbours

SIZE, COUNT = 32, 2 * RADIUS + 1
BAD = Degradation(blur_x=4, blur_y=4, angle=0, downscale=6, noise=10, jpeg=60)


def test_some_clips_move_and_some_are_held_still() -> None:
    fields = [motion(np.random.default_rng(seed), COUNT, SIZE) for seed in range(24)]
    travel = np.array([np.abs(np.diff(field, axis=0)).mean() for field in fields])
    assert 0 < np.count_nonzero(travel == 0) < 12
    assert np.median(travel) > 0.05
    assert all(np.isfinite(field).all() and field.shape == (COUNT, SIZE, SIZE, 2) for field in fields)


def test_a_clip_is_one_face_under_one_light() -> None:
    for seed in range(4):
        clip, mask = sample_clip(noise_faces(), 1, SIZE, COUNT, np.random.default_rng(seed))
        assert clip.shape == (COUNT, SIZE, SIZE, 3) and mask.shape == (SIZE, SIZE)
        assert clip.dtype == np.float32 and clip.min() >= 0 and clip.max() <= 1
        assert np.ptp(clip.mean(axis=(1, 2)), axis=0).max() < 0.1


def test_a_still_clip_gets_fresh_noise_in_each_frame() -> None:
    clip = np.repeat(sample_clip(noise_faces(), 0, SIZE, 1, np.random.default_rng(0))[0], COUNT, axis=0)
    degraded = degrade_clip(clip, BAD, np.random.default_rng(1))
    assert degraded.shape == clip.shape
    assert degraded.std(axis=0).mean() > 0.005
    mean = degraded.mean(axis=0)
    assert np.abs(mean - clip[0]).mean() < np.abs(degraded[0] - clip[0]).mean()


def test_a_codec_predicts_from_frame_to_frame() -> None:
    still = np.repeat(noise_faces().images[:1, :48, :64], 4, axis=0)
    coded = codec_clip(still, "libx264", 34)
    assert coded.shape == still.shape
    assert np.abs(coded[3].astype(int) - coded[2]).mean() < np.abs(coded[3].astype(int) - still[3]).mean()


def test_neighbours_are_chosen_in_every_way() -> None:
    rng = np.random.default_rng(0)
    counts = {int(some_neighbours(rng).sum()) for _ in range(200)}
    assert counts == set(range(1, 2 * RADIUS + 1))


def test_the_window_network_begins_as_the_single_one_and_learns() -> None:
    torch.manual_seed(0)
    single = RestorationModel(resolution=SIZE, channels=(8, 16), blocks=(1, 1))
    training = WindowTraining(noise_faces(), single, fusion=4)
    model = training.build()
    batch = training.windows(np.random.default_rng(0), 4, held_out=False)
    assert torch.equal(model(batch["degraded"]), single(batch["degraded"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss = training.loss(model, batch, torch.Generator())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.05
    scores = training.validate(model, training.batch(np.random.default_rng(1), 3, held_out=True), torch.Generator())
    assert {"psnr_mild", "gain_medium", "gain_severe"} <= set(scores)


def test_half_of_the_training_is_of_single_crops_and_none_of_the_validation() -> None:
    training = WindowTraining(
        noise_faces(), RestorationModel(resolution=SIZE, channels=(8, 16), blocks=(1, 1)), fusion=4
    )
    model = training.build()
    batches = [training.batch(np.random.default_rng(seed), 2, held_out=False) for seed in range(12)]
    assert {"neighbours" in batch for batch in batches} == {True, False}
    assert all(bool(torch.isfinite(training.loss(model, batch, torch.Generator()))) for batch in batches)
    assert all("neighbours" in training.batch(np.random.default_rng(seed), 1, held_out=True) for seed in range(6))
