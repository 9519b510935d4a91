"""Scratched and dusty clips whose clean version is known: the error under the damage, and elsewhere in the face."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from torch import Tensor

from dynface_video.faces.align import align_transform, sample
from dynface_video.faces.colour import LUMINANCE
from dynface_video.faces.paste import face_mask
from dynface_video.metrics.fidelity import psnr
from dynface_video.models.protocols import Regression
from dynface_video.pipeline import FacePipeline
from evaluation.clips import CleanClip
from training.damage import KINDS, draw_damage, lasting_scratches

DAMAGED_SHARE = 0.5
"""Of the frames: damage of that frame alone. Lines that stay are in all."""
LASTING = "lines that stay"
KIND_NAMES = (*(kind.__name__ for kind in KINDS), LASTING)
ALL, CLEAR = "all damage", "no damage"
INPUT, REPAIRED, RESTORED = "input", "repaired", "restored"
"""What is compared with the clean clip: the damaged one, what damage removal alone makes of it, and the pipeline."""
UNDER, FREE = 0.1, 0.01
"""Opacity from which on a pixel counts as damaged, and up to which it counts as free of damage."""
DISTANCE = 3
"""Pixels around damage that count as neither: codecs smear it."""
CROP = 256
"""Side of the aligned crop whose mask marks the face."""
RIM = 0.2
"""Share of that crop, from each border, that counts less and less."""
TARGET_RATIO = 1 / 3


@dataclass(frozen=True, eq=False)
class DamagedClip:
    """frames: (T, S, S, 3) uint8 RGB; opacity: (T, K, S, S) float32 in [0, 1] of each of `KIND_NAMES`."""

    frames: np.ndarray
    opacity: np.ndarray

    @property
    def covered(self) -> np.ndarray:
        """Opacity of all kinds together, (T, S, S)."""
        return np.asarray(1 - np.prod(1 - self.opacity, axis=1))


@dataclass(frozen=True)
class DamageError:
    """Mean absolute error of the luminance against the clean clip, in levels of 255, in the face.

    kind: one of `KIND_NAMES`, where it covers more than others, `ALL` or `CLEAR`; pixels: how many that are; input,
    repaired, restored: see `INPUT`, `REPAIRED` and `RESTORED`
    """

    clip: str
    kind: str
    pixels: int
    input: float
    repaired: float
    restored: float


@dataclass(frozen=True)
class UndamagedRow:
    """PSNR in the face, dB, of a clip without damage that went through the pipeline without its networks.

    kept: damage is left alone, repaired: it would be removed
    """

    clip: str
    kept: float
    repaired: float


class Unchanged:
    """A `FaceModel` that gives each crop back; it reads windows, so that the frames around are there."""

    reads_windows, reads_coarse = True, False

    def regress(
        self, degraded: Tensor, coarse: Tensor | None, neighbours: Tensor | None, valid: Tensor | None
    ) -> Regression:
        """See `FaceModel.regress`."""
        return Regression(degraded, degraded)


def without_networks(pipeline: FacePipeline) -> FacePipeline:
    """A pipeline that removes damage and, with `temporal_weight` 0, does nothing else; its one stage is the second."""
    own = pipeline.stages[min(1, len(pipeline.stages) - 1)]
    config = replace(own.config, window_radius=pipeline.stages[0].config.window_radius)
    return replace(pipeline, stages=(replace(own, config=config, restoration=Unchanged(), sampler=None),))


def damage_clip(frames: np.ndarray, rng: np.random.Generator) -> DamagedClip:
    """Lines that stay over all frames, and in some frames scratches, dust, stains and cracks of their own.

    frames: (T, S, S, 3) uint8 RGB
    """
    count, height, width = frames.shape[:3]
    damaged, covered = [], np.zeros((count, len(KIND_NAMES), height, width), np.float32)
    for frame, opacities, lines in zip(frames, covered, lasting_scratches(count, height, width, rng), strict=True):
        picture = frame.astype(np.float32) / 255
        layers = list(draw_damage(height, width, rng)) if rng.random() < DAMAGED_SHARE else []
        for kind, opacity, colour in (*layers, *((LASTING, *line) for line in lines)):
            picture = picture + opacity[..., None] * (colour - picture)
            own = opacities[KIND_NAMES.index(kind)]
            own[:] = 1 - (1 - own) * (1 - opacity)
        damaged.append(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return DamagedClip(np.stack(damaged), covered)


def damage_errors(clip: CleanClip, damaged: DamagedClip, versions: Mapping[str, np.ndarray]) -> list[DamageError]:
    """Compare versions of a damaged clip with the clean one, for each kind of damage that there is, all and none.

    Args:
        clip: The clean frames and their landmarks.
        damaged: Says what is damaged.
        versions: `INPUT`, `REPAIRED` and `RESTORED`, (T, S, S, 3) uint8 each.
    """
    face, covered = _face(clip), damaged.covered
    near = np.stack([cv2.dilate(o, np.ones((2 * DISTANCE + 1,) * 2, np.uint8)) for o in covered])
    under, most = face & (covered >= UNDER), damaged.opacity.argmax(axis=1)
    places = {name: under & (most == number) for number, name in enumerate(KIND_NAMES)}
    places |= {ALL: under, CLEAR: face & (near <= FREE)}
    errors = {name: _error(frames, clip.frames) for name, frames in versions.items()}
    return [
        DamageError(
            clip.name, kind, int(place.sum()), *(float(errors[n][place].mean()) for n in (INPUT, REPAIRED, RESTORED))
        )
        for kind, place in places.items()
        if place.any()
    ]


def undamaged_row(clip: CleanClip, kept: np.ndarray, repaired: np.ndarray) -> UndamagedRow:
    """Compare an undamaged clip (T, S, S, 3) uint8, without and with damage removal, with the clean one."""
    face = _face(clip)
    one, other = (
        psnr(frames[face] / np.float32(255), clip.frames[face] / np.float32(255)) for frames in (kept, repaired)
    )
    return UndamagedRow(clip.name, float(one), float(other))


def _face(clip: CleanClip) -> np.ndarray:
    return np.stack([face_region(points, clip.frames.shape[2]) for points in clip.landmarks])


def face_region(landmarks: np.ndarray, side: int) -> np.ndarray:
    """Where a picture of `side` pixels shows a face with these landmarks, (5, 2): (side, side) bool."""
    to_crop = align_transform(landmarks, CROP)
    mask = sample(face_mask(CROP, falloff=RIM), to_crop, (side, side), cv2.BORDER_CONSTANT)
    return np.asarray(mask > 0.5)


def markdown(rows: Sequence[DamageError]) -> str:
    """One line a clip, one a kind of damage in all of them, and what it means for the target."""
    lines = [
        "| clip | damaged: input | repaired | restored | ratio | free of damage: input | repaired | restored |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    covered = {row.clip: row for row in rows if row.kind == ALL}
    clear = {row.clip: row for row in rows if row.kind == CLEAR}
    for name, row in covered.items():
        cells = [row.input, row.repaired, row.restored, row.restored / row.input]
        cells += [clear[name].input, clear[name].repaired, clear[name].restored]
        lines.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in cells)} |")
    lines += ["", "| kind | share of damaged pixels | input | repaired | restored |", "| --- | --- | --- | --- | --- |"]
    total = sum(row.pixels for row in covered.values())
    for kind in KIND_NAMES:
        own = [row for row in rows if row.kind == kind]
        if own:
            weights = [row.pixels for row in own]
            means = [
                np.average([getattr(row, name) for row in own], weights=weights) for name in (INPUT, REPAIRED, RESTORED)
            ]
            cells_text = " | ".join(f"{mean:.1f}" for mean in means)
            lines.append(f"| {kind} | {sum(weights) / total:.2f} | {cells_text} |")
    lines.append("")
    for name in (REPAIRED, RESTORED):
        ratio = float(np.mean([getattr(row, name) / row.input for row in covered.values()]))
        risen = [row.clip for row in clear.values() if round(getattr(row, name), 2) > round(row.input, 2)]
        met, held = ("met" if good else "MISSED" for good in (ratio <= TARGET_RATIO, not risen))
        lines.append(f"- {name}, {met}: error under damage falls to a third: {ratio:.2f}")
        lines.append(
            f"- {name}, {held}: error elsewhere does not rise; clips where it does: {', '.join(risen) or 'none'}"
        )
    return "\n".join(lines) + "\n"


def undamaged_markdown(rows: Sequence[UndamagedRow]) -> str:
    """One line a clip."""
    lines = ["| clip without damage | PSNR, dB | with damage removal | loss |", "| --- | --- | --- | --- |"]
    lines += [f"| {r.clip} | {r.kept:.3f} | {r.repaired:.3f} | {r.kept - r.repaired:.3f} |" for r in rows]
    return "\n".join(lines) + "\n"


def _error(frames: np.ndarray, clean: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(frames.astype(np.float32) @ LUMINANCE - clean.astype(np.float32) @ LUMINANCE))
