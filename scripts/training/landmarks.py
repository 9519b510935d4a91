"""Training of the landmark network on faces set into backgrounds, seen through wrong boxes and every kind of damage."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.faces.detection.boxes import overlaps
from dynface_video.faces.landmark_network import LandmarkNetwork
from dynface_video.faces.landmarks import Square, cut_square, face_square, square_from_box
from dynface_video.tracking.track_filter import turn_of
from training.data import FaceSet
from training.degradation import degrade, training_degradation
from training.film import drawn, fade, occlude, wear
from training.loop import Batch
from training.scenes import Scene

FACE_SHARE = 0.7
SCENE_SHARE = 0.3
CLEAN_SHARE = 0.25
OCCLUDED_SHARE = 0.3
MISTAKEN_SHARE, BACKGROUND_SHARE, DRAWN_SHARE = 0.4, 0.25, 0.1
"""What is shown where no face is; the rest are squares that miss a face."""
TURN_WEIGHT = 15.0
"""Degrees by which a head is turned for its face to be drawn twice as often: few in the data are."""
PLAIN = 14.0
MIRRORED = [1, 0, 2, 4, 3]


class LandmarkTraining:
    """A `Component` that trains the landmark network.

    faces:    aligned crops, set into scenes or continued by their own mirror image
    scenes:   whole pictures with boxes and landmarks, also the source of backgrounds and of what is no face
    mistakes: (scene, box) that a detector takes for a face
    """

    name = "landmarks"

    def __init__(
        self,
        faces: FaceSet,
        scenes: list[Scene],
        mistakes: list[tuple[int, np.ndarray]],
    ) -> None:
        self.network, self.scenes = LandmarkNetwork().config, scenes
        # Half the pixels hold all that a 64 pixel crop can show, in a quarter of the memory traffic.
        self.pictures = np.stack([cv2.resize(i, (128, 128), interpolation=cv2.INTER_AREA) for i in faces.images])
        self.landmarks = (faces.landmarks + 0.5) / 2 - 0.5
        self.corners = (faces.corners + 0.5) / 2 - 0.5
        self.aligned = {h: Pool(np.flatnonzero(faces.held_out == h), faces.landmarks) for h in (False, True)}
        kept = {h: [i for i, s in enumerate(scenes) if s.held_out == h] for h in (False, True)}
        self.kept = kept
        places = [(i, j) for i, scene in enumerate(scenes) for j in range(len(scene.boxes))]
        points = np.array([scenes[i].landmarks[j] for i, j in places]).reshape(-1, 5, 2)
        self.places = places
        self.scene_faces = {
            h: Pool(np.array([k for k, (i, _) in enumerate(places) if scenes[i].held_out == h], int), points)
            for h in kept
        }
        self.mistakes = {h: [m for m in mistakes if scenes[m[0]].held_out == h] for h in kept}

    def build(self) -> nn.Module:
        """A freshly initialised network."""
        return LandmarkNetwork().to(memory_format=torch.channels_last)

    def config(self) -> dict[str, Any]:
        """What is saved beside the weights."""
        return dict(self.network)

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """`crop` (N, 3, S, S) in [-1, 1], `points` (N, 5, 2), `face` (N,) and `clean` (N,), both 0 or 1."""
        rows = [self._example(rng, held_out) for _ in range(size)]
        crops = np.stack([crop for crop, _, _ in rows])
        points = np.stack([np.zeros((5, 2)) if p is None else p for _, p, _ in rows])
        return {
            "crop": torch.from_numpy(crops).permute(0, 3, 1, 2) * 2 - 1,
            "points": torch.from_numpy(points.astype(np.float32)),
            "face": torch.tensor([float(p is not None) for _, p, _ in rows]),
            "clean": torch.tensor([float(clean) for _, _, clean in rows]),
        }

    def _example(self, rng: np.random.Generator, held_out: bool) -> tuple[np.ndarray, np.ndarray | None, bool]:
        crop: np.ndarray
        points: np.ndarray | None = None
        if rng.random() >= FACE_SHARE:
            crop = self._no_face(rng, held_out)
        elif rng.random() < SCENE_SHARE:
            crop, points = self._scene_face(rng, held_out)
        else:
            crop, points = self._aligned_face(rng, held_out)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
            points = None if points is None else points[MIRRORED] * [-1, 1]
        clean = rng.random() < CLEAN_SHARE
        crop = np.ascontiguousarray(crop).astype(np.float32) / 255
        return crop if clean else self._damage(crop, rng, held_out), points, clean

    def _scene_face(self, rng: np.random.Generator, held_out: bool) -> tuple[np.ndarray, np.ndarray]:
        index, face = self.places[self.scene_faces[held_out].draw(rng)]
        scene = self.scenes[index]
        square = face_square(scene.landmarks[face].astype(np.float64))
        if rng.random() < 0.5:
            square = replace(square_from_box(scene.boxes[face]), angle=square.angle)
        seen = self._wider(jitter_square(square, rng))
        border = cv2.BORDER_REFLECT_101 if rng.random() < 0.5 else cv2.BORDER_REPLICATE
        return self._cut(scene.picture, seen, border=border), seen.from_picture(scene.landmarks[face])

    def _aligned_face(self, rng: np.random.Generator, held_out: bool) -> tuple[np.ndarray, np.ndarray]:
        index = self.aligned[held_out].draw(rng)
        seen = self._wider(jitter_square(face_square(self.landmarks[index].astype(np.float64)), rng))
        crop = self._set_in(index, seen, rng, held_out)
        return crop, seen.from_picture(self.landmarks[index])

    def _set_in(self, index: int, seen: Square, rng: np.random.Generator, held_out: bool) -> np.ndarray:
        picture = self.pictures[index]
        if rng.random() < 0.4:
            return self._cut(picture, seen, border=cv2.BORDER_REFLECT_101)
        inside = np.zeros(picture.shape[:2], np.uint8)
        cv2.fillConvexPoly(inside, np.round(self.corners[index]).astype(np.int32), 255)
        mask = self._cut(inside, seen, border=cv2.BORDER_CONSTANT).astype(np.float32)[..., None] / 255
        crop, back = self._cut(picture, seen), self._background(rng, held_out)
        return (mask * crop + (1 - mask) * back).astype(np.uint8)

    def _no_face(self, rng: np.random.Generator, held_out: bool) -> np.ndarray:
        kind = rng.random()
        if kind < MISTAKEN_SHARE and self.mistakes[held_out]:
            index, box = self.mistakes[held_out][rng.integers(len(self.mistakes[held_out]))]
            seen = self._wider(jitter_square(square_from_box(box), rng))
            return self._cut(self.scenes[index].picture, seen, border=cv2.BORDER_REFLECT_101)
        if kind < MISTAKEN_SHARE + BACKGROUND_SHARE:
            return self._background(rng, held_out)
        index = self.aligned[held_out].draw(rng)
        square = face_square(self.landmarks[index].astype(np.float64))
        if kind < MISTAKEN_SHARE + BACKGROUND_SHARE + DRAWN_SHARE:
            seen = self._wider(jitter_square(square, rng))
            return drawn(self._cut(self.pictures[index], seen), self._background(rng, held_out), rng)
        return self._set_in(index, self._wider(miss_square(square, rng)), rng, held_out)

    def _background(self, rng: np.random.Generator, held_out: bool) -> np.ndarray:
        for _ in range(20):
            scene = self.scenes[int(rng.choice(self.kept[held_out]))]
            height, width = scene.picture.shape[:2]
            side = float(np.exp(rng.uniform(np.log(12), np.log(0.8 * min(height, width)))))
            square = Square(rng.uniform(0, [width, height]), side, float(rng.normal(0, 0.2)))
            if _touches(square, scene):
                continue
            crop = self._cut(scene.picture, self._wider(square), border=cv2.BORDER_REFLECT_101)
            # Blank walls are most of a picture and teach nothing.
            if crop.std() > PLAIN or rng.random() < 0.1:
                return crop
        return np.full((self.network.size, self.network.size, 3), int(rng.integers(256)), np.uint8)

    def _damage(self, crop: np.ndarray, rng: np.random.Generator, held_out: bool) -> np.ndarray:
        if rng.random() < OCCLUDED_SHARE:
            crop = occlude(crop, self._background(rng, held_out).astype(np.float32) / 255, rng)
        if rng.random() < 0.7:
            crop = fade(crop, rng)
        if rng.random() < 0.1:
            crop = wear(crop, rng)
        degradation = training_degradation(rng)
        if degradation.codec is not None and rng.random() < 0.85:
            # A codec's start costs as much as five crops; JPEG leaves much the same blocks.
            degradation = replace(degradation, codec=None, jpeg=int(rng.uniform(15, 60)))
        return degrade(crop, degradation, rng)

    def _wider(self, square: Square) -> Square:
        return replace(square, side=square.side * self.network.context)

    def _cut(self, picture: np.ndarray, square: Square, *, border: int = cv2.BORDER_REPLICATE) -> np.ndarray:
        return cut_square(picture, square, self.network.size, border=border)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Negative log likelihood of a round Laplace distribution about each point, and of the face label."""
        points, log_deviation, logit = model(batch["crop"])
        nll = laplace_nll((points - batch["points"]).square().sum(dim=2), log_deviation).mean(dim=1)
        face = batch["face"]
        return (nll * face).sum() / face.sum().clamp(min=1) + F.binary_cross_entropy_with_logits(logit, face)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Median error by eye distance, clean and damaged; coordinates within a deviation; AUC of the face score."""
        points, log_deviation, logit = model(batch["crop"])
        eyes = (batch["points"][:, 0] - batch["points"][:, 1]).norm(dim=1).clamp(min=0.05)
        error = (points - batch["points"]).norm(dim=2).mean(dim=1) / eyes
        face, clean = batch["face"] > 0, batch["clean"] > 0
        within = (points - batch["points"]).abs() <= log_deviation.exp()[..., None]
        return {
            "error_clean": float(error[face & clean].median()),
            "error_damaged": float(error[face & ~clean].median()),
            "error_damaged_p90": float(error[face & ~clean].quantile(0.9)),
            "within": float(within[face].float().mean()),
            "auc": area_under_curve(logit[face], logit[~face]),
        }


class Pool:
    """Positions (n,) of faces among those whose points (N, 5, 2) are given, drawn the more often the more turned."""

    def __init__(self, positions: np.ndarray, points: np.ndarray) -> None:
        self.positions = positions
        weights = 1 + turn_of(points[positions]) / TURN_WEIGHT
        self.shares = np.cumsum(weights) / max(weights.sum(), 1e-9)

    def draw(self, rng: np.random.Generator) -> int:
        """One of the positions."""
        place = int(np.searchsorted(self.shares, rng.random(), side="right"))
        return int(self.positions[min(place, len(self.positions) - 1)])


def laplace_nll(squared_distance: Tensor, log_deviation: Tensor) -> Tensor:
    """-log of `exp(-r / b) / (2 pi b^2)` without its constant; the deviation of a coordinate is sqrt(3) b.

    Heavier tails than a Gaussian's: a few labels are wrong altogether and must not rule.
    """
    log_b = log_deviation - 0.5 * float(np.log(3.0))
    distance = (squared_distance + 1e-8).sqrt()
    return distance * (-log_b).exp() + 2 * log_b


def area_under_curve(positive: Tensor, negative: Tensor) -> float:
    """Chance that a face scores above something that is none."""
    higher = (positive[:, None] > negative[None]).float() + 0.5 * (positive[:, None] == negative[None]).float()
    return float(higher.mean())


def jitter_square(square: Square, rng: np.random.Generator) -> Square:
    """The square as a box may come: of a second look (little off) or a cascade (15 % off, wrong in size by a third)."""
    if rng.random() < 0.3:
        shift, zoom, turn = rng.normal(0, 0.03, 2), np.exp(rng.normal(0, 0.05)), rng.normal(0, 0.05)
    else:
        shift, zoom = rng.uniform(-0.15, 0.15, 2), np.exp(rng.uniform(np.log(0.72), np.log(1.42)))
        turn = np.radians(rng.uniform(-35, 35) if rng.random() < 0.7 else rng.normal(0, 8))
    return Square(square.centre + shift * square.side, square.side * float(zoom), square.angle + float(turn))


def miss_square(square: Square, rng: np.random.Generator) -> Square:
    """A square that shows no whole face although one is near: beside it, a part of it, or far too wide."""
    direction = rng.uniform(0, 2 * np.pi)
    away = np.array([np.cos(direction), np.sin(direction)])
    kind = rng.random()
    if kind < 0.5:
        reach, zoom = rng.uniform(0.65, 1.2), np.exp(rng.uniform(np.log(0.6), np.log(1.3)))
    elif kind < 0.8:
        reach, zoom = rng.uniform(0, 0.5), rng.uniform(0.15, 0.36)
    else:
        reach, zoom = rng.uniform(0, 1.0), rng.uniform(2.6, 4.0)
    return Square(
        square.centre + away * reach * square.side, square.side * float(zoom), square.angle + rng.normal(0, 0.2)
    )


def _touches(square: Square, scene: Scene) -> bool:
    box = np.concatenate([square.centre - square.side / 2, square.centre + square.side / 2])
    return bool(len(scene.boxes)) and float(overlaps(box[None], scene.boxes).max()) > 0.12
