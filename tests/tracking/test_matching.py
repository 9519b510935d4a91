"""Assignment at least cost, also where there is a single face."""

from __future__ import annotations

import numpy as np
import pytest
import scipy

from dynface_video.tracking.matching import NO_MATCH, assign


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 1), (3, 4)])
@pytest.mark.parametrize("unusable", [0.0, 0.4, 1.0])
def test_faces_are_assigned_as_by_scipy(shape: tuple[int, int], unusable: float) -> None:
    rng = np.random.default_rng(7)
    for _ in range(20):
        costs = rng.random(shape)
        costs[rng.random(shape) < unusable] = rng.choice([np.inf, np.nan])
        rows, columns = scipy.optimize.linear_sum_assignment(np.where(np.isfinite(costs), costs, NO_MATCH))
        expected = [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if np.isfinite(costs[i, j])]
        assert assign(costs) == expected


def test_nothing_is_assigned_to_nothing() -> None:
    assert assign(np.empty((0, 3))) == assign(np.empty((2, 0))) == []
