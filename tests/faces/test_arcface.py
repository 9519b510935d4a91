from pathlib import Path

import numpy as np
import pytest
import torch
from facexlib.recognition.arcface_arch import Backbone
from skimage import data

from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS
from dynface_video.errors import ModelError
from dynface_video.faces.align import apply_transform, fit_similarity
from dynface_video.faces.arcface import SIDE, TEMPLATE, ArcFace, ArcFaceIdentifier, identity_crop

LANDMARKS = np.array(PHOTOGRAPH_LANDMARKS)


@pytest.fixture(scope="module")
def network() -> Backbone:
    torch.manual_seed(0)
    return Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se").eval()


@pytest.fixture(scope="module")
def arcface(network: Backbone, tmp_path_factory: pytest.TempPathFactory) -> ArcFace:
    path = tmp_path_factory.mktemp("weights") / "recognition_arcface_ir_se50.pth"
    torch.save({f"module.{name}": tensor for name, tensor in network.state_dict().items()}, path)
    return ArcFace.from_file(path)


def test_embeddings_have_length_one_and_are_facexlibs(arcface: ArcFace, network: Backbone):
    crops = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1
    embeddings = arcface.embed(crops)
    assert embeddings.shape == (2, 512)
    assert torch.allclose(embeddings.norm(dim=1), torch.ones(2), atol=1e-5)
    with torch.inference_mode():
        assert torch.allclose(embeddings, network(crops[:, [2, 1, 0]]), atol=1e-6)


def test_a_crop_holds_the_face_at_the_template():
    picture = data.astronaut()
    crop = identity_crop(picture, LANDMARKS)
    assert crop.shape == (3, SIDE, SIDE)
    assert -1 <= crop.min() < -0.5 < 0.5 < crop.max() <= 1
    placed = apply_transform(fit_similarity(LANDMARKS, TEMPLATE), LANDMARKS)
    assert np.abs(placed - TEMPLATE).max() < 4


def test_other_weights_are_refused(tmp_path: Path):
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match=r"other\.pth: not the weights of Backbone"):
        ArcFace.from_file(path)


class MeanColour:
    """An `IdentityModel` of three dimensions."""

    def embed(self, crops: torch.Tensor) -> torch.Tensor:
        assert crops.shape[1:] == (3, SIDE, SIDE)
        return torch.nn.functional.normalize(crops.mean(dim=(2, 3)) + 1, dim=1)


def test_an_identifier_gives_each_face_a_vector_of_length_one():
    picture = np.zeros((200, 400, 3), np.uint8)
    picture[:, :200, 0], picture[:, 200:, 2] = 255, 255
    left, right = TEMPLATE * 0.5 + np.array([50, 60]), TEMPLATE * 0.5 + np.array([250, 60])
    vectors = ArcFaceIdentifier(MeanColour()).embed(picture, [left, right])
    np.testing.assert_allclose(vectors, [[1, 0, 0], [0, 0, 1]], atol=1e-6)
    assert ArcFaceIdentifier(MeanColour()).embed(picture, []).shape == (0, 512)
