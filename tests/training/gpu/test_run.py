from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dynface_video.errors import InputError
from dynface_video.models.restoration import RestorationModel
from dynface_video.pretrained import load_pretrained
from training.gpu.run import JUDGED, SHARES, UNJUDGED, RunOptions, train_all

WITHOUT = ("av", "ray", "scenedetect", "facexlib", "fsspec")
"""Packages that a machine lent for training need not have."""
BLOCKED = (
    f"import os, runpy, sys; sys.modules.update(dict.fromkeys({WITHOUT!r})); sys.argv = sys.argv[1:]; "
    "sys.path[0] = os.path.dirname(sys.argv[0]); runpy.run_path(sys.argv[0], run_name='__main__')"
)


def test_a_dry_run_of_the_command_trains_and_writes_models(packs: Path, tmp_path: Path) -> None:
    script = Path(__file__).parents[3] / "scripts" / "train.py"
    command = [sys.executable, "-c", BLOCKED, str(script), "all", "--minutes", "0.05", "--device", "cpu"]
    command += ["--data", str(packs), "--cache", str(packs / "cache"), "--out", str(tmp_path), "--float32"]
    command += ["--largest-batch", "1", "--tasks", "blur_level", "restoration"]
    subprocess.run(command, check=True, capture_output=True, text=True)
    for name in ("restoration", "blur_level"):
        row = json.loads((tmp_path / f"{name}.jsonl").read_text().splitlines()[-1])
        assert row["steps"] >= 1 and row["crops"] == row["steps"]
    trained = load_pretrained(RestorationModel, tmp_path / "models" / "restoration")
    assert all(bool(p.isfinite().all()) for p in trained.parameters())


def test_missing_crops_are_an_error_before_anything_is_trained(tmp_path: Path) -> None:
    options = RunOptions(tmp_path, tmp_path / "cache", tmp_path / "out", 1.0, torch.device("cpu"))
    with pytest.raises(InputError, match="training crops of 256"):
        train_all(options)
    assert not (tmp_path / "out").exists()


def test_networks_are_trained_before_they_are_used() -> None:
    place = {name: number for number, name in enumerate(SHARES)}
    assert set(SHARES) == set(UNJUDGED) | set(JUDGED)
    assert place["restoration"] < place["blur_level"] < place["sampler"] < place["adjuster"]
    assert place["sampler"] < place["local_restoration"] < place["fine_restoration"]
    assert place["prior"] < place["sampler"]
