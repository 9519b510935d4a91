"""Sheets of faces at full size to judge by eye: input, restored and clean side by side, a person a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from evaluation.faces import CleanFace
from evaluation.measure import Evaluation

PEOPLE = 6
LABEL = 20
PAPER = 245


def contact_sheet(
    evaluation: Evaluation, strength: str, columns: Mapping[str, str], *, people: int = PEOPLE
) -> np.ndarray:
    """People of different groups at one strength, each picture at its own size.

    Args:
        evaluation: Holds the pictures.
        strength: The strength that is shown.
        columns: Heading of a column to the method shown in it, from left to right; the clean face comes last.
        people: Number of rows.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    faces = [face.clean for face in evaluation.faces[strength]]
    size = faces[0].image.shape[0]
    rows = [np.concatenate([_label(f"{strength}: {text}", size) for text in (*columns, "clean")], axis=1)]
    for person in choose_people(faces, people):
        clean = np.rint(faces[person].image * 255).astype(np.uint8)
        shown = [evaluation.images[strength, method][person] for method in columns.values()]
        rows.append(np.concatenate([*shown, clean], axis=1))
    return np.concatenate(rows)


def choose_people(faces: Sequence[CleanFace], wanted: int) -> list[int]:
    """Positions of up to `wanted` faces: one of each group in turn, then second ones, in a fixed order."""
    groups: dict[str, list[int]] = {}
    for position, face in enumerate(faces):
        groups.setdefault(face.group, []).append(position)
    # Alternating between the ends of the sorted names mixes women and men, which the names begin with.
    names = sorted(groups)
    names = [name for pair in zip(names, reversed(names), strict=True) for name in pair]
    queues = [groups[name] for name in dict.fromkeys(names)]
    rounds = [queue[turn] for turn in range(max(map(len, queues))) for queue in queues if turn < len(queue)]
    return rounds[:wanted]


def _label(text: str, width: int) -> np.ndarray:
    label = np.full((LABEL, width, 3), PAPER, np.uint8)
    cv2.putText(label, text, (4, LABEL - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return label
