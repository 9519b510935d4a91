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


def test_the_package_gives_its_functions_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from dynface_video import api
    from dynface_video import pipeline as restorer

    assert dynface_video.restore_video is api.restore_video
    assert dynface_video.analyze_video is api.analyze_video
    assert dynface_video.FaceRestorer is restorer.FaceRestorer
    assert {"restore_video", "analyze_video", "FaceRestorer", "__version__"} <= set(dir(dynface_video))
    with pytest.raises(AttributeError, match="no attribute 'restore'"):
        _ = dynface_video.restore
