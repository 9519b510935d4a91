"""Operations of PyTorch that a face of a video takes on a GPU, by what asks for them; counted on any machine.

Each is a kernel or several, and launching them is what a GPU waits for (docs/gpu-and-ray.md).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any
from unittest.mock import patch

from torch.utils._python_dispatch import TorchDispatchMode

from dynface_video.pipeline import FacePipeline
from evaluation.device.material import blocks_of_video, up_to

PARTS = {
    "dynface_video.temporal.pair_motions": "motions",
    "dynface_video.temporal.damage": "damage",
    "dynface_video.temporal.flow_averaging": "windows and averages",
    "dynface_video.faces.colour_transfer": "colour",
    "dynface_video.diffusion.engine": "sampler",
    "dynface_video.face_sampler": "sampler",
    "dynface_video.stage": "RM",
    "dynface_video.face_crops": "gathering",
    "dynface_video.face_records": "gathering",
    "dynface_video.video_pipeline": "gathering",
}
"""The innermost of these modules that is at work names the part."""
WITHOUT_KERNEL = {"detach", "empty", "empty_like", "empty_strided", "new_empty", "lift_fresh", "_unsafe_view",
                  "_local_scalar_dense"}  # fmt: skip
BLOCKS = 2
"""Blocks of a video: the first computes earlier neighbours, the second is counted."""


class _Operations(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, operator: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        if not (operator.is_view or operator.overloadpacket.__name__ in WITHOUT_KERNEL):
            self.counts[_part(sys._getframe(1))] += 1
        return operator(*arguments, **(named or {}))


def count_operations(pipeline: FacePipeline, size: int, block: int) -> dict[str, float]:
    """Operations a face of a video in the middle of a track, by part, most first.

    Args:
        pipeline: On any device; the code of a GPU is used also on a CPU.
        size: Of the last stage, pixels.
        block: Frames and faces restored at once.
    """
    pipeline = pipeline.with_settings(batch_size=block)
    with _as_on_a_gpu():
        for call in blocks_of_video(pipeline, up_to(pipeline, size), people=1, block=block, count=BLOCKS):
            seen = _Operations()
            with seen:
                call()
    return {part: count / block for part, count in seen.counts.most_common()}


def operations_table(counts: dict[str, float], size: int, block: int) -> str:
    """The counts and their sum as a Markdown table."""
    rows = [*counts.items(), ("all", sum(counts.values()))]
    lines = [f"| part | operations a face of {size}, {block} faces at once |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| {part} | {count:.0f} |" for part, count in rows)]) + "\n"


def _part(frame: FrameType | None) -> str:
    while frame is not None:
        if part := PARTS.get(frame.f_globals.get("__name__", "")):
            return part
        frame = frame.f_back
    return "other"


@contextmanager
def _as_on_a_gpu() -> Iterator[None]:
    """Nothing lies in the CPU's memory, as far as the package knows, so that OpenCV has no part in it."""
    with ExitStack() as patches:
        for name, module in list(sys.modules.items()):
            if name.startswith("dynface_video") and hasattr(module, "on_cpu"):
                patches.enter_context(patch.object(module, "on_cpu", lambda tensor: False))
        yield
