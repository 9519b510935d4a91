"""YuNet (libfacedetection) by OpenCV's own reader."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from dynface_video.errors import ModelError
from dynface_video.faces.detection.detector import Detection, shrink_to

LANDMARK_STD = 0.0125
"""Of this network's landmarks, as a share of the face's side."""


class YuNetDetector:
    """A `FaceDetector`.

    Args:
        path: YuNet's ONNX file.
        working_size: longest side in pixels that the network sees; larger pictures are shrunk.
        minimum_size: height in pixels of the picture below which a face is not reported.
        minimum_score: faces below are not reported.

    Raises:
        ModelError: the file is missing or cannot be read.
    """

    def __init__(
        self, path: Path, *, working_size: int = 640, minimum_size: float = 24, minimum_score: float = 0.5
    ) -> None:
        if not path.is_file():
            raise ModelError(
                f"{path}: no such file; check detection.yunet_model, or leave it out and run "
                "`dynface-video models fetch yunet`"
            )
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), minimum_score, 0.3, 1000)
        except cv2.error as error:
            raise ModelError(f"{path}: OpenCV cannot read it as a face detector: {error.err}") from error
        self._working_size, self._minimum_size = working_size, minimum_size
        self._lock = threading.Lock()

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB, best first."""
        small, scale = shrink_to(picture, self._working_size)
        with self._lock:
            self._network.setInputSize((small.shape[1], small.shape[0]))
            rows = self._network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        if rows is None:
            return []
        detections = [_from_yunet(row, scale) for row in np.asarray(rows, np.float64)]
        return [d for d in detections if d.box[3] - d.box[1] >= self._minimum_size]


def _from_yunet(row: np.ndarray, scale: float) -> Detection:
    # YuNet counts pixels from the picture's corner, and names eyes and mouth corners by the person's side.
    corners = np.concatenate([row[:2], row[:2] + row[2:4]])
    box = ((corners + 0.5) / scale - 0.5).astype(np.float32)
    landmarks = ((row[4:14].reshape(5, 2) + 0.5) / scale - 0.5).astype(np.float32)
    side = float(np.sqrt(np.prod(row[2:4]))) / scale
    return Detection(box, landmarks, np.full(5, LANDMARK_STD * side, np.float32), float(row[14]))
