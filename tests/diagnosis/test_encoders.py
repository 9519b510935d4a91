from __future__ import annotations

import os

import pytest

from dynface_video.diagnosis import encoders
from dynface_video.diagnosis.encoders import working_encoders


def test_encoders_are_tried_with_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "TRIED", ("libx264", "ffv1", "libsvtav1", "h264_imaginary"))
    assert working_encoders() == {
        "libx264": "",
        "ffv1": "",
        "libsvtav1": "",
        "h264_imaginary": "not part of PyAV's FFmpeg",
    }


def test_an_encoder_that_cannot_be_started_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "TRIED", ("libx264",))
    monkeypatch.setattr(encoders, "SIDE", 15)
    assert working_encoders()["libx264"].startswith("cannot be started (")


def test_the_environment_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "TRIED", ())
    monkeypatch.delenv("SVT_LOG", raising=False)
    working_encoders()
    assert "SVT_LOG" not in os.environ
    monkeypatch.setenv("SVT_LOG", "3")
    working_encoders()
    assert os.environ["SVT_LOG"] == "3"
