"""Training of the identity network: it learns a teacher's comparison of faces, on damaged pictures too.

The teacher (dlib's face recognition) sees a clean crop and its mirror image; the network sees the crop turned, moved,
coloured and damaged, and is asked to be as similar to every other training face as the teacher says.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dynface_video.faces.align import compose, scaling
from dynface_video.faces.identity import REFERENCE, crop_transform
from dynface_video.faces.identity_network import IdentityNetwork
from teachers.identity import FaceRecognition, face_chips
from training.data import NATIVE, FaceSet, jitter_colour
from training.degradation import degrade, training_degradation
from training.film import fade, occlude
from training.loop import Batch

CLEAN_SHARE, OCCLUDED_SHARE, FADED_SHARE = 0.3, 0.1, 0.5
HALF = NATIVE // 2
TEMPERATURE = 0.1
"""Of the softmax over all training faces: how similar a face is to the nearest ones counts most."""
EMBEDDED_AT_ONCE = 32
WHITENING, LEAST_VARIANCE = 0.75, 1e-3
"""Exponent of the whitening of the teacher's vectors: 0 leaves them, 1 makes all axes alike."""


class IdentityTraining:
    """A `Component` that trains the identity network.

    faces: aligned crops of 256 pixels
    embeddings: (N, D) of the teacher, see `teacher_embeddings`
    """

    name = "identity"

    def __init__(self, faces: FaceSet, embeddings: np.ndarray) -> None:
        # Half the pixels hold more than the network sees, in a quarter of the memory traffic.
        self.pictures = np.stack([cv2.resize(i, (HALF, HALF), interpolation=cv2.INTER_AREA) for i in faces.images])
        self.network = IdentityNetwork().config
        self.embeddings = torch.from_numpy(embeddings)
        self.positions = {h: np.flatnonzero(faces.held_out == h) for h in (False, True)}
        self.known = self.embeddings[torch.from_numpy(self.positions[False])]

    def build(self) -> nn.Module:
        """A freshly initialised network."""
        return IdentityNetwork().to(memory_format=torch.channels_last)

    def config(self) -> dict[str, Any]:
        """What is saved beside the weights."""
        return dict(self.network)

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """`crop` (N, 3, S, S) in [-1, 1] and `target` (N, D), the teacher's."""
        chosen = rng.choice(self.positions[held_out], size, replace=size > len(self.positions[held_out]))
        crops = np.stack([self._view(int(index), rng) for index in chosen])
        return {
            "crop": torch.from_numpy(crops).permute(0, 3, 1, 2) * 2 - 1,
            "target": self.embeddings[torch.from_numpy(chosen)],
        }

    def _view(self, index: int, rng: np.random.Generator) -> np.ndarray:
        """What the network may see of a face in a video, (S, S, 3) float32 in [0, 1]."""
        size = self.network.size
        centre = (size - 1) / 2
        zoom = float(np.exp(rng.normal(0, 0.05)))
        jitter = np.asarray(cv2.getRotationMatrix2D((centre, centre), float(rng.normal(0, 4)), zoom), np.float64)
        jitter[:, 2] += rng.normal(0, 0.025 * size, 2)
        matrix = compose(jitter, crop_transform(scaling(HALF, REFERENCE), size))
        crop = cv2.warpAffine(self.pictures[index], matrix, (size, size), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.5:
            crop = crop[:, ::-1]
        seen = jitter_colour(np.ascontiguousarray(crop).astype(np.float32) / 255, rng)
        if rng.random() < OCCLUDED_SHARE:
            other = self.pictures[int(rng.integers(len(self.pictures)))]
            seen = occlude(seen, cv2.resize(other, (size, size)).astype(np.float32) / 255, rng)
        if rng.random() < FADED_SHARE:
            seen = fade(seen, rng)
        if rng.random() < CLEAN_SHARE:
            return seen
        damage = training_degradation(rng)
        if damage.codec is not None:
            # A codec's start costs as much as the rest of the batch; JPEG leaves much the same blocks.
            damage = replace(damage, codec=None, jpeg=int(rng.uniform(15, 60)))
        return degrade(seen, damage, rng)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Distance to the teacher's vector, and to its likeness to all training faces (Kullback-Leibler)."""
        made, known = model(batch["crop"]), self.known.to(batch["crop"].device)
        target = F.softmax(batch["target"] @ known.T / TEMPERATURE, dim=1)
        likeness = F.log_softmax(made @ known.T / TEMPERATURE, dim=1)
        return F.kl_div(likeness, target, reduction="batchmean") + 2 * (1 - (made * batch["target"]).sum(dim=1)).mean()

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Mean similarity to the teacher, and how often its face is the nearest of the held-out ones."""
        made = model(batch["crop"])
        similar = made @ batch["target"].T
        right = similar.argmax(dim=1) == torch.arange(len(made), device=made.device)
        return {"similarity": float(similar.diagonal().mean()), "nearest": float(right.float().mean())}


def whitened(vectors: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Vectors (N, D) centred, with the axes along which people differ most reduced, and of length 1.

    Those axes are age, sex and origin: with them, two people of one group are as similar as two pictures of one person.

    training: positions of the vectors by which the axes are found
    """
    known = vectors[training].astype(np.float64)
    mean = known.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((known - mean).T))
    # The least axes hold next to nothing but noise.
    scales = np.maximum(variances, LEAST_VARIANCE * variances.max()) ** (-WHITENING / 2)
    turned = (vectors - mean) @ (axes * scales) @ axes.T
    return np.asarray(turned / np.linalg.norm(turned, axis=1, keepdims=True), np.float32)


def teacher_embeddings(faces: FaceSet, teacher: FaceRecognition, cache: Path) -> np.ndarray:
    """The teacher's vectors of all crops, (N, D) float32, whitened and of length 1; kept in `cache`.

    A vector is the mean of those of the crop and of its mirror image: handedness says nothing about a person.
    """
    if not cache.exists():
        parts = []
        for first in range(0, len(faces.images), EMBEDDED_AT_ONCE):
            crops = torch.from_numpy(faces.images[first : first + EMBEDDED_AT_ONCE].copy()).permute(0, 3, 1, 2)
            crops = crops.float() / 127.5 - 1
            with torch.inference_mode():
                both = teacher(face_chips(torch.cat([crops, crops.flip(3)])))
            parts.append((both[: len(crops)] + both[len(crops) :]).numpy() / 2)
        made = whitened(np.concatenate(parts), np.flatnonzero(~faces.held_out))
        temporary = cache.with_name(f"{os.getpid()}.{cache.name}")
        np.save(temporary, made.astype(np.float32))
        os.replace(temporary, cache)
    return np.load(cache)
