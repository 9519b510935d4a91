"""Restores the faces in a video and leaves everything else in the file as it is.

`restore_video`, `restore_batch`, `analyze_video` and `FaceRestorer` are loaded when they are first asked for:
`import dynface_video` job_lock costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynface_video.api import analyze_video as analyze_video
    from dynface_video.api import restore_batch as restore_batch
    from dynface_video.api import restore_video as restore_video
    from dynface_video.pipeline import FaceRestorer as FaceRestorer

__version__ = "0.1.0"

__all__ = ["FaceRestorer", "analyze_video", "restore_batch", "restore_video"]

_HOMES = {
    "FaceRestorer": "dynface_video.pipeline",
    "analyze_video": "dynface_video.api",
    "restore_batch": "dynface_video.api",
    "restore_video": "dynface_video.api",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
