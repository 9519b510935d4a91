from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import dynface_video


@pytest.mark.parametrize("module", ["dynface_video", "dynface_video.config", "dynface_video.cli.main"])
def test_importing_what_help_needs_loads_nothing_heavy(module: str) -> None:
    program = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    root = str(Path(dynface_video.__file__).parents[1])
    loaded = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert not {"torch", "av", "cv2", "diffusers", "scipy", "ray", "numpy"} & set(loaded.stdout.split())


def test_the_package_gives_its_names_when_asked() -> None:
    from dynface_video import api, config, errors

    assert dynface_video.restore_video is api.restore_video
    assert dynface_video.load_settings is config.load_settings
    assert {"restore_video", "analyze_video", "Settings", "__version__"} <= set(dir(dynface_video))
    assert {name for name, found in vars(errors).items() if isinstance(found, type)} <= set(dynface_video.__all__)
    for name in dynface_video.__all__:
        assert getattr(dynface_video, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'restore'"):
        _ = dynface_video.restore


def test_type_checkers_see_the_names_that_are_loaded_lazily() -> None:
    source = Path(dynface_video.__file__).read_text(encoding="utf-8")
    for name, home in dynface_video._HOMES.items():
        assert f"    from {home} import {name} as {name}\n" in source
