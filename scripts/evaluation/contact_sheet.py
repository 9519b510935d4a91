"""A sheet of faces to judge by eye: for each strength several people, each clean, degraded and restored."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from evaluation.faces import CleanFace
from evaluation.measure import Evaluation

PEOPLE = 6
PEOPLE_A_ROW = 2
LABEL = 20
GAP = 12
PAPER = 245


def contact_sheet(evaluation: Evaluation, columns: dict[str, dict[str, str]], *, people: int = PEOPLE) -> np.ndarray:
    """Faces of different groups at every strength.

    columns: for each strength, heading -> method; "clean" is put before them
    Returns (H, W, 3) uint8 RGB.
    """
    strengths = list(evaluation.faces)
    chosen = choose_people([face.clean for face in evaluation.faces[strengths[0]]], people)
    blocks = [_strength_block(evaluation, strength, columns[strength], chosen) for strength in strengths]
    return np.concatenate(blocks)


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


def _strength_block(
    evaluation: Evaluation, strength: str, columns: dict[str, str], people: Sequence[int]
) -> np.ndarray:
    strips = [_person_strip(evaluation, strength, columns, person) for person in people]
    blank = np.full_like(strips[0], PAPER)
    strips += [blank] * (-len(strips) % PEOPLE_A_ROW)
    gap = np.full((strips[0].shape[0], GAP, 3), PAPER, np.uint8)
    rows = []
    for start in range(0, len(strips), PEOPLE_A_ROW):
        row = [part for strip in strips[start : start + PEOPLE_A_ROW] for part in (strip, gap)]
        rows.append(np.concatenate(row[:-1], axis=1))
    size = strips[0].shape[0]
    headings = [_label(f"{strength}: clean" if k == 0 else text, size) for k, text in enumerate(["clean", *columns])]
    heading = np.concatenate(headings, axis=1)
    band = [part for _ in range(PEOPLE_A_ROW) for part in (heading, np.full((LABEL, GAP, 3), PAPER, np.uint8))]
    return np.concatenate([np.concatenate(band[:-1], axis=1), *rows])


def _person_strip(evaluation: Evaluation, strength: str, columns: dict[str, str], person: int) -> np.ndarray:
    clean = np.rint(evaluation.faces[strength][person].clean.image * 255).astype(np.uint8)
    return np.concatenate(
        [clean, *(evaluation.images[strength, method][person] for method in columns.values())], axis=1
    )


def _label(text: str, width: int) -> np.ndarray:
    label = np.full((LABEL, width, 3), PAPER, np.uint8)
    cv2.putText(label, text, (4, LABEL - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (20, 20, 20), 1, cv2.LINE_AA)
    return label
