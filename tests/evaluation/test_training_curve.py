from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from dynface_video.errors import InputError
from evaluation.training_curve import matching_columns, plot_training, read_log


def write(path: Path, *rows: dict[str, float]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_resumed_run_counts_its_later_lines(tmp_path: Path) -> None:
    rows = (
        {"crops": 10, "psnr": 1.0},
        {"crops": 30, "psnr": 3.0},
        {"crops": 20, "psnr": 2.0},
        {"crops": 30, "psnr": 4.0},
    )
    assert [row["psnr"] for row in read_log(write(tmp_path / "log.jsonl", *rows))] == [1.0, 2.0, 4.0]


def test_columns_are_chosen_by_patterns() -> None:
    log = [{"crops": 1.0, "psnr_mild": 1.0}, {"crops": 2.0, "psnr_severe": 2.0, "loss": 0.1}]
    assert matching_columns(log, ["psnr_*"]) == ["psnr_mild", "psnr_severe"]
    with pytest.raises(InputError, match="psnr_mild"):
        matching_columns(log, ["ssim*"])


@pytest.mark.parametrize("text", ["no json", '{"loss": 1}', "[1]"])
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log.jsonl"
    with pytest.raises(InputError, match=r"log\.jsonl"):
        read_log(path)
    path.write_text(text)
    with pytest.raises(InputError, match=r"log\.jsonl"):
        read_log(path)


def test_a_curve_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log = [{"crops": 100.0 * 2**k, "psnr_mild": 30 + k} for k in range(4)]
    plot_training(log, ["psnr_mild"], tmp_path / "curve.png")
    assert cv2.imread(str(tmp_path / "curve.png")).std() > 0
