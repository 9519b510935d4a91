"""The sample planes of a picture as arrays of nominal values."""

from __future__ import annotations

from typing import Any

import av
import numpy as np

from dynface_video.media.pixels.formats import subsampling_of

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, the end not included."""


class Planes:
    """The planes of a picture in a working format; writes change the picture.

    Components are numbered as in the format (Y, Cb, Cr or R, G, B), not by plane. Values are nominal: luma and RGB in
    [0, 1], chroma in [-0.5, 0.5].

    Args:
        picture: In a working format.
        full: Whether its samples use the full range.
    """

    def __init__(self, picture: av.VideoFrame, *, full: bool) -> None:
        self._components = [c for c in picture.format.components if not c.is_alpha]
        self._arrays = [_samples(picture, c.plane) for c in self._components]
        depth = self._components[0].bits
        self._top = (1 << depth) - 1
        self._zero = 0.0 if full else 16.0 * (1 << (depth - 8))
        self._range = float(self._top if full else 219 * (1 << (depth - 8)))
        self._chroma_range = float(self._top if full else 224 * (1 << (depth - 8)))
        self._centre = float(1 << (depth - 1))
        self.subsampling = subsampling_of(picture.format) if len(self._components) == 3 else (0, 0)

    @property
    def count(self) -> int:
        """Number of components, without transparency."""
        return len(self._components)

    def samples(self, component: int) -> np.ndarray:
        """The integers of a component, (H, W), chroma at its own resolution; a view of the picture."""
        return self._arrays[component]

    def luma(self, component: int, box: Box) -> np.ndarray:
        """A box of a full-resolution component, (h, w) float32."""
        return (_view(self._arrays[component], box).astype(np.float32) - self._zero) / np.float32(self._range)

    def chroma(self, component: int, box: Box) -> np.ndarray:
        """A box, in chroma samples, of Cb (1) or Cr (2), (h, w) float32."""
        return (_view(self._arrays[component], box).astype(np.float32) - self._centre) / np.float32(self._chroma_range)

    def chroma_box(self, box: Box, margin: int = 0) -> Box:
        """The box of chroma samples that covers a box of pixels, enlarged by `margin` samples within the picture."""
        height, width = self._arrays[-1].shape
        across, down = self.subsampling
        return (
            max((box[0] >> across) - margin, 0),
            max((box[1] >> down) - margin, 0),
            min(-(-box[2] >> across) + margin, width),
            min(-(-box[3] >> down) + margin, height),
        )

    def add_luma(self, component: int, box: Box, change: np.ndarray) -> None:
        """Add a change, in nominal units, to a full-resolution component; rounded and limited to the format's range."""
        self._add(component, box, change * np.float32(self._range))

    def add_chroma(self, component: int, box: Box, change: np.ndarray) -> None:
        """Add a change, in nominal units, to Cb or Cr in a box of chroma samples."""
        self._add(component, box, change * np.float32(self._chroma_range))

    def _add(self, component: int, box: Box, change: np.ndarray) -> None:
        view = _view(self._arrays[component], box)
        view[:] = np.clip(np.rint(view + change), 0, self._top).astype(view.dtype)


def _samples(picture: av.VideoFrame, plane_number: int) -> np.ndarray:
    plane = picture.planes[plane_number]
    kind: np.dtype[Any] = np.dtype(np.uint8) if picture.format.components[0].bits == 8 else np.dtype("<u2")
    lines = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
    return lines[: plane.height, : plane.width]


def _view(samples: np.ndarray, box: Box) -> np.ndarray:
    return samples[box[1] : box[3], box[0] : box[2]]
