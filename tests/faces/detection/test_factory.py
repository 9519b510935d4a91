from pathlib import Path

import pytest

from dynface_video.config import DetectionSettings
from dynface_video.errors import ModelError
from dynface_video.faces.detection.confirmed import ConfirmedDetector
from dynface_video.faces.detection.detector import FaceLocator
from dynface_video.faces.detection.factory import make_detector
from dynface_video.faces.detection.retinaface import RetinaFaceDetector

EMBEDDED = Path(__file__).parents[3] / "dynface_video" / "models" / "mini"


def test_the_settings_choose_the_detector(tmp_path: Path, knowing: FaceLocator) -> None:
    assert isinstance(make_detector(DetectionSettings(), models=EMBEDDED, locator=knowing), ConfirmedDetector)
    with pytest.raises(ModelError):
        make_detector(DetectionSettings(detector="retinaface"), models=tmp_path, locator=knowing)
    missing = DetectionSettings(detector="yunet", yunet_model=tmp_path / "yunet.onnx")
    with pytest.raises(ModelError, match="no such file"):
        make_detector(missing, models=tmp_path, locator=knowing)


@pytest.mark.parametrize("name", ["yunet", "retinaface-r50"])
def test_a_public_detector_without_its_file_names_the_command(name: str, knowing: FaceLocator) -> None:
    with pytest.raises(ModelError, match=f"dynface-video models fetch {name}"):
        make_detector(DetectionSettings(detector=name), models=EMBEDDED, locator=knowing)


@pytest.mark.parametrize(("minimum_size", "found_from"), [(500.0, 18.0), (24.0, 18.0), (12.0, 9.0)])
def test_smaller_faces_than_are_restored_are_found_to_be_counted(
    minimum_size: float, found_from: float, knowing: FaceLocator, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, float] = {}
    monkeypatch.setattr(RetinaFaceDetector, "from_pretrained", lambda *folder, **options: given.update(options))
    make_detector(DetectionSettings(minimum_size=minimum_size), models=EMBEDDED, locator=knowing)
    assert given["minimum_size"] == found_from
