"""Processors, memory, GPUs and versions of this machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import dynface_video
from dynface_video.errors import MODELS_EXTRA

LIBRARIES = ("torch", "torchvision", "diffusers", "av", "opencv-python", "scenedetect", "facexlib", "ray")
OPTIONAL = {
    "spandrel": f"public face restorers (--restorer): {MODELS_EXTRA}",
    "spandrel_extra_arches": "CodeFormer; not for commercial use: pip install spandrel_extra_arches",
    "gradio": "the page in the browser: pip install 'dynface-video[ui]'",
    "pillow-heif": "HEIF photographs: pip install 'dynface-video[heif]'",
    "s3fs": "s3:// addresses: pip install 'dynface-video[s3]'",
    "gcsfs": "gs:// addresses: pip install 'dynface-video[gs]'",
}
"""Packages that are not always needed, and what for."""
MEMORY_FILE, LIMIT_FILE, USED_FILE = (
    Path("/proc/meminfo"),
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory.current"),
)
DRIVER_FILE = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Device:
    """Something that networks can run on.

    Attributes:
        name: As `--device` takes it.
        description: Of the hardware.
        memory: Bytes in all; None if unknown.
        free: Bytes that are free; None if unknown.
        bfloat16: Whether it computes with bfloat16.
        error: Why it cannot be used; "" if it can.
    """

    name: str
    description: str
    memory: int | None = None
    free: int | None = None
    bfloat16: bool = False
    error: str = ""


def versions() -> dict[str, str | None]:
    """Versions of this package, Python and the required libraries; None for those not installed."""
    own = {
        "dynface-video": dynface_video.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    return {**own, **{name: _version(name) for name in LIBRARIES}}


def optional_packages() -> dict[str, str | None]:
    """Versions of the optional packages; None for those not installed."""
    return {name: _version(name) for name in OPTIONAL}


def devices() -> list[Device]:
    """The processor, and the GPUs that torch sees."""
    import torch

    found = [_processor()]
    for index in range(torch.cuda.device_count()):
        found.append(_gpu(index))
    if torch.backends.mps.is_available():
        found.append(Device("mps", "Apple GPU, which shares the memory of the processor"))
    return found


def has_unused_driver(found: list[Device]) -> bool:
    """Whether an NVIDIA driver is loaded although torch sees no GPU."""
    return DRIVER_FILE.exists() and not any(device.name.startswith("cuda") for device in found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> Device:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory, free = _memory()
    return Device("cpu", f"{cores} core{'' if cores == 1 else 's'}, {platform.machine()}", memory, free)


def _gpu(index: int) -> Device:
    import torch

    name = f"cuda:{index}"
    try:
        properties = torch.cuda.get_device_properties(index)
        free, memory = torch.cuda.mem_get_info(index)
    except RuntimeError as error:
        return Device(name, "NVIDIA GPU", error=str(error).partition("\n")[0])
    description = f"{properties.name}, compute capability {properties.major}.{properties.minor}"
    return Device(name, description, memory, free, bfloat16=properties.major >= 8)


def _memory() -> tuple[int | None, int | None]:
    """Total and free memory in bytes, within the limits of a container; None if unknown."""
    try:
        lines = MEMORY_FILE.read_text().splitlines()
    except OSError:
        return None, None
    kibibytes: Mapping[str, int] = {line.partition(":")[0]: int(line.split()[1]) for line in lines if ":" in line}
    memory, free = (1024 * kibibytes[name] for name in ("MemTotal", "MemAvailable"))
    try:
        limit, used = int(LIMIT_FILE.read_text()), int(USED_FILE.read_text())
    except (OSError, ValueError):  # outside a container, or "max"
        return memory, free
    return min(memory, limit), min(free, max(limit - used, 0))
