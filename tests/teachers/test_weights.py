"""Missing and foreign weights are named."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dynface_video.errors import ModelError
from teachers.identity import FILE, load_identity
from teachers.weights import teacher_folder


def test_missing_weights_are_an_error_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"dlib_face_recognition\.safetensors.*DYNFACE_DATA"):
        load_identity(tmp_path)


def test_foreign_weights_are_an_error(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.zeros(128, 256)}, tmp_path / FILE)
    with pytest.raises(ModelError, match="not the weights of FaceRecognition"):
        load_identity(tmp_path)


def test_the_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DYNFACE_DATA", str(tmp_path))
    assert teacher_folder() == tmp_path / "teachers"
    assert teacher_folder(Path("elsewhere")) == Path("elsewhere/teachers")
