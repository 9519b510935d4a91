"""RetinaFace (Deng et al. 2019, arXiv 1905.00641): our own loading, anchors and decoding around facexlib's network.

Pictures are BGR less a mean, anchors and variances are those of `Pytorch_Retinaface`, which public weights expect.
Nothing is downloaded and facexlib's own helpers are not called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.faces.batch_norm import fuse_batch_norm
from dynface_video.faces.detection.boxes import suppress
from dynface_video.faces.detection.detector import Detection, shrink_to
from dynface_video.faces.detection.retinaface_network import RetinaFaceNetwork
from dynface_video.pretrained import load_pretrained, load_state_dict

MEAN_BGR = (104.0, 117.0, 123.0)
STRIDES = (8, 16, 32)
ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
CLOSE_UP_SIZE = 112
"""Longest side of the picture in the second pass, which is for faces that fill it: there noise is averaged out, and a
face has the size of the middle anchors. It costs about a fiftieth of the first pass."""
CLOSE_UP_SHARE, CLOSE_UP_SCORE = 0.25, 0.95
"""Faces of the second pass count from this share of the picture's longest side and this score on: a face that fills so
small a picture is seen clearly, a print on a sweater less so (chosen on the clips of the evaluation)."""
LANDMARK_STD = 0.03
"""Of this network's landmarks, as a share of the face's height: they are a by-product of the box."""


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
    bgr = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) for picture in pictures])
    return torch.from_numpy(bgr).permute(0, 3, 1, 2).float().sub_(torch.tensor(MEAN_BGR)[:, None, None])


@dataclass
class RetinaFaceDetector:
    """A `FaceDetector`.

    Attributes:
        network: `RetinaFaceNetwork`, or another with its outputs.
        device: of the network.
        working_size: longest side in pixels that the network sees; larger pictures are shrunk, smaller ones kept. A
            second pass at `CLOSE_UP_SIZE` finds blurred and noisy faces that fill the picture.
        minimum_score: faces below are not reported.
        minimum_size: height in pixels of the picture below which a face is not reported.
        suppression: overlap above which the weaker of two boxes is dropped.
    """

    network: nn.Module
    device: torch.device
    working_size: int = 640
    minimum_score: float = 0.5
    minimum_size: float = 0.0
    suppression: float = 0.4

    @classmethod
    def from_pretrained(
        cls,
        path: Path,
        device: torch.device | str = "cpu",
        *,
        working_size: int = 640,
        minimum_score: float = 0.5,
        minimum_size: float = 0.0,
    ) -> RetinaFaceDetector:
        """Load a detector.

        Args:
            path: A model folder as `scripts/train.py detector` exports it, or the state dict of the ResNet-50 that
                facexlib publishes ("retinaface-r50" in the catalogue).
            device: Of the network.
            working_size: See the class.
            minimum_score: See the class.
            minimum_size: See the class.

        Raises:
            ModelError: As `load_pretrained` and `load_state_dict`.
        """
        if path.is_file():
            network = RetinaFaceNetwork("resnet50")
            load_state_dict(network.network, path)
        else:
            network = load_pretrained(RetinaFaceNetwork, path)
        fused = fuse_batch_norm(network.to(device).eval()).to(memory_format=torch.channels_last)
        return cls(fused, torch.device(device), working_size, minimum_score, minimum_size)

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """Faces in a picture (H, W, 3) uint8 RGB, best first."""
        return self.detect_batch([picture])[0]

    def propose(self, picture: np.ndarray) -> np.ndarray:
        """The boxes alone of the faces in a picture (H, W, 3) uint8 RGB, (N, 4) float32."""
        return np.array([face.box for face in self.detect(picture)], np.float32).reshape(-1, 4)

    def detect_batch(self, pictures: Sequence[np.ndarray]) -> list[list[Detection]]:
        """Faces in pictures of one size, best first; all pictures go through the network together."""
        if not pictures:
            return []
        height, width = pictures[0].shape[:2]
        seen = _shrunk(pictures, self.working_size)
        found = self._detect_in(seen, (height, width))
        if max(seen.shape[1:3]) <= CLOSE_UP_SIZE:
            return found
        close_ups = self._detect_in(_shrunk(seen, CLOSE_UP_SIZE), (height, width))
        longest = max(height, width)
        return [
            self._merged([*faces, *(face for face in large if _is_close_up(face, longest))])
            for faces, large in zip(found, close_ups, strict=True)
        ]

    def _merged(self, faces: list[Detection]) -> list[Detection]:
        boxes, scores = np.array([face.box for face in faces]), np.array([face.score for face in faces])
        return [faces[i] for i in suppress(boxes, scores, self.suppression)]

    def _detect_in(self, seen: np.ndarray, shape: tuple[int, int]) -> list[list[Detection]]:
        """Faces in pictures (N, H, W, 3) uint8 that were shrunk from (height, width), in pixels of these."""
        offsets, scores, points = self._forward(seen)
        squares = anchors(*seen.shape[1:3])
        ratio = np.array([shape[1] / seen.shape[2], shape[0] / seen.shape[1]], np.float32)
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
                std = np.full(5, max(LANDMARK_STD * tall, 0.5), np.float32)
                found.append(Detection(box.astype(np.float32), marks.astype(np.float32), std, float(score)))
        return found


def _shrunk(pictures: Iterable[np.ndarray], longest: int) -> np.ndarray:
    return np.stack([shrink_to(picture, longest)[0] for picture in pictures])


def _is_close_up(face: Detection, longest: int) -> bool:
    return face.score >= CLOSE_UP_SCORE and float(face.box[3] - face.box[1]) >= CLOSE_UP_SHARE * longest
