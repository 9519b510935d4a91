from __future__ import annotations

import pytest

from evaluated_faces import picture
from evaluation.faces import CleanFace, DegradedFace, degrade_faces
from training.degradation import STRENGTHS


@pytest.fixture(scope="module")
def clean() -> list[CleanFace]:
    groups = ["female black", "female white", "male black"]
    return [CleanFace(f"{i}.png", picture(i), groups[i % 3]) for i in range(6)]


@pytest.fixture(scope="module")
def faces(clean: list[CleanFace]) -> dict[str, list[DegradedFace]]:
    return {strength: degrade_faces(clean, strength) for strength in STRENGTHS}
