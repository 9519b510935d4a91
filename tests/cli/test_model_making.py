from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dynface_video.fitting import model_set
from fake_api import Command
from plain_unet import TINY, random_state


def test_a_checkpoint_becomes_a_folder(command: Command, tmp_path: Path) -> None:
    torch.save(random_state(TINY), tmp_path / "prior.pth")
    (tmp_path / "tiny.json").write_text(json.dumps(TINY.config()))
    arguments = (
        "models",
        "convert",
        tmp_path / "prior.pth",
        "-o",
        tmp_path / "prior",
        "--config",
        tmp_path / "tiny.json",
    )
    code, out, _ = command(*arguments)
    assert code == 0 and "0.8 M parameters" in out and f"--prior {tmp_path / 'prior'}" in out
    assert len([line for line in out.splitlines() if len(line.split()[0]) == 64]) == 2
    code, _, err = command(*arguments)
    assert code == 2 and "already exists" in err
    code, out, _ = command(*arguments, "--overwrite", "--json")
    assert code == 0 and json.loads(out)["architecture"] == "tiny.json"


def test_a_wrong_file_ends_in_a_message(command: Command, tmp_path: Path) -> None:
    (tmp_path / "page.pth").write_text("<html>not found</html>")
    code, out, err = command("models", "convert", tmp_path / "page.pth", "-o", tmp_path / "prior")
    assert (code, out) == (1, "") and "page.pth" in err and not (tmp_path / "prior").exists()


def test_fitting_passes_its_options_on_and_says_what_was_measured(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def fit_model_set(settings, faces, folder, options, report):  # type: ignore[no-untyped-def]
        seen.update(restorer=settings.restoration.restorer, models=settings.models, options=options)
        levels = {"level_error": 1.5, "level_error_of_a_constant": 4.0, "level_coverage": 0.68, "held_out": 5}
        return {"folder": str(folder), "crops": 40, "pairs": 120} | levels

    monkeypatch.setattr(model_set, "fit_model_set", fit_model_set)
    code, out, _ = command(
        "models", "fit", "--restorer", "gfpgan-1.4", "--faces", tmp_path, "-o", tmp_path / "fitted", "--rounds", "3"
    )
    assert code == 0 and "mean error 1.5 pixels at 512 (of a constant: 4.0), 68 %" in out
    assert f"--config {tmp_path / 'fitted' / 'settings.yaml'}" in out
    assert seen["restorer"] == "gfpgan-1.4" and seen["models"] == "ffhq512" and seen["options"].rounds == 3
