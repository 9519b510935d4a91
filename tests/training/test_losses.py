"""What the losses of restored faces count and what they do not."""

import pytest
import torch

from teachers.identity import FaceRecognition
from teachers.perceptual import EfficientNetLite0
from training.losses import FaceLosses, LossWeights, blurred_l1, colour_l1, inside_picture


@pytest.fixture(scope="module")
def losses() -> FaceLosses:
    torch.manual_seed(0)
    return FaceLosses(EfficientNetLite0().eval(), FaceRecognition().eval())


def face(seed: int) -> torch.Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_equal_faces_cost_nothing_and_others_pull_gradients(losses: FaceLosses) -> None:
    assert float(losses.reconstruction(face(0), face(0)).detach()) == pytest.approx(0, abs=1e-6)
    restored = face(1).requires_grad_()
    (losses.reconstruction(restored, face(0)) + losses.same_person(restored, face(0))).backward()
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
    assert float(losses.same_person(face(0), face(1)).detach()) == 0
