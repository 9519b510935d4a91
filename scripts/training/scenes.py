"""Whole pictures with the faces that a teacher found in them, for training detectors and landmarks."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dynface_video.faces.detection.boxes import overlaps
from training.data import is_held_out

SURE = 0.75


@dataclass(frozen=True)
class Scene:
    """A picture and its faces.

    picture:   (H, W, 3) uint8 RGB
    boxes:     (n, 4) float32 x0, y0, x1, y1 in pixels
    landmarks: (n, 5, 2) float32
    """

    name: str
    picture: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray

    @property
    def held_out(self) -> bool:
        """Whether the scene is kept for validation."""
        return is_held_out(self.name)


def load_scenes(root: Path) -> list[Scene]:
    """Decode `scenes.tar` with the labels of `scenes.jsonl` under `root`, in the order of the labels.

    Scenes in which the teacher was unsure of a face are left out: half of those are hands, ears and shadows.
    """
    rows = [json.loads(line) for line in (root / "scenes.jsonl").read_text().splitlines()]
    rows = [row for row in rows if all(face["score"] >= SURE for face in row["faces"])]
    scenes = []
    with tarfile.open(root / "scenes.tar") as tar:
        members = {Path(m.name).name: m for m in tar.getmembers() if m.isfile()}
        for row in rows:
            handle = tar.extractfile(members[row["name"]])
            assert handle is not None
            decoded = cv2.imdecode(np.frombuffer(handle.read(), np.uint8), cv2.IMREAD_COLOR)
            assert decoded is not None, row["name"]
            scenes.append(_scene(row, np.ascontiguousarray(decoded[:, :, ::-1])))
    return scenes


def _scene(row: dict, picture: np.ndarray) -> Scene:
    boxes = np.array([face["box"] for face in row["faces"]], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    points = np.array([face["landmarks"] for face in row["faces"]], np.float32).reshape(-1, 5, 2)
    return Scene(row["name"], picture, boxes, points)


Propose = Callable[[np.ndarray], np.ndarray]
"""A picture (H, W, 3) uint8 RGB to boxes (N, 4) that may hold faces."""


def mistakes_of(
    propose: Propose, scenes: Sequence[Scene], cache: Path, *, every: int = 1
) -> list[tuple[int, np.ndarray]]:
    """Where `propose` sees faces that the teacher does not: (scene, box (4,)), kept in `cache`.

    These are the boxes that a landmark network has to turn down when that detector proposes. every: look at every so
    many scenes
    """
    if not cache.exists():
        found = [[s.name, *map(float, box)] for s in scenes[::every] for box in _mistakes(propose(s.picture), s)]
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(found))
    places = {scene.name: index for index, scene in enumerate(scenes)}
    rows = json.loads(cache.read_text())
    return [(places[row[0]], np.array(row[1:], np.float32)) for row in rows if row[0] in places]


def _mistakes(boxes: np.ndarray, scene: Scene) -> np.ndarray:
    if len(scene.boxes) and len(boxes):
        boxes = boxes[overlaps(boxes, scene.boxes).max(axis=1) < 0.12]
    return boxes[:12]
