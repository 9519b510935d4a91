from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dynface_video.models.blur_level import LARGEST_LEVEL, LEVEL_OFFSET
from evaluation.calibration import LevelReadings


def test_an_honest_std_covers_two_thirds() -> None:
    rng = np.random.default_rng(0)
    measured = rng.uniform(0.5, 4, 4000) / 128
    predicted = (measured + LEVEL_OFFSET) * np.exp(0.1 * rng.standard_normal(4000)) - LEVEL_OFFSET
    cautious = LevelReadings(predicted, measured, np.full(4000, 0.3))
    assert cautious.coverage > 0.99
    assert cautious.std_scale == pytest.approx(1 / 3, rel=0.05)
    honest = replace(cautious, std=cautious.std * cautious.std_scale)
    assert honest.coverage == pytest.approx(0.68, abs=0.01)
    assert honest.error_share == pytest.approx(np.abs(predicted - measured).mean() / LARGEST_LEVEL)
