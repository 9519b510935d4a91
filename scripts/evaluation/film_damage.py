"""Scratched and dusty clips whose clean version is known: the error under the damage, and elsewhere in the face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dynface_video.faces.align import align_transform, sample
from dynface_video.faces.colour import LUMINANCE
from dynface_video.faces.paste import face_mask
from evaluation.clips import CleanClip
from training.damage import damage_picture, scratches

DAMAGED_SHARE = 0.5
"""Of the frames: damage of that frame alone. Lines that stay are in all."""
JITTER = 0.002
"""By how much lines that stay move from frame to frame, in widths of the picture (std)."""
UNDER, CLEAR = 0.1, 0.01
"""Opacity from which on a pixel counts as damaged, and up to which it counts as clear."""
DISTANCE = 3
"""Pixels around damage that count as neither: codecs smear it."""
CROP = 256
"""Side of the aligned crop whose mask marks the face."""
RIM = 0.2
"""Share of that crop, from each border, that counts less and less."""
TARGET_RATIO = 1 / 3


@dataclass(frozen=True, eq=False)
class DamagedClip:
    """frames: (T, S, S, 3) uint8 RGB; opacity: (T, S, S) float32 in [0, 1] of what covers them."""

    frames: np.ndarray
    opacity: np.ndarray


@dataclass(frozen=True)
class DamageErrors:
    """Mean absolute error of the luminance against the clean clip, in levels of 255, in the face.

    damaged: pixels under damage, clear: pixels without; input: of the damaged clip, restored: of what was made of it
    """

    clip: str
    damaged_input: float
    damaged_restored: float
    clear_input: float
    clear_restored: float

    @property
    def ratio(self) -> float:
        """Error under the damage, restored over input; the target is `TARGET_RATIO`."""
        return self.damaged_restored / self.damaged_input


def damage_clip(frames: np.ndarray, rng: np.random.Generator) -> DamagedClip:
    """Lines that stay over all frames, and in some frames scratches, dust, stains and cracks of their own.

    frames: (T, S, S, 3) uint8 RGB
    """
    height, width = frames.shape[1:3]
    lines = scratches(height, width, rng)
    damaged, covered = [], []
    for frame in frames:
        picture, opacity = frame.astype(np.float32) / 255, np.zeros((height, width), np.float32)
        if rng.random() < DAMAGED_SHARE:
            picture, opacity = damage_picture(picture, rng)
        for line, colour in lines:
            shift = np.array([[1, 0, rng.normal(0, JITTER * width)], [0, 1, 0]], np.float32)
            moved = cv2.warpAffine(line, shift, (width, height))
            picture = picture + moved[..., None] * (colour - picture)
            opacity = 1 - (1 - opacity) * (1 - moved)
        damaged.append(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
        covered.append(opacity)
    return DamagedClip(np.stack(damaged), np.stack(covered).astype(np.float32))


def damage_errors(clip: CleanClip, damaged: DamagedClip, seen: np.ndarray, restored: np.ndarray) -> DamageErrors:
    """Compare a restored clip with the clean one.

    Args:
        clip: The clean frames and their landmarks.
        damaged: Says what is damaged.
        seen: The frames that were restored, (T, S, S, 3) uint8: the damaged ones, after a codec perhaps.
        restored: What was made of them, of the same shape.
    """
    face = np.stack([face_region(points, clip.frames.shape[2]) for points in clip.landmarks])
    near = np.stack([cv2.dilate(o, np.ones((2 * DISTANCE + 1,) * 2, np.uint8)) for o in damaged.opacity])
    under, clear = face & (damaged.opacity >= UNDER), face & (near <= CLEAR)
    before, after = (_error(frames, clip.frames) for frames in (seen, restored))
    return DamageErrors(
        clip.name,
        *(float(error[pixels].mean()) for pixels in (under, clear) for error in (before, after)),
    )


def face_region(landmarks: np.ndarray, side: int) -> np.ndarray:
    """Where a picture of `side` pixels shows a face with these landmarks, (5, 2): (side, side) bool."""
    to_crop = align_transform(landmarks, CROP)
    mask = sample(face_mask(CROP, falloff=RIM), to_crop, (side, side), cv2.BORDER_CONSTANT)
    return np.asarray(mask > 0.5)


def markdown(rows: list[DamageErrors]) -> str:
    """One line a clip, and what it means for the target."""
    lines = [
        "| clip | damaged: input | restored | ratio | clear: input | restored |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = (row.damaged_input, row.damaged_restored, row.ratio, row.clear_input, row.clear_restored)
        lines.append(f"| {row.clip} | {' | '.join(f'{value:.2f}' for value in cells)} |")
    ratio = float(np.mean([row.ratio for row in rows]))
    risen = [row.clip for row in rows if row.clear_restored > row.clear_input]
    lines += ["", f"- {'met' if ratio <= TARGET_RATIO else 'MISSED'}: error under damage falls to a third: {ratio:.2f}"]
    where = ", ".join(risen) or "none"
    lines.append(f"- {'MISSED' if risen else 'met'}: error elsewhere does not rise; clips where it does: {where}")
    return "\n".join(lines) + "\n"


def _error(frames: np.ndarray, clean: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(frames.astype(np.float32) @ LUMINANCE - clean.astype(np.float32) @ LUMINANCE))
