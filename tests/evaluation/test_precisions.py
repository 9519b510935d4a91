"""bfloat16 beside float32."""

from __future__ import annotations

import numpy as np

from evaluation.faces import CleanFace
from evaluation.precisions import PrecisionRow, compare_precisions, precision_table


def test_both_precisions_are_timed_and_compared() -> None:
    image = np.random.default_rng(0).random((128, 128, 3), dtype=np.float32)
    row = next(compare_precisions("mini", [CleanFace("a", image)], sizes=(128,), rounds=1))
    assert row.size == 128 and min(row.milliseconds) > 0
    assert 0 < row.apart[0] < 10 and abs(row.psnr[0] - row.psnr[1]) < 0.5


def test_the_table_has_both_beside_each_other() -> None:
    table = precision_table([PrecisionRow("mild", 128, (52, 35), (32.9, 32.8), (0.619, 0.62), (0.05, 0.2))])
    assert "| mild | 128 | 52, 32.90, 0.619 | 35, 32.80, 0.620 | 0.05, 0.2 |" in table
