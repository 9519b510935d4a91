"""What the losses of restored faces count and what they do not."""

import pytest
import torch

from teachers.identity import SQUARE, FaceRecognition, identity_distance, shaken_square
from teachers.perceptual import EfficientNetLite0
from training.losses import (
    FaceLosses,
    LossWeights,
    blurred_l1,
    checkerboard_l1,
    colour_l1,
    inside_picture,
    scores_by_strength,
)


@pytest.fixture(scope="module")
def losses() -> FaceLosses:
    torch.manual_seed(0)
    return FaceLosses(EfficientNetLite0().eval(), FaceRecognition().eval())


def face(seed: int) -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_equal_faces_cost_nothing_and_others_pull_gradients(losses: FaceLosses) -> None:
    assert float(losses.reconstruction(face(0), face(0)).detach()) == pytest.approx(0, abs=1e-6)
    restored = face(1).requires_grad_()
    (losses.reconstruction(restored, face(0)) + losses.same_person(restored, face(0), torch.Generator())).backward()
    assert restored.grad is not None and float(restored.grad.abs().sum()) > 0


def test_nothing_outside_the_picture_counts(losses: FaceLosses) -> None:
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., :32] = 1
    clean, restored = face(0), face(0)
    restored[..., 32:] = 0.5
    assert float(losses.reconstruction(inside_picture(restored, clean, mask), clean)) == pytest.approx(0, abs=1e-6)
    assert float(losses.reconstruction(restored, clean)) > 0.1


def test_the_pixel_loss_sees_blobs_and_hardly_single_pixels() -> None:
    flat = torch.zeros(1, 3, 64, 64)
    checkered = flat.clone()
    checkered[..., ::2, ::2], checkered[..., 1::2, 1::2] = 0.2, 0.2
    assert blurred_l1(flat + 0.1, flat, 0.8) == pytest.approx(0.1, abs=1e-4)
    assert blurred_l1(checkered - 0.1, flat, 0.8) < 0.01


def test_a_tint_costs_more_than_the_same_change_of_light() -> None:
    flat = torch.zeros(1, 3, 32, 32)
    lighter, tinted = flat + 0.1, flat.clone()
    tinted[:, 0], tinted[:, 2] = 0.15, -0.15
    assert colour_l1(lighter, flat) == pytest.approx(0.1, abs=1e-4)
    assert colour_l1(tinted, flat) > 0.15


def test_weights_of_zero_leave_a_part_out() -> None:
    losses = FaceLosses(
        EfficientNetLite0().eval(), FaceRecognition().eval(), LossWeights(pixel=0, colour=0, perceptual=0, identity=0)
    )
    assert float(losses.reconstruction(face(0), face(1)).detach()) == 0
    assert float(losses.same_person(face(0), face(1), torch.Generator()).detach()) == 0


def test_the_identity_loss_looks_from_a_little_elsewhere_each_time_and_at_both_faces_alike(losses: FaceLosses) -> None:
    generator = torch.Generator().manual_seed(0)
    squares = [shaken_square(generator) for _ in range(50)]
    for left, top, side in squares:
        assert left >= 0 and top >= 0 and left + side <= 512 and top + side <= 512
        assert abs(left + side / 2 - SQUARE[0] - SQUARE[2] / 2) <= 0.05 * SQUARE[2] + 1e-6
    assert len(set(squares)) == len(squares)
    generator.manual_seed(1)
    first = float(losses.same_person(face(0), face(1), generator).detach())
    assert float(losses.same_person(face(0), face(1), generator).detach()) != first
    assert float(losses.same_person(face(0), face(0), generator).detach()) == pytest.approx(0, abs=1e-6)
    assert float(identity_distance(losses.identity, face(0), face(0), squares[0])[0].detach()) == pytest.approx(1e-4)


def test_scores_go_to_the_strength_whose_turn_it_is(losses: FaceLosses) -> None:
    clean = torch.cat([face(0), face(1), face(2)])
    restored = clean.clone()
    restored[1::3] = -restored[1::3]  # the medium ones
    found = scores_by_strength(restored, clean, losses)
    assert found["perceptual_mild"] == found["perceptual_severe"] == pytest.approx(0, abs=1e-6)
    assert found["perceptual_medium"] > 10 * found["perceptual_mild"] and found["psnr_medium"] < 10 < found["psnr_mild"]


@pytest.mark.parametrize("period", [2, 4, 8])
def test_a_weave_counts_and_noise_of_the_same_strength_hardly(period: int) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(2, 3, 128, 128)
    tile = torch.randn(1, 3, period, period, generator=generator)
    weave = tile.repeat(2, 1, 128 // period, 128 // period)
    weave = weave - weave.mean(dim=(2, 3), keepdim=True)
    noise = torch.randn(2, 3, 128, 128, generator=generator)
    assert checkerboard_l1(clean + 0.01 * weave, clean) > 0.5 * float(0.01 * weave.abs().mean())
    assert checkerboard_l1(clean + 0.01 * noise, clean) < 0.1 * float(0.01 * noise.abs().mean())
    ramp = torch.linspace(-1, 1, 128).expand(2, 3, 128, 128)
    assert checkerboard_l1(clean + ramp, clean) < 2e-3
