"""Training of the damage detector: clean crops, damaged on purpose, seen through soft optics and codecs."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.faces.colour import LUMINANCE
from dynface_video.models.damage_detector import DamageDetector
from training.damage import Layer, draw_damage, lasting_scratches
from training.data import NATIVE, FaceSet, jitter_colour
from training.loop import Batch

PATCH = 128
PATCHES_A_CROP = 2
SIDES, SIDE_SHARES = (128, 256, 512), (0.2, 0.55, 0.25)
"""Sides of the crops that patches are cut from."""
DAMAGED_SHARE = 0.8
SCRATCHED_SHARE = 0.5
"""Of the damaged crops: scratches as those that stay, beside or instead of damage of a frame."""
PICTURES = (0.8, 3.0)
"""Side of the picture that the damage was drawn on, in sides of the crop: lengths of damage follow it."""
ROLL = 10.0
"""Std of the roll of heads, degrees: scratches are upright in the frame, not in the crop."""
SHARP_SHARE = 0.4
BLUR = (0.3, 3.0)
"""Sigma of the blur of the others, below the damage, pixels at 256."""
SHRINK, NOISE, QUALITY = 2.5, 9.0, (35, 95)
"""What happens to the damaged picture: shrunk by up to so much, noise of up to that std, levels of 255, JPEG."""
GRAIN = 1.2
"""Largest blur of that noise, pixels: film's grain is coarser than a pixel."""
GREY_SHARE = 0.25
BROAD_SHARE, BROADENED = 0.2, 0.03
"""Of the layers of damage: made broader, by up to this share of the crop's side."""
SAME_COLOUR_SHARE = 0.25
"""Of the layers of damage: of a colour that the face, its hair or what surrounds it has."""
VISIBLE, INVISIBLE = 8 / 255, 3 / 255
"""Larger changes of a pixel are labelled damage, smaller ones undamaged; those in between are ignored."""
DAMAGE_WEIGHT = 2.0
REPLACEMENT_WEIGHT = 4.0


@dataclass(frozen=True, eq=False)
class DamagedCrop:
    """A training example.

    Attributes:
        damaged: The input, (R, R, 3) float32 in [0, 1].
        wanted: The same crop without damage, noise and JPEG, (R, R, 3) float32 in [0, 1].
        label: (R, R) float32: 1 for damaged pixels, 0 for undamaged ones, 0.5 for those that the loss ignores.
    """

    damaged: np.ndarray
    wanted: np.ndarray
    label: np.ndarray


class DamageDetectorTraining:
    """A `Component`; portraits are crops of 256 pixels, large ones of 512."""

    name = "damage_detector"

    def __init__(self, portraits: FaceSet, large: FaceSet) -> None:
        self.portraits, self.large = portraits, large

    def build(self) -> nn.Module:
        """A fresh detector."""
        return DamageDetector()

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """damaged, wanted: (B, 3, P, P) in [-1, 1]; label: (B, 1, P, P), see `DamagedCrop`."""
        parts: list[tuple[np.ndarray, ...]] = []
        while len(parts) < size:
            crop = self.crop(rng, int(rng.choice(SIDES, p=SIDE_SHARES)), held_out=held_out)
            for _ in range(PATCHES_A_CROP):
                y, x = rng.integers(0, crop.label.shape[0] - PATCH + 1, 2)
                place = np.s_[y : y + PATCH, x : x + PATCH]
                parts.append((2 * crop.damaged[place] - 1, 2 * crop.wanted[place] - 1, crop.label[place][..., None]))
        columns = zip(*parts[:size], strict=True)
        damaged, wanted, label = (torch.from_numpy(np.stack(column)).permute(0, 3, 1, 2) for column in columns)
        return {"damaged": damaged.float(), "wanted": wanted.float(), "label": label.float()}

    def crop(self, rng: np.random.Generator, side: int, *, held_out: bool) -> DamagedCrop:
        """A random face, degraded, four of five times with damage."""
        faces = self.large if side > NATIVE else self.portraits
        native = faces.images.shape[1]
        index = int(rng.choice(faces.indices(held_out=held_out)))
        image = np.asarray(faces.images[index])
        if side < native:
            image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        middle = ((side - 1) / 2, (side - 1) / 2)
        turn = cv2.getRotationMatrix2D(middle, rng.normal(0, ROLL), float(np.exp(rng.normal(0.05, 0.1))))
        clean = cv2.warpAffine(image, turn, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        clean = jitter_colour(clean[:, :: rng.choice([-1, 1])].astype(np.float32) / 255, rng)
        if rng.random() > SHARP_SHARE:
            clean = cv2.GaussianBlur(clean, (0, 0), rng.uniform(*BLUR) * side / 256)
        covered, grey = clean, rng.random() < GREY_SHARE
        for opacity, colour in random_layers(side, rng) if rng.random() < DAMAGED_SHARE else ():
            if rng.random() < BROAD_SHARE:
                broad = 1 + round(rng.uniform(0, BROADENED) * side)
                opacity = cv2.dilate(opacity, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (broad, broad)))
            if rng.random() < SAME_COLOUR_SHARE:
                colour = clean[tuple(rng.integers(0, side, 2))]
            covered = covered + opacity[..., None] * (colour - covered)
        if grey:
            clean, covered = (np.repeat((picture @ LUMINANCE)[..., None], 3, axis=2) for picture in (clean, covered))
        return seen_through(clean, np.clip(covered, 0, 1).astype(np.float32), rng)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Cross entropy of the damage, and the L1 distance of what replaces it."""
        logits, replaced = model(batch["damaged"])
        asked, damaged = (batch["label"] != 0.5).float(), (batch["label"] > 0.5).float()
        weight = asked * (1 + (DAMAGE_WEIGHT - 1) * damaged)
        entropy = F.binary_cross_entropy_with_logits(logits, batch["label"], weight)
        near = F.max_pool2d((batch["label"] > 0).float(), 5, stride=1, padding=2)
        distance = (near * (replaced - batch["wanted"]).abs()).sum() / (3 * near.sum() + 1)
        return entropy + REPLACEMENT_WEIGHT * near.mean().clamp(min=0.02) * distance

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Recall and precision at one half, and the error under damage before and after, levels of 255."""
        logits, replaced = model(batch["damaged"])
        found, damaged, none = logits > 0, batch["label"] == 1, batch["label"] == 0
        hits, false = float((found & damaged).sum()), float((found & none).sum())
        before = (batch["damaged"] - batch["wanted"]).abs().mean(dim=1, keepdim=True)[damaged].mean()
        after = (replaced - batch["wanted"]).abs().mean(dim=1, keepdim=True)[damaged].mean()
        return {
            "recall": hits / max(1.0, float(damaged.sum())),
            "precision": hits / max(1.0, hits + false),
            "false": false / max(1.0, float(none.sum())),
            "before": 127.5 * float(before),
            "after": 127.5 * float(after),
        }


def random_layers(side: int, rng: np.random.Generator) -> list[Layer]:
    """Damage of a crop that is a part of a picture; one of it at least is drawn, though it may miss the crop."""
    width = max(side // 2, round(side * np.exp(rng.uniform(*np.log(PICTURES)))))
    y, x = (int(v) for v in rng.integers(min(0, width - side), max(0, width - side) + 1, 2))
    scratched = rng.random() < SCRATCHED_SHARE
    layers: list[Layer] = list(next(lasting_scratches(1, width, width, rng))) if scratched else []
    if not scratched or rng.random() < 0.5:
        layers += [(opacity, colour) for _, opacity, colour in draw_damage(width, width, rng)]
    if width < side:
        return [(cv2.resize(opacity, (side, side)), colour) for opacity, colour in layers]
    return [(opacity[y : y + side, x : x + side], colour) for opacity, colour in layers]


def seen_through(clean: np.ndarray, covered: np.ndarray, rng: np.random.Generator) -> DamagedCrop:
    """Shrink, add noise, code and enlarge a damaged crop, (R, R, 3) float32 in [0, 1]; clean: without damage."""
    side = clean.shape[0]
    small = max(8, round(side / np.exp(rng.uniform(0, np.log(SHRINK)))))
    pair = [cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA) for picture in (clean, covered)]
    wanted, shown = (_enlarged(picture, side) for picture in pair)
    change = cv2.GaussianBlur(np.asarray(np.abs(shown - wanted).max(axis=2)), (3, 3), 0)
    label = np.where(change > VISIBLE, 1.0, np.where(change > INVISIBLE, 0.5, 0.0)).astype(np.float32)
    noise = np.asarray(rng.standard_normal(pair[1].shape), np.float32)
    if rng.random() < 0.5:
        noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), float(rng.uniform(0.3, GRAIN))))
        noise = np.asarray(noise / noise.std(), np.float32)
    grainy = pair[1] + noise * np.float32(rng.uniform(0, 1) ** 2 * NOISE / 255)
    levels = np.rint(np.clip(grainy, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.8:
        _, data = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(*QUALITY))])
        levels = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
    return DamagedCrop(_enlarged(levels.astype(np.float32) / 255, side), wanted, label)


def _enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    return np.clip(cv2.resize(picture, (side, side), interpolation=cv2.INTER_CUBIC), 0, 1)
