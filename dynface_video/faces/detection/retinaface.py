"""RetinaFace (Deng et al. 2019, arXiv 1905.00641): facexlib's network with our own loading, anchors and decoding.

The same path reads our embedded weights and the public ones that facexlib names: pictures are BGR less a mean, anchors
and variances are those of `Pytorch_Retinaface`. Nothing is downloaded and facexlib's own helpers are not called.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.errors import ModelError
from dynface_video.models.folder import load_folder
from dynface_video.models.fuse import fuse_batch_norm

if TYPE_CHECKING:
    from dynface_video.faces.detection.detector import Detection

MEAN_BGR = (104.0, 117.0, 123.0)
STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
NETWORKS = ("mobile0.25", "resnet50")
LANDMARK_ERROR = 0.03
"""Standard deviation of this network's landmarks as a share of the face's height: a by-product of the box."""


def build_retinaface(config: dict[str, Any]) -> nn.Module:
    """facexlib's network, untrained, in training phase: its class output is logits.

    config: `{"network": "mobile0.25" | "resnet50"}`; raises ModelError for another name. Called with (N, 3, H, W) it
    gives box offsets (N, A, 4), class logits (N, A, 2) and landmark offsets (N, A, 10) for the A anchors of
    `anchors(H, W)`.
    """
    name = config.get("network")
    if name not in NETWORKS:
        raise ModelError(f"RetinaFace network {name!r} is not known; known are {', '.join(NETWORKS)}")
    # Importing facexlib takes seconds (it pulls in Numba), so it waits until a network is wanted.
    from facexlib.detection.retinaface import RetinaFace

    return RetinaFace(network_name=name, phase="train", device=torch.device("cpu"))


def anchors(height: int, width: int) -> np.ndarray:
    """Anchor squares of a picture: (A, 3) float32, centre x, y and side in pixels, in the network's order.

    Centres follow the network's convention, pixel *corners* at integers: half a pixel more than elsewhere.
    """
    rows = []
    for stride, sides in zip(STRIDES, ANCHOR_SIDES, strict=True):
        y, x = np.mgrid[0 : -(-height // stride), 0 : -(-width // stride)].astype(np.float32)
        centres = np.stack([x.ravel() + 0.5, y.ravel() + 0.5], axis=1) * stride
        both = np.repeat(centres, len(sides), axis=0)
        rows.append(np.column_stack([both, np.tile(np.array(sides, np.float32), len(centres))]))
    return np.concatenate(rows).astype(np.float32)


def encode_boxes(boxes: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Offsets (n, 4) that stand for boxes (n, 4) x0, y0, x1, y1 on anchors (n, 3): what the network learns."""
    centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-3)
    side = squares[:, 2:]
    moved = (centre - squares[:, :2]) / (side * CENTRE_VARIANCE)
    return np.concatenate([moved, np.log(size / side) / SIZE_VARIANCE], axis=1)


def decode_boxes(offsets: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Inverse of `encode_boxes`."""
    side = squares[:, 2:]
    centre = squares[:, :2] + offsets[:, :2] * CENTRE_VARIANCE * side
    half = side * np.exp(np.clip(offsets[:, 2:] * SIZE_VARIANCE, -6, 6)) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def encode_landmarks(points: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Offsets (n, 10) that stand for points (n, 5, 2) on anchors (n, 3)."""
    moved = (points - squares[:, None, :2]) / (squares[:, None, 2:] * CENTRE_VARIANCE)
    return moved.reshape(len(points), 10)


def decode_landmarks(offsets: np.ndarray, squares: np.ndarray) -> np.ndarray:
    """Inverse of `encode_landmarks`: (n, 5, 2)."""
    return squares[:, None, :2] + offsets.reshape(-1, 5, 2) * CENTRE_VARIANCE * squares[:, None, 2:]


def network_input(pictures: np.ndarray) -> Tensor:
    """Pictures (N, H, W, 3) uint8 RGB to what RetinaFace was trained on: (N, 3, H, W) float32 BGR less the mean."""
    return torch.from_numpy(pictures[..., ::-1].astype(np.float32) - np.array(MEAN_BGR, np.float32)).permute(0, 3, 1, 2)


@dataclass
class RetinaFaceDetector:
    """Finds faces in pictures; see `FaceDetector` in `faces.detect`.

    working_size:  longest side in pixels that the network sees; larger pictures are shrunk, smaller ones are left
    minimum_score: faces below are not reported
    minimum_size:  height in pixels of the picture below which a face is not reported
    suppression:   overlap above which the weaker of two boxes is dropped
    """

    network: nn.Module
    device: torch.device
    working_size: int = 640
    minimum_score: float = 0.5
    minimum_size: float = 0.0
    suppression: float = 0.4

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        device: torch.device | str = "cpu",
        *,
        working_size: int = 640,
        minimum_score: float = 0.5,
        minimum_size: float = 0.0,
    ) -> RetinaFaceDetector:
        """Load what `scripts/train.py detector` exported; raises ModelError as `load_folder` does."""
        network = fuse_batch_norm(load_folder(folder, build_retinaface, device)).to(memory_format=torch.channels_last)
        return cls(network, torch.device(device), working_size, minimum_score, minimum_size)

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """Faces in a picture (H, W, 3) uint8 RGB, best first."""
        return self.detect_batch([picture])[0]

    def propose(self, picture: np.ndarray) -> np.ndarray:
        """The boxes alone of the faces in a picture (H, W, 3) uint8 RGB, (N, 4) float32."""
        return np.array([face.box for face in self.detect(picture)], np.float32).reshape(-1, 4)

    def detect_batch(self, pictures: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Faces in pictures of one size, looked at together."""
        if not pictures:
            return []
        height, width = pictures[0].shape[:2]
        scale = min(1.0, self.working_size / max(height, width))
        seen = np.stack([_shrink(picture, scale) for picture in pictures])
        offsets, scores, points = self._forward(seen)
        squares = anchors(*seen.shape[1:3])
        ratio = np.array([width / seen.shape[2], height / seen.shape[1]], np.float32)
        return [self._faces(o, s, p, squares, ratio) for o, s, p in zip(offsets, scores, points, strict=True)]

    def _forward(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with torch.inference_mode():
            batch = network_input(pictures).to(self.device)
            offsets, logits, points = self.network(batch)
            scores = logits.float().softmax(dim=-1)[..., 1]
        return offsets.float().cpu().numpy(), scores.cpu().numpy(), points.float().cpu().numpy()

    def _faces(
        self, offsets: np.ndarray, scores: np.ndarray, points: np.ndarray, squares: np.ndarray, ratio: np.ndarray
    ) -> list[Detection]:
        from dynface_video.faces.detection.detector import Detection

        sure = np.flatnonzero(scores >= self.minimum_score)
        boxes = decode_boxes(offsets[sure], squares[sure])
        kept = suppress(boxes, scores[sure], self.suppression)
        # Half a pixel between the network's convention (corners at integers) and ours (centres).
        boxes = boxes[kept] * np.tile(ratio, 2) - 0.5
        landmarks = decode_landmarks(points[sure[kept]], squares[sure[kept]]) * ratio - 0.5
        found = []
        for box, marks, score in zip(boxes, landmarks, scores[sure[kept]], strict=True):
            tall = float(box[3] - box[1])
            if tall >= self.minimum_size:
                deviation = np.full(5, max(LANDMARK_ERROR * tall, 0.5), np.float32)
                found.append(Detection(box.astype(np.float32), marks.astype(np.float32), deviation, float(score)))
        return found


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> np.ndarray:
    """Non-maximum suppression: positions of the boxes to keep, best first."""
    order, kept = np.argsort(-scores, kind="stable"), []
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        order = rest[shared <= overlap * (areas[best] + areas[rest] - shared)]
    return np.array(kept, int)


def _shrink(picture: np.ndarray, scale: float) -> np.ndarray:
    if scale >= 1:
        return picture
    height, width = picture.shape[:2]
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
