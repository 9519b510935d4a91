"""The wheel alone is enough: built, installed without the checkout, and used from elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
LARGEST = 80 * 2**20


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("build", reason="the wheel is built with `build`: pip install -e '.[test]'")
    pytest.importorskip("hatchling", reason="the wheel is built by hatchling: pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(CHECKOUT)], folder)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel; dependencies are seen where they are installed, by a .pth file.

    `system_site_packages` would show the base Python's packages, not those of the environment the tests run in. A path
    named in a .pth file has its own .pth files ignored: an editable installation of the checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "env", with_pip=False)
    python = executable(folder, "python")
    run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], folder
    )
    site = run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    outer = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (Path(site) / "outer.pth").write_text("\n".join(outer) + "\n")
    return folder


def test_weights_and_presets_are_in_the_wheel_and_it_stays_small(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {
        "dynface_video/configs/mini.yaml",
        "dynface_video/models/registry/catalogue.yaml",
        "dynface_video/py.typed",
    } <= set(names)
    assert {f"dynface_video/report/templates/page.{kind}" for kind in ("html", "css", "js")} <= set(names)
    assert any(name.startswith("dynface_video/models/mini/") and name.endswith(".safetensors") for name in names)
    assert not [name for name in names if not name.startswith(("dynface_video/", "dynface_video-"))]
    assert wheel.stat().st_size < LARGEST


def test_the_command_answers_without_the_checkout(environment: Path) -> None:
    output = run([str(executable(environment, "dynface-video")), "--help"], environment)
    assert "restore" in output and "demo" in output


def test_the_preset_and_its_models_load_without_the_checkout(environment: Path) -> None:
    program = (
        "import dynface_video; from dynface_video.config import load_preset; load_preset('mini');"
        "print(dynface_video.__file__); print(dynface_video.FacePipeline.from_pretrained('mini').resolution)"
    )
    where, resolution = run([str(executable(environment, "python")), "-c", program], environment).split()
    assert Path(where).is_relative_to(environment.resolve())
    assert int(resolution) > 0


def executable(folder: Path, name: str) -> Path:
    return folder / "env" / ("Scripts" if os.name == "nt" else "bin") / name


def run(command: list[str], folder: Path) -> str:
    """Run a command outside the checkout; returns what it printed, shows all of it when it fails."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout
