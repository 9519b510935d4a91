import os
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from dynface_video.cli.demo_clip import PHOTOGRAPH_LANDMARKS
from dynface_video.errors import ModelError
from dynface_video.faces.detection.yunet import YuNetDetector

TRUTH = np.array(PHOTOGRAPH_LANDMARKS)
YUNET = Path(os.environ.get("DYNFACE_DATA", Path(__file__).parents[4] / "shared" / "data")).joinpath(
    "detectors", "yunet_n_640_640.onnx"
)
needs_yunet = pytest.mark.skipif(not YUNET.is_file(), reason=f"{YUNET} is absent: set DYNFACE_DATA")


@needs_yunet
@pytest.mark.parametrize("working_size", [256, 512])
def test_yunet_finds_the_face_of_the_photograph(working_size: int) -> None:
    (face,) = YuNetDetector(YUNET, working_size=working_size).detect(astronaut())
    assert face.score > 0.8
    np.testing.assert_allclose(face.landmarks, TRUTH, atol=3)
    assert YuNetDetector(YUNET, minimum_size=200).detect(astronaut()) == []


@needs_yunet
def test_yunet_finds_no_face_where_there_is_none() -> None:
    assert YuNetDetector(YUNET).detect(np.zeros((100, 100, 3), np.uint8)) == []


def test_a_missing_or_broken_yunet_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        YuNetDetector(tmp_path / "yunet.onnx")
    (tmp_path / "yunet.onnx").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot read it"):
        YuNetDetector(tmp_path / "yunet.onnx")
