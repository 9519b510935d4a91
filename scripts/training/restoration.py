"""Training of RM: regress the clean crop from a degraded one, then also from a window of a degraded clip."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dynface_video.errors import ModelError
from dynface_video.models.restoration import RestorationModel
from dynface_video.temporal.flow_averaging import every_pair, neighbour_motions, warp_neighbours
from training.clips import clip_degradation, degrade_clip, sample_clip
from training.data import FaceSet, plain_crop, sample_crop
from training.degradation import STRENGTHS, degrade, evaluation_degradation, training_degradation
from training.loop import Batch
from training.losses import FaceLosses, LossWeights, inside_picture, scores_by_strength

SMALLEST_ERROR = 1e-5
RADIUS = 2
ALONE_SHARE = 0.5
"""Of the batches of `WindowTraining`: single crops, at a quarter of a window's cost; bridged faces read no more."""
FACES_LOSS = LossWeights(pixel=6.0, colour=3.0, chroma=30.0, perceptual=2.0, identity=4.0, adversarial=0.0)
"""Of `FacesTraining`: nothing adversarial, since the prior draws what the guide does not take from RM."""
LOG_ERROR_WEIGHT = 0.1


class RestorationTraining:
    """A `Component` that trains RM on synthetic degradation.

    network: an RM whose configuration is that of the one to train
    """

    name = "restoration"

    def __init__(self, faces: FaceSet, network: RestorationModel) -> None:
        self.faces, self.network = faces, network

    def build(self) -> nn.Module:
        """A freshly initialised RM."""
        return RestorationModel.from_config(self.network.config)

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Clean crops and degraded ones in [-1, 1]; held-out ones by the three evaluation strengths in turn."""
        indices = rng.choice(self.faces.indices(held_out=held_out), size)
        clean, degraded, masks = [], [], []
        for k, index in enumerate(indices):
            if held_out:
                crop = plain_crop(self.faces, int(index), self.network.config.resolution)
                mask = np.ones(crop.shape[:2], np.float32)
                degradation = evaluation_degradation(list(STRENGTHS)[k % 3], rng)
            else:
                crop, mask = sample_crop(self.faces, int(index), self.network.config.resolution, rng)
                degradation = training_degradation(rng)
            clean.append(crop)
            masks.append(mask)
            degraded.append(degrade(crop, degradation, rng))
        return {
            "clean": torch.from_numpy(np.stack(clean)).permute(0, 3, 1, 2) * 2 - 1,
            "degraded": torch.from_numpy(np.stack(degraded)).permute(0, 3, 1, 2) * 2 - 1,
            "mask": torch.from_numpy(np.stack(masks))[:, None],
        }

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Mean over the crops of the logarithm of the squared error inside the picture: what PSNR counts.

        A decibel is worth the same on a mild crop as on a severe one; under a plain distance mild crops, whose errors
        are small, would hardly be learned.
        """
        return log_error(model(batch["degraded"]).float(), batch)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """PSNR of RM, and its gain over the degraded crop, for each evaluation strength."""
        return _scores(model(batch["degraded"]), batch["degraded"], batch["clean"])


class WindowTraining:
    """A `Component` that teaches a trained RM to read neighbouring crops too, on clips of simulated motion.

    Half of the batches are of single crops, so that it goes on learning these.

    initial: the RM that it begins as, of single crops or of windows
    """

    name = "restoration_window"

    def __init__(self, faces: FaceSet, initial: RestorationModel, fusion: int) -> None:
        self.faces, self.initial = faces, initial
        self.network = RestorationModel.from_config(initial.config, fusion_channels=fusion)
        self.single = RestorationTraining(faces, self.network)

    def build(self) -> nn.Module:
        """The initial network, with an untrained fusion where it has none."""
        model = RestorationModel.from_config(self.network.config)
        missing, unexpected = model.load_state_dict(self.initial.state_dict(), strict=False)
        if unexpected or any(not name.startswith("fusion.") for name in missing):
            raise ModelError(f"the initial network does not fit: {missing} are missing, {unexpected} too many")
        return model

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Single crops (`RestorationTraining.batch`) or windows; held-out ones are windows."""
        if not held_out and rng.random() < ALONE_SHARE:
            return self.single.batch(rng, size, held_out=False)
        return self.windows(rng, size, held_out=held_out)

    def windows(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """The middle frames of clips, clean and degraded in [-1, 1], and their neighbours warped onto them.

        Of the 2 * RADIUS neighbours a training clip has at random all, the inner ones, one side or single ones;
        held-out clips have all, and the three evaluation strengths in turn.
        """
        resolution, count = self.network.config.resolution, 2 * RADIUS + 1
        rows: dict[str, list[np.ndarray]] = {"clean": [], "degraded": [], "mask": [], "neighbours": [], "valid": []}
        for k, index in enumerate(rng.choice(self.faces.indices(held_out=held_out), size)):
            clip, mask = sample_clip(self.faces, int(index), resolution, count, rng)
            kind = evaluation_degradation(list(STRENGTHS)[k % 3], rng) if held_out else clip_degradation(rng)
            degraded = degrade_clip(clip, kind, rng)
            valid = np.ones(2 * RADIUS, bool) if held_out else some_neighbours(rng)
            others = np.delete(np.arange(count), RADIUS)
            rows["clean"].append(clip[RADIUS])
            rows["degraded"].append(degraded[RADIUS])
            rows["mask"].append(mask)
            rows["neighbours"].append(warped_window(degraded[RADIUS], degraded[others], valid))
            rows["valid"].append(valid)
        tensors = {name: torch.from_numpy(np.stack(values).astype(np.float32)) for name, values in rows.items()}
        for name in ("clean", "degraded", "neighbours"):
            tensors[name] = tensors[name].movedim(-1, -3) * 2 - 1
        tensors["mask"] = tensors["mask"][:, None]
        return tensors

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """As that of single crops."""
        return log_error(model(batch["degraded"], None, batch.get("neighbours"), batch.get("valid")).float(), batch)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """PSNR at each evaluation strength with the window, and what it gains over the same network without one."""
        parts = zip(*(batch[name].split(8) for name in ("degraded", "neighbours", "valid")), strict=True)
        restored = torch.cat([model(crops, None, *window) for crops, *window in parts])
        alone = torch.cat([model(part) for part in batch["degraded"].split(8)])
        return _scores(restored, alone, batch["clean"])


class FacesTraining:
    """A `Component` that trains a trained RM by the faces it gives: pixels, colour, features and identity.

    Squared error alone gives the mean of all faces that a crop may have been, and a mean looks like nobody. What the
    guide keeps of RM's face decides who it is, so nothing after RM brings that back.

    Args:
        windows: Clips and single crops, and the RM to begin as.
        losses: What the faces are compared by.
    """

    name = "restoration_faces"

    def __init__(self, windows: WindowTraining, losses: FaceLosses) -> None:
        self.windows, self.losses = windows, losses

    def build(self) -> nn.Module:
        """The initial network."""
        return self.windows.build()

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """As of `WindowTraining`, held-out crops alone."""
        if held_out:
            return self.windows.single.batch(rng, size, held_out=True)
        return self.windows.batch(rng, size, held_out=False)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """See `faces_loss`."""
        return faces_loss(model, batch, self.losses, generator)

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """See `scores_by_strength`, of single crops."""
        return scores_by_strength(model(batch["degraded"]).float(), batch["clean"], self.losses)


def faces_loss(model: nn.Module, batch: Batch, losses: FaceLosses, generator: torch.Generator) -> Tensor:
    """Features and identity of restored crops or windows beside the logarithm of the squared error, a scalar."""
    restored = model(batch["degraded"], None, batch.get("neighbours"), batch.get("valid")).float()
    with torch.autocast(restored.device.type, enabled=False):
        inside = inside_picture(restored, batch["clean"], batch["mask"])
        faces = losses.reconstruction(inside, batch["clean"])
        faces = faces + losses.same_person(inside, batch["clean"], generator)
        return faces + LOG_ERROR_WEIGHT * log_error(restored, batch)


def warped_window(middle: np.ndarray, neighbours: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Neighbouring crops (K, R, R, 3) warped to the middle one, (R, R, 3), which stands for invalid ones."""
    window = np.repeat(middle[None], len(neighbours), axis=0)
    if valid.any():
        own = torch.from_numpy(middle).permute(2, 0, 1)[None]
        seen = torch.from_numpy(neighbours[valid]).permute(0, 3, 1, 2)[None]
        warped = warp_neighbours(own, seen[0], every_pair(neighbour_motions(own, seen)))
        window[valid] = warped.permute(0, 2, 3, 1).numpy()
    return window


def some_neighbours(rng: np.random.Generator) -> np.ndarray:
    """Which of the neighbours -RADIUS .. RADIUS (without 0) a training crop has, (2 * RADIUS,) bool, at least one."""
    offsets = np.delete(np.arange(-RADIUS, RADIUS + 1), RADIUS)
    kind = rng.random()
    if kind < 0.55:
        return np.asarray(np.abs(offsets) <= rng.integers(1, RADIUS + 1))
    if kind < 0.75:
        return np.asarray((offsets > 0) == (rng.random() < 0.5))
    return np.asarray((rng.random(2 * RADIUS) < 0.6) | (offsets == rng.choice(offsets)))


def log_error(restored: Tensor, batch: Batch) -> Tensor:
    """Mean over the crops of the logarithm of the squared error inside the picture."""
    squared = ((restored - batch["clean"]) * batch["mask"]).square().mean(dim=(1, 2, 3))
    return torch.log(squared / batch["mask"].mean(dim=(1, 2, 3)).clamp(min=0.1) + SMALLEST_ERROR).mean()


def _scores(restored: Tensor, before: Tensor, clean: Tensor) -> dict[str, float]:
    restored, before, scores = restored.float().clamp(-1, 1), before.float().clamp(-1, 1), {}
    for k, strength in enumerate(STRENGTHS):
        part = slice(k, None, 3)
        after = _psnr(restored[part], clean[part])
        scores[f"psnr_{strength}"] = after
        scores[f"gain_{strength}"] = after - _psnr(before[part], clean[part])
    return scores


def _psnr(a: Tensor, b: Tensor) -> float:
    return float((10 * torch.log10(4 / (a - b).square().mean(dim=(1, 2, 3)))).mean())
