"""Pictures of planar and packed RGB and of grey as plain arrays of their samples, and back, bit for bit."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
from av.video.format import VideoFormat


def arrays_of(picture: av.VideoFrame) -> tuple[np.ndarray, np.ndarray | None]:
    """Colours, (H, W) grey or (H, W, 3) RGB, and transparency, (H, W) or None.

    The kind is that of the format: uint8, uint16 (also for 10 and 12 bit), float16 or float32.
    """
    layout, kind = picture.format, _kind(picture.format)
    per_plane = [sum(c.plane == number for c in layout.components) for number in range(len(picture.planes))]
    planes = []
    for plane, count in zip(picture.planes, per_plane, strict=True):
        lines = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        planes.append(lines[: plane.height, : plane.width * count].reshape(plane.height, plane.width, count))
    seen = [0] * len(planes)
    components = []
    for component in _in_memory_order(layout):
        components.append(planes[component][..., seen[component]])
        seen[component] += 1
    native = [np.ascontiguousarray(component.astype(kind.newbyteorder("="))) for component in components]
    colours = native[:3] if len(native) >= 3 else native[:1]
    alpha = native[-1] if len(native) in (2, 4) else None
    return (colours[0] if len(colours) == 1 else np.stack(colours, axis=-1)), alpha


def picture_from_arrays(colours: np.ndarray, alpha: np.ndarray | None, pixel_format: str) -> av.VideoFrame:
    """The reverse of `arrays_of`, for the format that the arrays came from or one of other byte order."""
    height, width = colours.shape[:2]
    picture = av.VideoFrame(width, height, pixel_format)
    parts = [colours] if colours.ndim == 2 else [colours[..., i] for i in range(3)]
    parts += [] if alpha is None else [alpha]
    layout, kind = picture.format, _kind(picture.format)
    counts = [sum(c.plane == number for c in layout.components) for number in range(len(picture.planes))]
    seen = [0] * len(counts)
    for part, plane_number in zip(parts, _in_memory_order(layout), strict=True):
        plane, count = picture.planes[plane_number], counts[plane_number]
        lines = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
        view = lines[: plane.height, : plane.width * count].reshape(plane.height, plane.width, count)
        view[..., seen[plane_number]] = part
        seen[plane_number] += 1
    return picture


def spread(samples: np.ndarray, bits: int) -> np.ndarray:
    """Integers of some bits over the whole of uint16; uint8 stays."""
    if samples.dtype == np.uint8 or bits == 16:
        return samples
    most = (1 << bits) - 1
    return ((samples.astype(np.uint32) * 65535 + most // 2) // most).astype(np.uint16)


def squeezed(samples: np.ndarray, bits: int) -> np.ndarray:
    """The reverse of `spread`, rounded."""
    if samples.dtype == np.uint8 or bits == 16:
        return samples
    most = (1 << bits) - 1
    return ((samples.astype(np.uint32) * most + 32767) // 65535).astype(np.uint16)


def _in_memory_order(layout: VideoFormat) -> list[int]:
    """The plane of red, green, blue and transparency, or of grey; packed formats must have them in this order."""
    return [component.plane for component in layout.components]


def _kind(layout: VideoFormat) -> np.dtype[Any]:
    order = ">" if layout.is_big_endian else "<"
    bits = layout.components[0].bits
    if "f16" in layout.name or "f32" in layout.name:
        return np.dtype(f"{order}f{bits // 8}")
    return np.dtype(np.uint8) if bits == 8 else np.dtype(f"{order}u2")
