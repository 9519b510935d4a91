"""Training of RetinaFace on composed crowds: multi-task loss over anchors with hard negatives (arXiv 1905.00641)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.faces.detection.boxes import overlaps, suppress
from dynface_video.faces.detection.retinaface import (
    anchors,
    decode_boxes,
    encode_boxes,
    encode_landmarks,
    network_input,
)
from dynface_video.faces.detection.retinaface_network import RetinaFaceNetwork
from training.crowds import Crowd, CrowdComposer
from training.degradation import degrade, training_degradation
from training.film import fade, wear
from training.loop import Batch

MATCH, UNSURE = 0.35, 0.3
IGNORED_SHARE = 0.3
NEGATIVES_PER_FACE = 7
BOX_WEIGHT, LANDMARK_WEIGHT = 2.0, 1.0
CLEAN_SHARE = 0.3


class DetectorTraining:
    """A `Component` that trains the embedded RetinaFace.

    smallest: height in pixels of the smallest face that counts; smaller ones are neither asked for nor punished
    """

    name = "detector"

    def __init__(self, composer: CrowdComposer, *, smallest: float = 12.0) -> None:
        self.composer, self.smallest = composer, smallest
        self.squares = anchors(composer.size, composer.size)

    def build(self) -> nn.Module:
        """A freshly initialised network."""
        network = RetinaFaceNetwork(**self.config()).train()
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)
        return network.to(memory_format=torch.channels_last)

    def config(self) -> dict[str, Any]:
        """What is saved beside the weights."""
        return {"backbone": "mobile0.25"}

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """`picture` (N, 3, S, S) BGR less the mean; per anchor `label` (N, A), `box` (N, A, 4), `landmarks` (N, A, 10).

        label: 1 face, 0 background, -1 neither asked for nor punished.
        """
        crowds = [self._crowd(rng, held_out) for _ in range(size)]
        targets = [match(c.boxes, c.landmarks, self.squares, self.smallest, c.ignored) for c in crowds]
        columns = [torch.from_numpy(np.stack(column)) for column in zip(*targets, strict=True)]
        pictures = network_input(np.stack([c.picture for c in crowds]))
        return {"picture": pictures, "label": columns[0], "box": columns[1], "landmarks": columns[2]}

    def _crowd(self, rng: np.random.Generator, held_out: bool) -> Crowd:
        crowd = self.composer.draw(rng, held_out=held_out)
        return crowd if rng.random() < CLEAN_SHARE else replace(crowd, picture=damage(crowd.picture, rng))

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Cross entropy with the hardest negatives, smooth L1 of boxes and landmarks on the anchors of faces."""
        offsets, logits, points = model(batch["picture"])
        label = batch["label"]
        face = label == 1
        count = face.sum().clamp(min=1)
        classes = _class_loss(logits, label)
        boxes = F.smooth_l1_loss(offsets[face], batch["box"][face], reduction="sum") / count
        marks = F.smooth_l1_loss(points[face], batch["landmarks"][face], reduction="sum") / count
        return BOX_WEIGHT * boxes + classes + LANDMARK_WEIGHT * marks

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Recall and precision at overlap 0.5 and score 0.5 over the crowds' faces, and the loss."""
        offsets, logits, _ = model(batch["picture"])
        scores = logits.softmax(dim=-1)[..., 1].cpu().numpy()
        found = hits = faces = 0
        for i in range(len(scores)):
            truth = _faces_of(batch, i, self.squares)
            ignored = batch["label"][i].cpu().numpy() == -1
            sure = np.flatnonzero((scores[i] >= 0.5) & ~ignored)
            boxes = decode_boxes(offsets[i].cpu().numpy()[sure], self.squares[sure])
            boxes = boxes[suppress(boxes, scores[i][sure], 0.4)]
            found, faces = found + len(boxes), faces + len(truth)
            hits += int((overlaps(truth, boxes).max(axis=1) >= 0.5).sum()) if len(boxes) and len(truth) else 0
        loss = self.loss(model, batch, generator)
        return {
            "recall": hits / max(faces, 1),
            "precision": min(1.0, hits / max(found, 1)),
            "held_out_loss": float(loss),
        }


def _class_loss(logits: Tensor, label: Tensor) -> Tensor:
    each = F.cross_entropy(logits.flatten(0, 1), label.flatten().clamp(min=0), reduction="none").view_as(label)
    face, background = label == 1, label == 0
    # A picture without faces must still teach what is none.
    wanted = (NEGATIVES_PER_FACE * face.sum(dim=1)).clamp(min=20)
    ranked = each.detach().masked_fill(~background, -1.0).argsort(dim=1, descending=True).argsort(dim=1)
    hard = background & (ranked < wanted[:, None])
    return (each * (face | hard)).sum() / face.sum().clamp(min=1)


def match(
    boxes: np.ndarray, points: np.ndarray, squares: np.ndarray, smallest: float, ignored: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give each anchor a face or none.

    boxes (n, 4), points (n, 5, 2) in pixels (centres at integers); squares (A, 3). Returns labels (A,) int64, box
    offsets (A, 4) and landmark offsets (A, 10), float32. Every face of `smallest` height and more gets at least one
    anchor. ignored: (m, 4) boxes over which an anchor that is no face's is neither asked for nor punished.
    """
    label = np.zeros(len(squares), np.int64)
    offsets, marks = np.zeros((len(squares), 4), np.float32), np.zeros((len(squares), 10), np.float32)
    around = np.concatenate([squares[:, :2] - squares[:, 2:] / 2, squares[:, :2] + squares[:, 2:] / 2], axis=1)
    for box in () if ignored is None else ignored + 0.5:
        low, high = np.maximum(around[:, :2], box[:2]), np.minimum(around[:, 2:], box[2:])
        label[np.prod(np.clip(high - low, 0, None), axis=1) > IGNORED_SHARE * squares[:, 2] ** 2] = -1
    if not len(boxes):
        return label, offsets, marks
    # The network counts pixels by their corners.
    boxes, points = boxes + 0.5, points + 0.5
    shared = overlaps(around, boxes)
    counted = boxes[:, 3] - boxes[:, 1] >= smallest
    best = shared.argmax(axis=1)
    strength = shared[np.arange(len(squares)), best]
    for face in np.flatnonzero(counted):
        nearest = int(shared[:, face].argmax())
        best[nearest], strength[nearest] = face, 1.0
    positive = (strength >= MATCH) & counted[best]
    label[(strength >= UNSURE) & ~positive] = -1
    # Anchors cannot be smaller than 16 pixels: those over a face that does not count overlap it only a little.
    centres = squares[:, :2]
    for box in boxes[~counted]:
        label[((centres > box[:2] - 4) & (centres < box[2:] + 4)).all(axis=1) & (squares[:, 2] <= 32) & ~positive] = -1
    label[positive] = 1
    offsets[positive] = encode_boxes(boxes[best[positive]], squares[positive])
    marks[positive] = encode_landmarks(points[best[positive]], squares[positive])
    return label, offsets, marks


def damage(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Fade, wear and degrade a crowd, (S, S, 3) uint8 in and out; gently enough that small faces stay faces."""
    seen = picture.astype(np.float32) / 255
    if rng.random() < 0.7:
        seen = fade(seen, rng)
    if rng.random() < 0.1:
        seen = wear(seen, rng)
    drawn = training_degradation(rng)
    strength = float(rng.uniform(0.1, 0.6))
    drawn = replace(
        drawn,
        blur_x=drawn.blur_x * strength,
        blur_y=drawn.blur_y * strength,
        downscale=min(drawn.downscale, 5.0) * 512 / picture.shape[0] * 0.5,
        codec=None,
        jpeg=drawn.jpeg if drawn.codec is None else int(rng.uniform(20, 60)),
    )
    return np.round(np.clip(degrade(seen, drawn, rng), 0, 1) * 255).astype(np.uint8)


def _faces_of(batch: Batch, index: int, squares: np.ndarray) -> np.ndarray:
    face = np.flatnonzero(batch["label"][index].cpu().numpy() == 1)
    boxes = decode_boxes(batch["box"][index].cpu().numpy()[face], squares[face])
    # Several anchors stand for one face: their boxes agree but for rounding.
    return boxes[suppress(boxes, np.ones(len(boxes)), 0.9)]
