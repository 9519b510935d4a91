"""Training of RM of a local stage, of 256 or 512 pixels (docs/method.md 8).

It reads the source's crop at its own resolution beside the enlarged result of the coarser stage, and works locally: it
learns on patches of crops that were degraded whole. The stages below are the RMs that exist, without gradient.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dynface_video.faces.align import scaling, template
from dynface_video.models.restoration import RestorationModel, enlarge_coarse, reading_coarse
from training.data import FaceSet, jitter_colour, picture_mask
from training.degradation import degrade, local_degradation
from training.discriminator import Adversarial, PatchDiscriminator
from training.local_validation import Sheet, held_out_sheets, reduced, sheet_scores
from training.loop import Batch
from training.losses import FaceLosses, LossWeights, inside_picture

PATCH = 128
PATCHES_A_CROP = 2
MARGIN = 32
"""Pixels of 256 around the part of a patch of 512 that its coarser stage sees as well."""
LOCAL_LOSS = LossWeights(pixel=6.0, colour=4.0, chroma=8.0, perceptual=16.0, identity=5.0,
                         checkerboard=40.0, adversarial=0.05, knee=0.1)  # fmt: skip
"""With less weight on features and identity it gains PSNR and stays soft."""
FACE_SHARE = 0.35
"""Of the batches of the stage of 256 pixels: whole faces, a half as many, which the identity loss needs."""
FACE_CORNER, FACE_SIDE = (32, 56), 192
"""The part of a crop of 256 pixels that holds all that the identity network sees; around it much is mirrored."""
REDUCED_SHARE = 0.5
"""Of the crops of 256 pixels: those of 512 reduced, which are sharper than most."""
LARGEST_SCALE = 1.0
"""Crop pixels for one of the source picture: a crop that was enlarged beyond lacks its finest detail."""
CENTRED_SHARE = 0.5
"""Of the patches: around an eye, the nose or a corner of the mouth."""
LEAST_INSIDE = 0.6
"""Share of a patch that has to lie in the picture, if one of a few draws does."""
SHARPENED_SHARE = 0.35
"""Of the coarser faces: moved towards the clean one. The sampler of the coarser stage draws detail that RM does not
have; a network that had only seen RM's would take none of it."""


@dataclass(frozen=True)
class Crop:
    """A clean crop and its degraded one, (R, R, 3) float32 in [0, 1]; mask: (R, R), 0 where it was mirrored."""

    clean: np.ndarray
    degraded: np.ndarray
    mask: np.ndarray


@dataclass(frozen=True)
class LocalFaces:
    """What RM of the local stages learns from.

    Attributes:
        portraits: Crops of 256 pixels.
        large: Crops of 512 pixels.
    """

    portraits: FaceSet
    large: FaceSet


class LocalRestorationTraining:
    """A `Component` that trains RM of a stage above 128 pixels beside a discriminator of patches.

    Args:
        faces: Clean crops.
        coarse: RM of 128 pixels, frozen.
        losses: What sharp faces are compared by.
        network: What the network begins as; None for `coarse`.
        below: RM of 256 pixels, frozen: trains the stage of 512. None trains the stage of 256.
    """

    def __init__(
        self,
        faces: LocalFaces,
        coarse: RestorationModel,
        losses: FaceLosses,
        *,
        network: RestorationModel | None = None,
        below: RestorationModel | None = None,
    ) -> None:
        self.portraits, self.large, self.coarse, self.losses = faces.portraits, faces.large, coarse, losses
        self.name = "local_restoration" if below is None else "fine_restoration"
        self.network, self.below = network or reading_coarse(coarse), below
        self.baseline: dict[str, float] = {}
        self.sheets: list[Sheet] = []

    def build(self) -> nn.Module:
        """The network as it begins, and a fresh discriminator."""
        return Adversarial(copy.deepcopy(self.network).requires_grad_(True), PatchDiscriminator())

    def batch(self, rng: np.random.Generator, size: int, *, held_out: bool) -> Batch:
        """Patches, or at 256 pixels also whole faces.

        Args:
            rng: Decides everything.
            size: Number of patches; a half as many whole faces. Held out: number of faces by strength.
            held_out: Prepare validation, which keeps its faces to itself and returns an empty batch.

        Returns:
            clean, degraded: (B, 3, S, S) in [-1, 1]; mask: (B, 1, S, S); coarse: (B, 3, S, S), the enlarged coarser
            face. At 512 pixels the coarser face is still to be made: `below` and `below_coarse`, (B, 3, 128, 128) of
            the stage of 256, and `place`, (B, 2), x and y of the patch in it, in its pixels.
        """
        if held_out:
            self.sheets = held_out_sheets(self.large, self.coarse, size, rng)
            return {}
        if self.below is not None:
            return self._patches(rng, size, 512)
        if rng.random() < FACE_SHARE:
            return face_parts(self.whole_crops([self.crop(rng, 256) for _ in range(max(1, size // 2))], rng))
        return self._patches(rng, size, 256)

    def loss(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> Tensor:
        """Pixels, colour, features and the discriminator's opinion, of whole faces identity too; both hinge losses."""
        assert isinstance(model, Adversarial)
        coarse = batch["coarse"] if self.below is None else coarser_patches(self.below, batch)
        restored = model.generator(batch["degraded"], coarse).float()
        with torch.autocast(restored.device.type, enabled=False):
            clean = batch["clean"]
            restored = inside_picture(restored, clean, batch["mask"])
            for_generator, for_discriminator = model.losses(restored, clean)
            loss = self.losses.reconstruction(restored, clean) + self.losses.weights.adversarial * for_generator
            if clean.shape[-1] > PATCH:
                loss = loss + self.losses.same_person(in_crop(restored), in_crop(clean), generator)
            return loss + for_discriminator

    def validate(self, model: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, float]:
        """Scores of whole held-out faces by stage and strength, and those of input and RM of 128."""
        assert isinstance(model, Adversarial)
        if not self.baseline:
            for name in ("input", "rm128"):
                self.baseline |= sheet_scores(self.sheets, self.losses, name)
        for sheet in self.sheets:
            sheet.restore([model.generator] if self.below is None else [self.below, model.generator])
        return sheet_scores(self.sheets, self.losses, "rm") | self.baseline

    def _patches(self, rng: np.random.Generator, count: int, size: int) -> Batch:
        crops = [self.crop(rng, size) for _ in range(-(-count // PATCHES_A_CROP))]
        coarse = enlarge_coarse(self._coarsest(crops, rng), 256)
        owners = [k // PATCHES_A_CROP for k in range(count)]
        corners = [patch_corner(crops[k].mask, rng) for k in owners]
        places = list(zip(owners, corners, strict=True))
        parts = [[cut(picture, corner, PATCH) for picture in (crops[k].clean, crops[k].degraded, crops[k].mask)]
                 for k, corner in places]  # fmt: skip
        batch = _stacked(*(list(column) for column in zip(*parts, strict=True)))
        if size == 256:
            return batch | {"coarse": torch.stack([coarse[k, :, y : y + PATCH, x : x + PATCH] for k, (x, y) in places])}
        below = [reduced(crop.degraded, 256) for crop in crops]
        windows = [window_below(corner) for corner in corners]
        return batch | {
            "below": _tensor([cut(below[k], (x, y), PATCH) for k, (x, y) in zip(owners, windows, strict=True)]) * 2 - 1,
            "below_coarse": torch.stack(
                [coarse[k, :, y : y + PATCH, x : x + PATCH] for k, (x, y) in zip(owners, windows, strict=True)]
            ),
            "place": torch.tensor([[x // 2 - a, y // 2 - b] for (x, y), (a, b) in zip(corners, windows, strict=True)]),
        }

    def crop(self, rng: np.random.Generator, size: int, *, held_out: bool = False) -> Crop:
        """A sharp face of `size` pixels, 256 or 512, and what the degradation of the local stages leaves of it."""
        faces = self.large if size == 512 or rng.random() < REDUCED_SHARE else self.portraits
        native = faces.images.shape[1]
        sharp = faces.indices(held_out=held_out, largest_scale=LARGEST_SCALE * native / size)
        index = int(rng.choice(sharp))
        image = faces.images[index]
        mask = picture_mask(faces, index, scaling(native, native), native)
        if native > size:
            image = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
            mask = cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        clean = jitter_colour(image.astype(np.float32) / 255, rng)
        return Crop(clean, degrade(clean, local_degradation(rng), rng), np.ascontiguousarray(mask))

    def whole_crops(self, crops: list[Crop], rng: np.random.Generator) -> Batch:
        """Crops of 256 pixels and the coarser faces beside them, as of `batch`."""
        batch = _stacked([c.clean for c in crops], [c.degraded for c in crops], [c.mask for c in crops])
        return batch | {"coarse": enlarge_coarse(self._coarsest(crops, rng), 256)}

    @torch.no_grad()
    def _coarsest(self, crops: list[Crop], rng: np.random.Generator) -> Tensor:
        """What the stage of 128 makes of degraded crops, (B, 3, 128, 128), some of it moved towards the clean face."""
        estimates = self.coarse(_tensor([reduced(c.degraded, 128) for c in crops]) * 2 - 1)
        shares = [rng.uniform(0.3, 1.0) if rng.random() < SHARPENED_SHARE else 0.0 for _ in crops]
        clean = _tensor([reduced(c.clean, 128) for c in crops]) * 2 - 1
        return torch.lerp(estimates.clamp(-1, 1), clean, torch.tensor(shares)[:, None, None, None])


@torch.no_grad()
def coarser_patches(below: nn.Module, batch: Batch) -> Tensor:
    """The stage of 256 below patches of 512: made on a part with a margin, enlarged, and cut, (B, 3, 128, 128)."""
    made = below(batch["below"], batch["below_coarse"]).float().clamp(-1, 1)
    enlarged = enlarge_coarse(made, 2 * PATCH)
    return torch.stack([picture[:, 2 * y : 2 * y + PATCH, 2 * x : 2 * x + PATCH]
                        for picture, (x, y) in zip(enlarged, batch["place"].tolist(), strict=True)])  # fmt: skip


def face_parts(batch: Batch) -> Batch:
    """The part of whole crops that the identity network sees, (B, C, 192, 192) each of crops of 256 pixels."""
    scale = batch["clean"].shape[-1] // 256
    x, y, side = (scale * v for v in (*FACE_CORNER, FACE_SIDE))
    return {name: crops[..., y : y + side, x : x + side] for name, crops in batch.items()}


def in_crop(faces: Tensor) -> Tensor:
    """Such parts at their place in crops whose rest is 0."""
    scale = faces.shape[-1] // FACE_SIDE
    x, y, rest = (scale * v for v in (*FACE_CORNER, 256 - FACE_SIDE))
    return functional.pad(faces, (x, rest - x, y, rest - y))


def window_below(corner: tuple[int, int]) -> tuple[int, int]:
    """Where the part of 128 pixels of a crop of 256 begins that a patch of its crop of 512 at `corner` lies in."""
    x, y = (min(max(v // 2 - MARGIN, 0), 256 - PATCH) for v in corner)
    return x, y


def patch_corner(mask: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
    """An even corner (x, y) of a patch of a crop, around a point of the face as often as not.

    mask: (R, R), 0 where the crop was mirrored: of a few draws the first is taken that lies mostly inside.
    """
    size = mask.shape[0]
    for _ in range(6):
        if rng.random() < CENTRED_SHARE:
            wanted = template(size)[rng.integers(5)] + rng.normal(0, 0.06 * size, 2) - PATCH / 2
        else:
            wanted = rng.uniform(0, size - PATCH, 2)
        x, y = (int(v) // 2 * 2 for v in np.clip(wanted, 0, size - PATCH))
        if mask[y : y + PATCH, x : x + PATCH].mean() >= LEAST_INSIDE:
            break
    return x, y


def cut(picture: np.ndarray, corner: tuple[int, int], size: int) -> np.ndarray:
    """The square of `size` pixels of a picture whose first pixel is `corner`, (x, y)."""
    x, y = corner
    return picture[y : y + size, x : x + size]


def _tensor(pictures: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.stack(pictures), np.float32)).permute(0, 3, 1, 2)


def _stacked(clean: list[np.ndarray], degraded: list[np.ndarray], mask: list[np.ndarray]) -> Batch:
    return {
        "clean": _tensor(clean) * 2 - 1,
        "degraded": _tensor(degraded) * 2 - 1,
        "mask": torch.from_numpy(np.stack(mask))[:, None],
    }
