"""The functions of the Python API: restore or analyse a video, an image, or many videos with one call."""

from __future__ import annotations

from dynface_video.api.inspecting import analyze_video, compare_videos, list_people, preview_video, write_report
from dynface_video.api.restoring import iter_restored_frames, plan_video, restore_batch, restore_image, restore_video

__all__ = [
    "analyze_video",
    "compare_videos",
    "iter_restored_frames",
    "list_people",
    "plan_video",
    "preview_video",
    "restore_batch",
    "restore_image",
    "restore_video",
    "write_report",
]
