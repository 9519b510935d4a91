"""Crowds composed from portraits: one picture with many faces, small and large, and the boxes and landmarks of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import cv2
import numpy as np

from dynface_video.faces.detection.boxes import overlaps
from dynface_video.faces.landmarks import face_square
from training.data import FaceSet
from training.film import drawn
from training.scenes import Scene

Area = tuple[int, int, int, int]

MIRRORED = [1, 0, 2, 4, 3]
SMALLEST_TILE = 40
HEAD_SHARE = 0.62
PASTED_SHARE = 0.45
COVERED_SHARE = 0.3
MOST_COVERED = 3
DISK_SHARE = 0.3
"""Of what covers a face; the rest are heads."""
LARGEST_COVERED = 0.6
"""Faces of which something nearer hides more than this share are neither asked for nor punished."""
SMALLEST_VISIBLE = 0.5
DRAWN_SHARE = 0.15
CROP_SHARE = 0.25
EMPTY_SHARE = 0.12
ASIDE_SHARE = 0.3
PLAIN = 14.0
ASPECT = 0.86
"""Square root of a detector box's width over its height."""


@dataclass(frozen=True)
class Crowd:
    """A composed picture.

    picture: (S, S, 3) uint8 RGB; boxes: (n, 4) float32; landmarks: (n, 5, 2) float32
    ignored: (m, 4) float32, boxes of faces that are cut off or mostly hidden: neither asked for nor punished
    """

    picture: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray
    ignored: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


@dataclass
class _Canvas:
    picture: np.ndarray
    boxes: list[np.ndarray] = field(default_factory=list)
    points: list[np.ndarray] = field(default_factory=list)
    ignored: list[np.ndarray] = field(default_factory=list)

    def add(self, box: np.ndarray, points: np.ndarray) -> None:
        self.boxes.append(box)
        self.points.append(points)

    def hide(self, mask: np.ndarray) -> None:
        """Ignore the faces that something with a mask (S, S) in [0, 255] hides much of."""
        hidden = [i for i, box in enumerate(self.boxes) if covered(box, mask) > LARGEST_COVERED]
        self.ignored += [self.boxes[i] for i in hidden]
        for kept in (self.boxes, self.points):
            kept[:] = [value for i, value in enumerate(kept) if i not in hidden]

    def crowd(self) -> Crowd:
        boxes, ignored = (np.array(b, np.float32).reshape(-1, 4) for b in (self.boxes, self.ignored))
        return Crowd(self.picture, boxes, np.array(self.points, np.float32).reshape(-1, 5, 2), ignored)


class CrowdComposer:
    """Draws crowds: scenes and aligned crops at random scale in a mosaic, and heads pasted through a soft mask.

    Among the tiles are enlarged parts of scenes that show no face: clothes, hands, letters. Heads also hide parts of
    faces behind them, and some are drawn, which is no face.

    size: side of the picture in pixels; smallest, largest: heights of the faces, pixels
    """

    def __init__(self, faces: FaceSet, scenes: list[Scene], size: int, *, smallest: float, largest: float) -> None:
        self.size, self.smallest, self.largest = size, smallest, largest
        # Half the pixels of an aligned crop suffice for heads of up to a hundred pixels.
        self.heads = np.stack([cv2.resize(i, (128, 128), interpolation=cv2.INTER_AREA) for i in faces.images])
        self.points = ((faces.landmarks + 0.5) / 2 - 0.5).astype(np.float64)
        self.whole = _wholly_inside(faces)
        self.scenes = {h: [s for s in scenes if s.held_out == h] for h in (False, True)}
        self.empty = {h: [s for s in self.scenes[h] if not len(s.boxes)] for h in (False, True)}

    def draw(self, rng: np.random.Generator, *, held_out: bool) -> Crowd:
        """One crowd; every face in it that a teacher knows of is labelled."""
        canvas = _Canvas(np.zeros((self.size, self.size, 3), np.uint8))
        self._tile(canvas, (0, 0, self.size, self.size), rng, held_out)
        if rng.random() < PASTED_SHARE:
            for _ in range(int(rng.integers(1, 9))):
                self._paste_head(canvas, rng, held_out)
        if rng.random() < COVERED_SHARE:
            for box in [*canvas.boxes][:MOST_COVERED]:
                self._cover(canvas, box, rng, held_out)
        return mirror(canvas.crowd()) if rng.random() < 0.5 else canvas.crowd()

    def _tile(self, canvas: _Canvas, area: Area, rng: np.random.Generator, held_out: bool) -> None:
        x0, y0, x1, y1 = area
        long, upright = max(x1 - x0, y1 - y0), y1 - y0 > x1 - x0
        # Small tiles hold small faces: halving until chance stops gives every size a share of the faces.
        if long >= 2 * SMALLEST_TILE and rng.random() < (0.62 if long == self.size else 0.72):
            cut = round(long * rng.uniform(0.35, 0.65))
            if upright:
                halves = (x0, y0, x1, y0 + cut), (x0, y0 + cut, x1, y1)
            else:
                halves = (x0, y0, x0 + cut, y1), (x0 + cut, y0, x1, y1)
            for half in halves:
                self._tile(canvas, half, rng, held_out)
            return
        kind = rng.random()
        if kind < CROP_SHARE and long < self.size and len(self.whole[held_out]):
            self._fill_with_crop(canvas, area, int(rng.choice(self.whole[held_out])), rng)
            return
        pool = self.empty[held_out] if kind > 1 - EMPTY_SHARE else self.scenes[held_out]
        scene = pool[int(rng.integers(len(pool)))]
        width, height = x1 - x0, y1 - y0
        aside = view_aside(scene, width, height, rng) if rng.random() < ASIDE_SHARE else None
        self._fill(canvas, area, scene, self._view(scene, width, height, rng) if aside is None else aside)

    def _fill(self, canvas: _Canvas, area: Area, scene: Scene, matrix: np.ndarray) -> None:
        x0, y0, x1, y1 = area
        canvas.picture[y0:y1, x0:x1] = warp(scene.picture, matrix, x1 - x0, y1 - y0)
        corner = np.array([x0, y0])
        for box, marks in zip(scene.boxes, scene.landmarks, strict=True):
            moved = _moved_box(box, matrix) + np.tile(corner, 2)
            seen = visible(moved, area)
            if seen > 0.5:
                canvas.add(moved, marks @ matrix[:, :2].T + matrix[:, 2] + corner)
            elif seen > 0.1:
                canvas.ignored.append(moved)

    def _fill_with_crop(self, canvas: _Canvas, area: Area, index: int, rng: np.random.Generator) -> None:
        x0, y0, x1, y1 = area
        width, height = x1 - x0, y1 - y0
        scale = max(width, height) / 128 * float(np.exp(rng.uniform(0.0, 0.4)))
        angle = float(rng.normal(0, 8)) if rng.random() < 0.3 else 0.0
        matrix = cv2.getRotationMatrix2D((63.5, 63.5), angle, scale)
        slack = np.maximum(128 * scale - np.array([width, height]), 0) / 2
        matrix[:, 2] = matrix[:, 2] + np.array([width, height]) / 2 - 63.5 + rng.uniform(-slack, slack)
        marks = self.points[index] @ matrix[:, :2].T + matrix[:, 2] + [x0, y0]
        canvas.picture[y0:y1, x0:x1] = warp(self.heads[index], matrix, width, height)
        box = box_of(marks)
        if visible(box, area) > 0.5:
            canvas.add(box, marks)
        else:
            canvas.ignored.append(box)

    def _view(self, scene: Scene, width: int, height: int, rng: np.random.Generator) -> np.ndarray:
        full_height, full_width = scene.picture.shape[:2]
        cover = max(width / full_width, height / full_height)
        scale, target = cover * float(np.exp(rng.uniform(-0.1, 0.5))), rng.uniform(0, [full_width, full_height])
        if len(scene.boxes):
            box = scene.boxes[int(rng.integers(len(scene.boxes)))]
            # Now and then a face fills its tile and more: close-ups are larger than any picture that is trained on.
            tall = min(self.largest, (0.9 if rng.random() < 0.88 else 1.5) * min(width, height))
            wanted = np.exp(rng.uniform(np.log(self.smallest), np.log(max(tall, self.smallest + 1))))
            # A scene shrunk far below its tile would leave most of it streaks.
            scale = float(max(wanted / (box[3] - box[1]), 0.7 * cover))
            target = (box[:2] + box[2:]) / 2
        angle = float(rng.normal(0, 12)) if rng.random() < 0.4 else 0.0
        matrix = cv2.getRotationMatrix2D((float(target[0]), float(target[1])), angle, scale)
        matrix[:, 2] = matrix[:, 2] + [width, height] * rng.uniform(0.25, 0.75, 2) - target
        return _pull_inside(matrix, (full_width, full_height), (width, height)) if angle == 0.0 else matrix

    def _paste_head(self, canvas: _Canvas, rng: np.random.Generator, held_out: bool) -> None:
        """Paste a head where it touches no face."""
        tall = float(np.exp(rng.uniform(np.log(self.smallest), np.log(min(110, self.largest)))))
        index = int(rng.choice(self.whole[held_out]))
        matrix = self._pose(index, tall, rng.uniform(0, self.size, 2), rng)
        box = box_of(_moved(self.points[index], matrix))
        if visible(box, (0, 0, self.size, self.size)) < 0.8 or _touches(box, [*canvas.boxes, *canvas.ignored]):
            return
        if rng.random() < DRAWN_SHARE:
            ground = np.full_like(self.heads[index], rng.integers(0, 256))
            self._blend(canvas, drawn(self.heads[index], ground, rng), matrix)
        else:
            self._blend(canvas, self.heads[index], matrix)
            canvas.add(box, _moved(self.points[index], matrix))

    def _cover(self, canvas: _Canvas, box: np.ndarray, rng: np.random.Generator, held_out: bool) -> None:
        """Paste a head, or a disk of some picture, before a face so that a part of it stays to be seen."""
        tall = float((box[3] - box[1]) * np.exp(rng.uniform(-0.2, 0.7)))
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.55, 0.9) * (box[3] - box[1] + tall) / 2
        place = (box[:2] + box[2:]) / 2 + away * np.array([np.cos(angle), np.sin(angle)])
        index = int(rng.choice(self.whole[held_out]))
        matrix = self._pose(index, tall, place, rng)
        if rng.random() < DISK_SHARE:
            pool = self.empty[held_out]
            patch = cv2.resize(pool[int(rng.integers(len(pool)))].picture, self.heads[index].shape[1::-1])
            canvas.hide(self._blend(canvas, patch, matrix))
            return
        canvas.hide(self._blend(canvas, self.heads[index], matrix))
        head = box_of(_moved(self.points[index], matrix))
        if visible(head, (0, 0, self.size, self.size)) > SMALLEST_VISIBLE:
            canvas.add(head, _moved(self.points[index], matrix))
        else:
            canvas.ignored.append(head)

    def _pose(self, index: int, tall: float, place: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Where a head's picture goes, (2, 3), so that its face is so tall and its middle near `place`."""
        scale = tall * ASPECT / face_square(self.points[index]).side
        matrix = cv2.getRotationMatrix2D((63.5, 63.5), float(rng.normal(0, 12)), scale)
        matrix[:, 2] = matrix[:, 2] + place - 63.5
        return np.asarray(matrix)

    def _blend(self, canvas: _Canvas, picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Paste a head's picture (128, 128, 3) through the mask of a head; returns that, (S, S) in [0, 255]."""
        place = _moved(np.array([63.5, 63.5]), matrix)
        half = int(np.ceil(64 * np.sqrt(abs(np.linalg.det(matrix[:, :2]))) * 1.42)) + 1
        x0, y0 = np.clip(place - half, 0, self.size).astype(int)
        x1, y1 = np.clip(place + half, 0, self.size).astype(int)
        whole = np.zeros((self.size, self.size), np.uint8)
        if x0 < x1 and y0 < y1:
            local = matrix - np.array([[0, 0, x0], [0, 0, y0]])
            head = warp(picture, local, x1 - x0, y1 - y0).astype(np.float32)
            mask = warp(_head_mask(), local, x1 - x0, y1 - y0, border=cv2.BORDER_CONSTANT)
            whole[y0:y1, x0:x1], share = mask, mask[..., None] / np.float32(255)
            region = canvas.picture[y0:y1, x0:x1]
            region[:] = (share * head + (1 - share) * region).astype(np.uint8)
        return whole


@cache
def _head_mask() -> np.ndarray:
    y, x = np.mgrid[0:128, 0:128].astype(np.float32)
    distance = np.hypot((x - 63.5) / (HEAD_SHARE * 64), (y - 60) / (0.9 * 64))
    return (255 * np.clip((1.08 - distance) / 0.14, 0, 1)).astype(np.uint8)


def _wholly_inside(faces: FaceSet) -> dict[bool, np.ndarray]:
    # The head's ellipse must lie in the picture, not in its mirrored continuation.
    low, high = faces.corners.min(axis=1), faces.corners.max(axis=1)
    inside = (low <= 30).all(axis=1) & (high >= 226).all(axis=1)
    return {h: np.flatnonzero(inside & (faces.held_out == h)) for h in (False, True)}


def warp(
    picture: np.ndarray, matrix: np.ndarray, width: int, height: int, *, border: int = cv2.BORDER_REPLICATE
) -> np.ndarray:
    """`cv2.warpAffine`, averaging areas where it shrinks."""
    coarser = int(np.clip(round(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))), 1, 16))
    if coarser > 1:
        rows, columns = (max(1, side // coarser) for side in picture.shape[:2])
        whole = picture[: rows * coarser, : columns * coarser]
        picture = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
        linear = matrix[:, :2]
        matrix = np.column_stack([linear * coarser, matrix[:, 2] + linear.sum(axis=1) * (coarser - 1) / 2])
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=border)


def _moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def box_of(points: np.ndarray) -> np.ndarray:
    """The box that a detector would give the face with these landmarks (5, 2): x0, y0, x1, y1."""
    square = face_square(points)
    half = square.side / 2 * np.array([ASPECT, 1 / ASPECT])
    return np.concatenate([square.centre - half, square.centre + half])


def covered(box: np.ndarray, mask: np.ndarray) -> float:
    """Share of the box, as far as it lies in the picture, that a mask (S, S) in [0, 255] hides."""
    x0, y0, x1, y1 = np.clip(np.round(box), 0, mask.shape[0]).astype(int)
    return float(mask[y0:y1, x0:x1].mean() / 255) if x0 < x1 and y0 < y1 else 0.0


def visible(box: np.ndarray, area: Area) -> float:
    """Share of the box that lies in the area."""
    low, high = np.maximum(box[:2], area[:2]), np.minimum(box[2:], area[2:])
    return float(np.prod(np.clip(high - low, 0, None)) / max(np.prod(box[2:] - box[:2]), 1e-6))


def mirror(crowd: Crowd) -> Crowd:
    """The crowd seen in a mirror; landmarks keep their meaning in the picture (image-left stays first)."""
    last = crowd.picture.shape[1] - 1
    flip, shift = np.array([-1, 1], np.float32), np.array([last, 0], np.float32)
    boxes, ignored = (b[:, [2, 1, 0, 3]] * np.tile(flip, 2) + np.tile(shift, 2) for b in (crowd.boxes, crowd.ignored))
    points = crowd.landmarks[:, MIRRORED] * flip + shift
    return Crowd(np.ascontiguousarray(crowd.picture[:, ::-1]), boxes, points, ignored)


def view_aside(scene: Scene, width: int, height: int, rng: np.random.Generator) -> np.ndarray | None:
    """A view of a part of the scene, enlarged, that holds no face and is no blank wall; None when none was found."""
    full_height, full_width = scene.picture.shape[:2]
    for _ in range(6):
        scale = max(width / full_width, height / full_height) * float(np.exp(rng.uniform(0.3, 1.6)))
        x0, y0 = rng.uniform(0, np.maximum([full_width - width / scale, full_height - height / scale], 0))
        matrix = np.array([[scale, 0, -scale * x0], [0, scale, -scale * y0]])
        shown = scene.picture[int(y0) : int(y0 + height / scale) + 1 : 4, int(x0) : int(x0 + width / scale) + 1 : 4]
        area = (0, 0, width, height)
        if shown.std() > PLAIN and all(visible(_moved_box(box, matrix), area) < 0.05 for box in scene.boxes):
            return matrix
    return None


def _moved_box(box: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    scale = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    centre = matrix[:, :2] @ ((box[:2] + box[2:]) / 2) + matrix[:, 2]
    half = (box[2:] - box[:2]) / 2 * scale
    return np.concatenate([centre - half, centre + half])


def _pull_inside(matrix: np.ndarray, full: tuple[int, int], tile: tuple[int, int]) -> np.ndarray:
    # Where the scene is large enough for the tile, none of the tile should be outside it.
    scale = matrix[0, 0]
    for axis in (0, 1):
        first, last = matrix[axis, 2], matrix[axis, 2] + scale * full[axis]
        if scale * full[axis] >= tile[axis]:
            matrix[axis, 2] -= max(first, 0) + min(last - tile[axis], 0)
    return matrix


def _touches(box: np.ndarray, others: list[np.ndarray]) -> bool:
    # The head is larger than its face: others must stay clear of hair and chin too.
    head = np.concatenate([box[:2] - 0.35 * (box[2:] - box[:2]), box[2:] + 0.35 * (box[2:] - box[:2])])
    return bool(others) and float(overlaps(head[None], np.array(others)).max()) > 0
