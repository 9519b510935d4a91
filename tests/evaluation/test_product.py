from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from evaluated_faces import picture
from evaluation import product
from evaluation.faces import CleanFace, degrade_faces
from evaluation.product import Product


def test_pictures_without_a_face_come_back_as_they_went_in() -> None:
    faces = degrade_faces([CleanFace(f"{k}.png", picture(k, 128)) for k in range(2)], "mild")
    restored, evaluations = Product("mini", "cpu", 0.6, largest_stage=128).restore(faces)
    assert evaluations == 0 and restored.dtype == np.float32
    np.testing.assert_allclose(restored, np.stack([face.image for face in faces]), atol=0.51 / 255)


def test_settings_and_order_reach_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def restore_video(source: Path, target: Path, **settings: object) -> object:
        target.mkdir()
        for path in source.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
        seen.update(settings)
        return type("Result", (), {"unet_evaluations": 7})()

    monkeypatch.setattr("dynface_video.api.restore_video", restore_video)
    faces = degrade_faces([CleanFace(f"{k}.png", picture(k, 64)) for k in range(12)], "mild")
    method = Product("mini", "cpu", 1.0, largest_stage=256)
    restored, evaluations = method.restore(faces)
    assert method.name == product.product_name(1.0) == "product 1"
    assert evaluations == 7
    expected = {"preset": "mini", "device": "cpu", "strength": 1.0, "images": "stills", "resolution": 256}
    assert seen == expected
    np.testing.assert_allclose(restored, np.stack([face.image for face in faces]), atol=0.51 / 255)
