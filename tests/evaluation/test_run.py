from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np

from evaluated_faces import picture
from training.degradation import STRENGTHS


def test_the_script_writes_table_sheet_and_rows(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "evaluate.py"
    source = tmp_path / "faces"
    source.mkdir()
    for i in range(2):
        cv2.imwrite(str(source / f"{i}.png"), np.rint(picture(i) * 255).astype(np.uint8))
    out = tmp_path / "out"
    command = [sys.executable, str(script), str(source), "-o", str(out), "--methods", "degraded,lanczos"]
    done = subprocess.run([*command, "--resolution", "32"], capture_output=True, text=True, check=True)
    assert (out / "table.md").read_text() in done.stdout
    assert "| lanczos |" in done.stdout
    for strength in STRENGTHS:
        assert cv2.imread(str(out / f"contact_{strength}.png")).shape == (20 + 2 * 32, 3 * 32, 3)
    assert (out / "results.csv").stat().st_size > 0
