from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from dynface_video.cli.models import _known_names
from fake_api import Command
from model_files import CONTENT, OwnMachine, put_in_place


@pytest.fixture(autouse=True)
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with two files, which the catalogue has."""
    machine = OwnMachine(tmp_path, monkeypatch)
    machine.declare("free")
    machine.declare("bound", licence="S-Lab-1.0", sha256=None)
    for name in ("free", "bound"):
        (machine.mirror / f"{name}.pth").write_bytes(CONTENT)
    return machine.mirror


def test_the_list_says_of_each_file_its_state_licence_and_purpose(command: Command, tmp_path: Path) -> None:
    put_in_place("free")
    code, out, _ = command("models", "list")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line}
    assert "not verified" in rows["free"] and "MIT" in rows["free"]
    assert "missing" in rows["bound"] and "S-Lab-1.0 (no commercial use)" in rows["bound"]
    assert "no declared digest" in rows["bound"]
    assert "face restorer, 512 pixels" in rows["gfpgan-1.4"]
    assert "ffhq512: difface-prior, difface-swinir" in out
    assert str(tmp_path / "home" / "models") in out


def test_the_list_as_json(command: Command) -> None:
    answer = json.loads(command("models", "list", "--json")[1])
    row = next(row for row in answer["models"] if row["name"] == "codeformer")
    assert (row["state"], row["licence"], row["commercial_use"]) == ("missing", "S-Lab-1.0", False)
    assert row["sources"] == ["https://github.com/sczhou/CodeFormer/releases/download/v0.1.0/codeformer.pth"]


def test_a_file_is_fetched_verified_found_and_removed(command: Command, catalogue: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "home" / "models" / "free" / "free.pth")
    code, out, err = command("models", "fetch", "free", "--mirror", catalogue)
    assert (code, out) == (0, place + "\n")
    assert "(as declared)" in err
    assert command("models", "fetch", "free")[2].startswith("free: is present and verified")
    assert command("models", "path", "free")[1] == place + "\n"
    assert command("models", "verify")[1] == f"free: {hashlib.sha256(CONTENT).hexdigest()} (declared)\n"
    assert command("models", "remove", "free")[1] == f"removed {place}\n"
    assert command("models", "remove", "free")[1] == "free was not on this machine\n"
    code, out, err = command("models", "path", "free")
    assert (code, out) == (1, "")
    assert "get it with `dynface-video models fetch free`" in err


def test_licences_are_shown_and_accepted_before_the_first_download(
    command: Command, catalogue: Path, tmp_path: Path
) -> None:
    code, _, err = command("models", "fetch", "free", "bound", "--mirror", catalogue)
    assert code == 1
    assert "bound is under the S-Lab License 1.0 (S-Lab-1.0), which forbids commercial use: https://" in err
    assert not (tmp_path / "home").exists()
    code, _, err = command("models", "fetch", "free", "bound", "--mirror", catalogue, "--accept-license")
    assert code == 0
    assert "bound: S-Lab License 1.0 (S-Lab-1.0), which forbids commercial use" in err
    assert "recorded, as none is declared" in err
    assert command("models", "fetch", "bound")[0] == 0


def test_fetching_as_json(command: Command, catalogue: Path) -> None:
    rows = json.loads(command("models", "fetch", "free", "--mirror", catalogue, "--json")[1])
    assert [(row["name"], row["state"], row["fetched"]) for row in rows] == [("free", "verified", True)]


def test_verifying_names_every_damaged_file_and_ends_with_1(command: Command, catalogue: Path) -> None:
    command("models", "fetch", "free", "bound", "--mirror", catalogue, "--accept-license")
    put_in_place("bound", b"damaged")
    code, out, err = command("models", "verify")
    assert code == 1
    assert out.startswith("free: ") and "bound" not in out
    assert "error: bound: " in err and "is damaged or another file" in err
    rows = json.loads(command("models", "verify", "bound", "free", "--json")[1])
    assert ["error" in row for row in rows] == [True, False]


def test_an_unknown_name_is_an_error(command: Command) -> None:
    code, _, err = command("models", "fetch", "gfpgan-9")
    assert code == 1
    assert "error: unknown model 'gfpgan-9'" in err


def test_a_failed_download_names_each_source(command: Command, catalogue: Path) -> None:
    (catalogue / "free.pth").write_bytes(b"other")
    code, out, err = command("models", "fetch", "free", "--mirror", catalogue)
    assert (code, out) == (1, "")
    assert "error: free could not be fetched; nothing was installed:" in err
    assert f"  {catalogue / 'free.pth'}: another file: its 5 bytes" in err


def test_shells_complete_names_of_files_and_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _known_names("gfpgan") == ["gfpgan-1.2", "gfpgan-1.3", "gfpgan-1.4", "gfpgan"]
    assert _known_names("fr") == ["free"]
    monkeypatch.setenv("DYNFACE_CATALOGUE", str(tmp_path / "absent.yaml"))
    assert _known_names("ffhq") == ["ffhq512"]
