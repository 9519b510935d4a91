from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluated_faces import KnowsTheTruth
from evaluation.calibration import plot_calibration, read_levels
from evaluation.faces import CleanFace, DegradedFace
from evaluation.measure import evaluate
from evaluation.methods import Variants, make_methods
from evaluation.trade_off import plot_trade_off


def test_plots_are_drawn(faces: dict[str, list[DegradedFace]], clean: list[CleanFace], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    restorer = KnowsTheTruth(np.stack([face.image for face in clean]))
    evaluation = evaluate(faces, make_methods(["rm", "full"], restorer, Variants(strengths=[0.2, 0.5])))
    plot_trade_off(evaluation, tmp_path / "trade_off.png")
    plot_calibration({name: read_levels(restorer, some) for name, some in faces.items()}, tmp_path / "levels.png")
    for name in ("trade_off.png", "levels.png"):
        assert cv2.imread(str(tmp_path / name)).std() > 0
