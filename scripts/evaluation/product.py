"""The whole product as a method: pictures in a folder go through `restore_video`, as from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np

from evaluation.faces import DegradedFace


@dataclass(frozen=True)
class Product:
    """Faces are detected, aligned, restored and pasted back by the product itself, each in a picture of its own.

    A face that the detector misses comes back as it was. Overheads of files and detection are in its time.

    largest_stage: side of the last stage; None leaves it to the preset and the device
    """

    preset: str
    device: str
    strength: float
    largest_stage: int | None = None
    setting: str = ""

    @property
    def name(self) -> str:
        """Name in tables."""
        return product_name(self.strength)

    def tuned(self, faces: Sequence[DegradedFace]) -> Product:
        """Nothing to choose."""
        return self

    def restore(self, faces: Sequence[DegradedFace]) -> tuple[np.ndarray, int]:
        """Restored faces, (B, R, R, 3) float32 in [0, 1], and the network evaluations spent on them."""
        from dynface_video.api import restore_video

        settings: dict[str, Any] = {"device": self.device, "strength": self.strength, "images": "stills"}
        if self.largest_stage is not None:
            settings["resolution"] = self.largest_stage
        with TemporaryDirectory() as folder:
            source, target = Path(folder, "degraded"), Path(folder, "restored")
            source.mkdir()
            for number, face in enumerate(faces):
                picture = np.rint(np.clip(face.image, 0, 1) * 255).astype(np.uint8)
                cv2.imwrite(str(source / _file(number)), picture[:, :, ::-1])
            result = restore_video(source, target, preset=self.preset, **settings)
            restored = [np.asarray(cv2.imread(str(target / _file(number)))) for number in range(len(faces))]
        return np.stack(restored)[..., ::-1].astype(np.float32) / 255, result.unet_evaluations


def product_name(strength: float) -> str:
    """Name in tables of the product at a strength."""
    return f"product {strength:g}"


def _file(number: int) -> str:
    return f"{number:04d}.png"
