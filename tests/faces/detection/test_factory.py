from pathlib import Path

import pytest

from dynface_video.config import DetectionSettings
from dynface_video.errors import ModelError
from dynface_video.faces.detection.confirmed import ConfirmedDetector
from dynface_video.faces.detection.detector import FaceLocator
from dynface_video.faces.detection.factory import make_detector

EMBEDDED = Path(__file__).parents[3] / "dynface_video" / "models" / "mini"


def test_the_settings_choose_the_detector(tmp_path: Path, knowing: FaceLocator) -> None:
    assert isinstance(make_detector(DetectionSettings(), models=EMBEDDED, locator=knowing), ConfirmedDetector)
    with pytest.raises(ModelError):
        make_detector(DetectionSettings(detector="retinaface"), models=tmp_path, locator=knowing)
    missing = DetectionSettings(detector="yunet", yunet_model=tmp_path / "yunet.onnx")
    with pytest.raises(ModelError, match="no such file"):
        make_detector(missing, models=tmp_path, locator=knowing)
