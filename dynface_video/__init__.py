"""Restores the faces in a video and keeps everything else in the file.

The names below are loaded when they are first used: `import dynface_video` alone costs next to nothing.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynface_video.api import analyze_video as analyze_video
    from dynface_video.api import compare_videos as compare_videos
    from dynface_video.api import iter_restored_frames as iter_restored_frames
    from dynface_video.api import list_people as list_people
    from dynface_video.api import plan_video as plan_video
    from dynface_video.api import preview_video as preview_video
    from dynface_video.api import restore_batch as restore_batch
    from dynface_video.api import restore_image as restore_image
    from dynface_video.api import restore_video as restore_video
    from dynface_video.api import write_report as write_report
    from dynface_video.config import Overrides as Overrides
    from dynface_video.config import Settings as Settings
    from dynface_video.config import load_settings as load_settings
    from dynface_video.errors import DiskFullError as DiskFullError
    from dynface_video.errors import DynfaceError as DynfaceError
    from dynface_video.errors import InputError as InputError
    from dynface_video.errors import Interrupted as Interrupted
    from dynface_video.errors import JobError as JobError
    from dynface_video.errors import JobMismatchError as JobMismatchError
    from dynface_video.errors import ModelError as ModelError
    from dynface_video.errors import SelectionError as SelectionError
    from dynface_video.jobs.batch import BatchRow as BatchRow
    from dynface_video.passes.analysis import Analysis as Analysis
    from dynface_video.passes.model_cache import ModelCache as ModelCache
    from dynface_video.pipeline import FacePipeline as FacePipeline
    from dynface_video.results import BatchResult as BatchResult
    from dynface_video.results import ListedPerson as ListedPerson
    from dynface_video.results import RestoredFrame as RestoredFrame
    from dynface_video.results import RestorePlan as RestorePlan
    from dynface_video.results import RestoreResult as RestoreResult

__version__ = "0.1.0"

_HOMES = {
    "Analysis": "dynface_video.passes.analysis",
    "BatchResult": "dynface_video.results",
    "BatchRow": "dynface_video.jobs.batch",
    "DiskFullError": "dynface_video.errors",
    "DynfaceError": "dynface_video.errors",
    "FacePipeline": "dynface_video.pipeline",
    "InputError": "dynface_video.errors",
    "Interrupted": "dynface_video.errors",
    "JobError": "dynface_video.errors",
    "JobMismatchError": "dynface_video.errors",
    "ListedPerson": "dynface_video.results",
    "ModelCache": "dynface_video.passes.model_cache",
    "ModelError": "dynface_video.errors",
    "Overrides": "dynface_video.config",
    "RestorePlan": "dynface_video.results",
    "RestoreResult": "dynface_video.results",
    "RestoredFrame": "dynface_video.results",
    "SelectionError": "dynface_video.errors",
    "Settings": "dynface_video.config",
    "analyze_video": "dynface_video.api",
    "compare_videos": "dynface_video.api",
    "iter_restored_frames": "dynface_video.api",
    "load_settings": "dynface_video.config",
    "list_people": "dynface_video.api",
    "plan_video": "dynface_video.api",
    "preview_video": "dynface_video.api",
    "restore_batch": "dynface_video.api",
    "restore_image": "dynface_video.api",
    "restore_video": "dynface_video.api",
    "write_report": "dynface_video.api",
}

__all__ = list(_HOMES)

if sys.platform == "darwin":
    # torch reads it once, when it is imported: operations that the Apple GPU lacks run on the CPU.
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
