"""Finding faces in one picture: RetinaFace or OpenCV's cascades, confirmed by the landmark network, or YuNet.

Boxes and points are display coordinates: upright, square pixels, (x, y), pixel centres at integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from dynface_video.errors import ModelError
from dynface_video.faces.landmarks import Landmarks, box_from_landmarks

if TYPE_CHECKING:
    import torch

    from dynface_video.config import DetectionSettings

SAME_FACE_OVERLAP = 0.4
PROPOSAL_OVERLAP = 0.6
PROPOSAL_SCORE = 0.15
"""RetinaFace's boxes less sure than this are not shown to the landmark network."""
PRIOR_LOG_ODDS = 4.0
"""Both networks learned from as many faces as backgrounds; in a video most places are background. Chosen on the clips
of the evaluation (model card)."""
LARGEST_LOG_ODDS = 9.0
NESTED_SHARE = 0.8
"""Of a box that lies in another: an eye does, a face half behind another does not."""
SMALLEST_SHARE = 0.75
"""Faces are looked for down to this share of the smallest restored: one that grows is known from its start."""
CASCADE_SMALLEST = 20
CASCADE_STEP = 1.2
CASCADE_NEIGHBOURS = 2
YUNET_DEVIATION = 0.0125


@dataclass(frozen=True)
class Detection:
    """One face of one picture.

    box:       (4,) float32 x0, y0, x1, y1
    landmarks: (5, 2) float32: image-left eye, image-right eye, nose, image-left and image-right mouth corner
    deviation: (5,) float32 pixels, how unsure each point is
    score:     in [0, 1], how sure that this is a face
    """

    box: np.ndarray
    landmarks: np.ndarray
    deviation: np.ndarray
    score: float


class FaceDetector(Protocol):
    """Finds faces."""

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB, none twice."""
        ...


class FaceLocator(Protocol):
    """Finds the landmarks of faces whose place is roughly known."""

    def locate(self, picture: np.ndarray, boxes: np.ndarray) -> Landmarks:
        """Look in a picture (H, W, 3) uint8 RGB near each of the boxes (N, 4) that `box_from_landmarks` makes."""
        ...


@dataclass(frozen=True)
class _Cascade:
    """One of OpenCV's cascades, and how a face box lies in its box (medians over labelled faces).

    side: ratio of the sides; shift: of the centre (x, y), as a share of the cascade's box
    """

    name: str
    side: float
    shift: tuple[float, float]
    mirrored: bool = False


CASCADES = (
    _Cascade("haarcascade_frontalface_alt2.xml", 0.97, (0.0, 0.026)),
    _Cascade("haarcascade_profileface.xml", 0.82, (-0.18, 0.049)),
    _Cascade("haarcascade_profileface.xml", 0.82, (-0.18, 0.049), mirrored=True),
)


class CascadeDetector:
    """OpenCV's frontal and profile cascades propose generously, the landmark network says which are faces.

    working_size: longest side of the picture that the cascades see, pixels; the landmark network sees it in full
    minimum_size: smallest face looked for, pixels of the picture; minimum_score: of the landmark network
    """

    def __init__(
        self, locator: FaceLocator, *, working_size: int = 640, minimum_size: float = 24, minimum_score: float = 0.5
    ) -> None:
        self._locator = locator
        self._working_size, self._minimum_size, self._minimum_score = working_size, minimum_size, minimum_score
        self._classifiers = {name: _load_cascade(name) for name in {cascade.name for cascade in CASCADES}}

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB that the landmark network confirms, none twice."""
        boxes = self.propose(picture)
        if len(boxes) == 0:
            return []
        found = self._locator.locate(picture, boxes)
        return distinct(_confirmed(found, found.score, self._minimum_score))

    def propose(self, picture: np.ndarray) -> np.ndarray:
        """Boxes that may hold faces, (N, 4) float64 in pixels of the picture."""
        small, scale = shrink_to(picture, self._working_size)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        smallest = max(CASCADE_SMALLEST, round(self._minimum_size * scale))
        boxes = np.concatenate([self._propose_by(cascade, grey, smallest) for cascade in CASCADES])
        # Neighbouring cascades fire on the same face: the landmark network need not look at each.
        kept = surest(boxes, np.zeros(len(boxes)), PROPOSAL_OVERLAP)
        return np.asarray((boxes[kept] + 0.5) / scale - 0.5)

    def _propose_by(self, cascade: _Cascade, grey: np.ndarray, smallest: int) -> np.ndarray:
        seen = cv2.flip(grey, 1) if cascade.mirrored else grey
        found = self._classifiers[cascade.name].detectMultiScale(
            seen, CASCADE_STEP, CASCADE_NEIGHBOURS, minSize=(smallest, smallest)
        )
        boxes = np.asarray(found, np.float64).reshape(-1, 4)  # x, y, width, height
        centres = boxes[:, :2] + (boxes[:, 2:] - 1) / 2 + np.array(cascade.shift) * boxes[:, 2:]
        if cascade.mirrored:
            centres[:, 0] = grey.shape[1] - 1 - centres[:, 0]
        halves = cascade.side * boxes[:, 2:] / 2
        return np.concatenate([centres - halves, centres + halves], axis=1)


class ConfirmedDetector:
    """Proposals of a generous detector, of which the landmark network says where they lie and which are faces.

    The two judge by different pictures of the face, so their log odds add up. minimum_score: of both together
    """

    def __init__(self, proposer: FaceDetector, locator: FaceLocator, *, minimum_score: float = 0.5) -> None:
        self._proposer, self._locator, self._minimum_score = proposer, locator, minimum_score

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB that both believe in, none twice."""
        proposed = self._proposer.detect(picture)
        if not proposed:
            return []
        found = self._locator.locate(picture, np.stack([face.box for face in proposed]))
        scores = joint_score(np.array([face.score for face in proposed]), found.score)
        return distinct(_confirmed(found, scores, self._minimum_score))


class YuNetDetector:
    """YuNet by OpenCV's own reader; path: its ONNX file. Raises ModelError when it cannot be read."""

    def __init__(
        self, path: Path, *, working_size: int = 640, minimum_size: float = 24, minimum_score: float = 0.5
    ) -> None:
        if not path.is_file():
            raise ModelError(f"{path}: no such file; name YuNet's ONNX file as detection.yunet_model in a config file")
        try:
            self._network = cv2.FaceDetectorYN.create(str(path), "", (320, 320), minimum_score, 0.3, 1000)
        except cv2.error as error:
            raise ModelError(f"{path}: OpenCV cannot read it as a face detector: {error.err}") from error
        self._working_size, self._minimum_size = working_size, minimum_size

    def detect(self, picture: np.ndarray) -> list[Detection]:
        """The faces of a picture (H, W, 3) uint8 RGB."""
        small, scale = shrink_to(picture, self._working_size)
        self._network.setInputSize((small.shape[1], small.shape[0]))
        rows = self._network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))[1]
        if rows is None:
            return []
        detections = [_from_yunet(row, scale) for row in np.asarray(rows, np.float64)]
        return [d for d in detections if d.box[3] - d.box[1] >= self._minimum_size]


def make_detector(
    settings: DetectionSettings, *, models: Path, locator: FaceLocator, device: torch.device | str = "cpu"
) -> FaceDetector:
    """The detector that the settings name.

    models: folder of the preset's models, of which RetinaFace's is "detector". Raises ModelError when weights are
    missing.
    """
    working_size, minimum_score = settings.working_size, settings.minimum_score
    minimum_size = SMALLEST_SHARE * settings.minimum_size
    if settings.detector == "cascade":
        return CascadeDetector(
            locator, working_size=working_size, minimum_size=minimum_size, minimum_score=minimum_score
        )
    if settings.detector == "yunet":
        if settings.yunet_model is None:
            raise ModelError("the detector yunet needs its ONNX file: name it as detection.yunet_model")
        return YuNetDetector(
            settings.yunet_model, working_size=working_size, minimum_size=minimum_size, minimum_score=minimum_score
        )
    from dynface_video.faces.detection.retinaface import RetinaFaceDetector

    proposer = RetinaFaceDetector.from_folder(
        models / "detector",
        device,
        working_size=working_size,
        minimum_size=minimum_size,
        minimum_score=min(PROPOSAL_SCORE, minimum_score),
    )
    return ConfirmedDetector(proposer, locator, minimum_score=minimum_score)


def _confirmed(found: Landmarks, scores: np.ndarray, minimum_score: float) -> list[Detection]:
    return [
        Detection(box_from_landmarks(points), points, deviation, float(score))
        for points, deviation, score in zip(found.points, found.deviation, scores, strict=True)
        if score >= minimum_score
    ]


def joint_score(score: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How sure two witnesses are together, in [0, 1]: their log odds added, less those of chance."""
    odds = [np.log(np.clip(s, 1e-9, 1.0)) - np.log(np.clip(1.0 - s, 1e-9, 1.0)) for s in (score, other)]
    joint = sum(np.clip(o, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS) for o in odds) - PRIOR_LOG_ODDS
    return np.asarray(1 / (1 + np.exp(-joint)))


def distinct(detections: Sequence[Detection], overlap: float = SAME_FACE_OVERLAP) -> list[Detection]:
    """Of detections that overlap by more than a share, or of which one lies in another, the surest; surest first."""
    boxes = np.array([detection.box for detection in detections]).reshape(-1, 4)
    kept: list[int] = []
    for i in surest(boxes, np.array([detection.score for detection in detections]), overlap):
        if not any(lies_in(boxes[i], boxes[j]) or lies_in(boxes[j], boxes[i]) for j in kept):
            kept.append(i)
    return [detections[i] for i in kept]


def lies_in(box: np.ndarray, other: np.ndarray) -> bool:
    """Whether nearly all of a box (4,) lies in another that is no smaller: an eye is not a face of its own."""
    area = np.prod(box[2:] - box[:2])
    shared = np.prod(np.maximum(np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2]), 0))
    return bool(area <= np.prod(other[2:] - other[:2]) and shared >= NESTED_SHARE * area)


def surest(boxes: np.ndarray, scores: np.ndarray, overlap: float) -> list[int]:
    """Non-maximum suppression: positions of the boxes (N, 4) kept, best score first."""
    overlaps = overlap_of(boxes, boxes)
    kept: list[int] = []
    for i in np.argsort(-scores, kind="stable"):
        if all(overlaps[i, j] <= overlap for j in kept):
            kept.append(int(i))
    return kept


def overlap_of(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes (N, 4) with others (M, 4), (N, M) in [0, 1]."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    areas, other_areas = (np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (boxes, others))
    return np.asarray(shared / np.maximum(areas[:, None] + other_areas[None, :] - shared, 1e-9))


def shrink_to(picture: np.ndarray, longest: int) -> tuple[np.ndarray, float]:
    """A picture with no side above `longest` pixels, and by how much it was scaled (at most 1)."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1:
        return picture, 1.0
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale


def _load_cascade(name: str) -> cv2.CascadeClassifier:
    classifier = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / name))
    if classifier.empty():
        raise ModelError(f"OpenCV was installed without its cascade {name}; install opencv-python >= 4.9, < 5")
    return classifier


def _from_yunet(row: np.ndarray, scale: float) -> Detection:
    # YuNet counts pixels from the picture's corner, and names eyes and mouth corners by the person's side.
    corners = np.concatenate([row[:2], row[:2] + row[2:4]])
    box = ((corners + 0.5) / scale - 0.5).astype(np.float32)
    landmarks = ((row[4:14].reshape(5, 2) + 0.5) / scale - 0.5).astype(np.float32)
    side = float(np.sqrt(np.prod(row[2:4]))) / scale
    return Detection(box, landmarks, np.full(5, YUNET_DEVIATION * side, np.float32), float(row[14]))
