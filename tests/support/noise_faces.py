"""A training set of coloured clouds: three for training, one held out."""

from __future__ import annotations

import cv2
import numpy as np

from training.data import NATIVE, FaceSet


def noise_faces() -> FaceSet:
    noise = np.random.default_rng(0).standard_normal((4, NATIVE, NATIVE, 3)).astype(np.float32)
    pictures = np.stack([np.clip(128 + 900 * cv2.GaussianBlur(picture, (0, 0), 8), 0, 255) for picture in noise])
    corners = np.tile(np.array([[0, 0], [NATIVE, 0], [NATIVE, NATIVE], [0, NATIVE]], np.float32), (4, 1, 1))
    held_out = np.array([False, False, False, True])
    return FaceSet(
        pictures.astype(np.uint8), corners, np.zeros((4, 5, 2), np.float32), np.full(4, 20.0), np.full(4, 0.5), held_out
    )


def large_noise_faces() -> FaceSet:
    """The same enlarged to 512 pixels."""
    faces = noise_faces()
    images = np.stack([cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC) for image in faces.images])
    return FaceSet(images, faces.corners * 2, faces.landmarks, faces.detail, faces.scale, faces.held_out)
