"""What the landmark network learns from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dotted_faces import TEMPLATE, dotted_faces
from dynface_video.faces.detection.boxes import overlaps
from dynface_video.faces.landmarks import face_square
from training.film import drawn, fade, occlude, wear
from training.landmarks import (
    LandmarkTraining,
    Pool,
    area_under_curve,
    jitter_square,
    laplace_nll,
    miss_square,
)
from training.scenes import Scene, mistakes_of


@pytest.fixture(scope="module")
def component() -> LandmarkTraining:
    faces = dotted_faces(200)
    picture = faces.images[0]
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    scenes = [Scene(f"{i}", noise, np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32)) for i in range(40)]
    box = np.array([58, 60, 198, 230], np.float32)
    scenes += [Scene(f"f{i}", picture, box[None], TEMPLATE[None]) for i in range(40)]
    return LandmarkTraining(faces, scenes, [(0, np.array([10, 10, 60, 60], np.float32))])


def test_points_lie_on_the_features(component: LandmarkTraining) -> None:
    batch = component.batch(np.random.default_rng(1), 80, held_out=False)
    chosen = (batch["face"] > 0) & (batch["clean"] > 0)
    dark = []
    for crop, points in zip(batch["crop"][chosen], batch["points"][chosen], strict=True):
        pixels = ((points + 1) * 32 - 0.5).round().long()
        pixels = pixels[((pixels >= 0) & (pixels < 64)).all(dim=1)]
        dark += [float(crop[0, y, x]) for x, y in pixels]
    assert len(dark) > 40 and np.mean(np.array(dark) < 0) > 0.9


def test_batch_is_a_function_of_the_seed(component: LandmarkTraining) -> None:
    first, second = (component.batch(np.random.default_rng(5), 8, held_out=True) for _ in range(2))
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert first["crop"].shape == (8, 3, 64, 64) and first["crop"].abs().max() <= 1


def test_a_few_steps_lower_the_loss(component: LandmarkTraining) -> None:
    torch.manual_seed(0)
    model, batch = component.build(), component.batch(np.random.default_rng(2), 24, held_out=False)
    optimizer, losses = torch.optim.AdamW(model.parameters(), lr=3e-3), []
    for _ in range(12):
        loss = component.loss(model, batch, torch.Generator())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1
    with torch.no_grad():
        scores = component.validate(model.eval(), batch, torch.Generator())
    assert 0 <= scores["auc"] <= 1 and 0 <= scores["within"] <= 1


def test_jitter_stays_a_face_and_a_miss_does_not() -> None:
    square, rng = face_square(TEMPLATE.astype(np.float64)), np.random.default_rng(0)

    def box(s):
        return np.concatenate([s.centre - s.side / 2, s.centre + s.side / 2])[None]

    near = [overlaps(box(jitter_square(square, rng)), box(square)).item() for _ in range(200)]
    far = [overlaps(box(miss_square(square, rng)), box(square)).item() for _ in range(200)]
    assert min(near) > 0.28 and max(far) < 0.3


def test_the_likeliest_deviation_is_the_true_one() -> None:
    rng = np.random.default_rng(0)
    # A round Laplace distribution in the plane: r is Gamma(2, b); the deviation of a coordinate is sqrt(3) b.
    distance = torch.from_numpy(rng.gamma(2.0, 0.1, 20000))
    grid = torch.linspace(-3, 0, 61)
    losses = [float(laplace_nll(distance.square(), g.expand(20000)).mean()) for g in grid]
    assert float(grid[int(np.argmin(losses))]) == pytest.approx(np.log(np.sqrt(3) * 0.1), abs=0.06)


def test_area_under_curve() -> None:
    assert area_under_curve(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0])) == 1.0
    assert area_under_curve(torch.tensor([0.0]), torch.tensor([0.0])) == 0.5


def test_film_keeps_shape_and_range() -> None:
    picture = np.random.default_rng(0).random((40, 40, 3)).astype(np.float32)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        for out in (fade(picture, rng), wear(picture, rng), occlude(picture, picture[::-1], rng)):
            assert out.shape == picture.shape and out.dtype == np.float32
            assert out.min() >= 0 and out.max() <= 1


def test_what_is_in_front_leaves_more_than_half_to_be_seen() -> None:
    picture, shares = np.zeros((64, 64, 3), np.float32), []
    for seed in range(200):
        shares.append(float(occlude(picture, np.ones_like(picture), np.random.default_rng(seed)).mean()))
    assert max(shares) < 0.5 and np.mean(np.array(shares) > 0.2) > 0.2


def test_a_drawn_face_has_two_tones_on_a_plain_ground() -> None:
    ramp = np.repeat(np.linspace(0, 255, 64).astype(np.uint8)[None, :, None], 64, axis=0).repeat(3, axis=2)
    plain = np.full((64, 64, 3), 120, np.uint8)
    for seed in range(20):
        out = drawn(ramp, plain, np.random.default_rng(seed))
        assert out.shape == ramp.shape and out.dtype == np.uint8
        levels = np.bincount(out[..., 0].ravel(), minlength=256)
        assert np.sort(levels)[-2:].sum() > 0.85 * levels.sum()


def test_turned_faces_are_drawn_more_often() -> None:
    turned = TEMPLATE.copy()
    turned[2, 0] += 40
    pool, rng = Pool(np.array([3, 5]), np.stack([TEMPLATE] * 5 + [turned])), np.random.default_rng(0)
    counts = np.bincount([pool.draw(rng) for _ in range(2000)], minlength=6)
    assert counts[[3, 5]].sum() == 2000 and counts[5] > 2 * counts[3]


def test_mistakes_are_what_is_proposed_where_no_face_is(tmp_path: Path) -> None:
    picture, box = np.zeros((90, 120, 3), np.uint8), np.array([20, 20, 60, 70], np.float32)
    scenes = [Scene("a", picture, box[None], TEMPLATE[None]), Scene("b", picture, np.zeros((0, 4)), TEMPLATE[:0])]
    asked = []

    def propose(picture: np.ndarray) -> np.ndarray:
        asked.append(picture)
        return np.array([[22, 22, 60, 70], [80, 10, 110, 40]], np.float32)

    found = mistakes_of(propose, scenes, tmp_path / "cache" / "mistakes.json")
    assert [(place, [*mistake]) for place, mistake in found] == [
        (0, [80, 10, 110, 40]),
        (1, [22, 22, 60, 70]),
        (1, [80, 10, 110, 40]),
    ]
    # What is kept is read again, also where other scenes come before.
    again = mistakes_of(propose, scenes[1:], tmp_path / "cache" / "mistakes.json")
    assert [place for place, _ in again] == [0, 0] and len(asked) == 2
