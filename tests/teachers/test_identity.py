"""dlib's face recognition network against the embeddings that its weights come with."""

import pytest
import torch

from teachers.identity import FILE, FaceRecognition, face_chips, identity_distance, load_identity
from teachers.weights import teacher_folder

# Test input and reference values: README.md of the teachers' folder.
EMBEDDINGS = {
    0: ([-0.07838, 0.09844, 0.05356, -0.04946, -0.02843, -0.07524, -0.03016, 0.00136], 1.29542),
    1: ([-0.07245, 0.09130, 0.04398, -0.01932, -0.02055, -0.08686, -0.04702, 0.02681], 1.26775),
    2: ([-0.09051, 0.10835, 0.04398, -0.01013, -0.07203, -0.07532, -0.04484, 0.00764], 1.28072),
}


def waves(k: int, size: int) -> torch.Tensor:
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    channels = [column * (c + 1) + row * (3 - c) for c in range(3)]
    return (127.5 + 127.5 * torch.sin(2 * torch.pi * (k + 1) * torch.stack(channels) / size))[None]


@pytest.fixture(scope="module")
def network() -> FaceRecognition:
    if not (teacher_folder() / FILE).is_file():
        pytest.skip(f"no {FILE} in {teacher_folder()}: set DYNFACE_DATA")
    return load_identity(teacher_folder())


@pytest.mark.parametrize("k", EMBEDDINGS)
def test_embeddings_are_those_of_dlib(network: FaceRecognition, k: int) -> None:
    embedding = network(waves(k, 150))[0]
    first, norm = EMBEDDINGS[k]
    assert embedding[:8].tolist() == pytest.approx(first, abs=2e-4)
    assert float(embedding.norm()) == pytest.approx(norm, abs=2e-4)


def test_a_changed_face_is_further_away_and_pulls_gradients(network: FaceRecognition) -> None:
    face = waves(0, 256) / 127.5 - 1
    moved = face.roll(20, dims=3).requires_grad_()
    same, changed = identity_distance(network, face, face), identity_distance(network, moved, face)
    changed.sum().backward()
    assert float(same) == pytest.approx(1e-4) and float(changed.detach()) > 0.01
    assert moved.grad is not None and float(moved.grad.abs().sum()) > 0


@pytest.mark.parametrize("size", [128, 256, 512])
def test_chips_show_the_same_part_at_every_resolution(size: int) -> None:
    ramp = (torch.arange(size) + 0.5) / size * 2 - 1
    chip = face_chips(ramp.expand(1, 3, size, size))
    # In a crop of 512 pixels the square spans columns 84 to 433.
    assert chip.shape == (1, 3, 150, 150)
    assert float(chip[..., 0].mean()) / 255 == pytest.approx((84 + 349 / 300) / 512, abs=0.004)
    assert float(chip[..., -1].mean()) / 255 == pytest.approx((433 - 349 / 300) / 512, abs=0.004)
