"""RetinaFace with a ResNet-50 of random weights: the detector finds what facexlib's own code finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from facexlib.detection.retinaface import RetinaFace

from dynface_video.errors import ModelError
from dynface_video.faces.detection.retinaface import RetinaFaceDetector


@pytest.fixture(scope="module")
def theirs() -> RetinaFace:
    torch.manual_seed(0)
    network = RetinaFace(network_name="resnet50", device=torch.device("cpu")).requires_grad_(False)
    for head in (network.ClassHead, network.BboxHead, network.LandmarkHead):
        for parameter in head.parameters():
            # Boxes near their anchors, and scores that differ.
            parameter.mul_(0.02)
    return network


@pytest.fixture(scope="module")
def weights(theirs: RetinaFace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "detection_Resnet50_Final.pth"
    torch.save({f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}, path)
    return path


def test_it_finds_what_facexlib_finds(theirs: RetinaFace, weights: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (72, 104, 3), dtype=np.uint8)
    detector = RetinaFaceDetector.from_pretrained(weights, working_size=200, minimum_score=0.55)
    # Without suppression, in which facexlib counts a pixel more a side.
    detector.suppression = 1.0
    found = theirs.detect_faces(picture[..., ::-1].astype(np.float32), conf_threshold=0.55, nms_threshold=1.0)
    faces = detector.detect(picture)
    assert 1 < len(faces) == len(found) < 300
    for face, row in zip(faces, found, strict=True):
        # Corners at integers there, pixel centres here.
        np.testing.assert_allclose(face.box, row[:4] - 0.5, atol=0.02)
        assert face.score == pytest.approx(row[4], abs=1e-4)
        np.testing.assert_allclose(face.landmarks.ravel(), row[5:] - 0.5, atol=0.02)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    other = RetinaFace(network_name="mobile0.25", device=torch.device("cpu"))
    torch.save(other.state_dict(), tmp_path / "mobile.pth")
    with pytest.raises(ModelError, match=r"mobile\.pth: not the weights of RetinaFace"):
        RetinaFaceDetector.from_pretrained(tmp_path / "mobile.pth")
