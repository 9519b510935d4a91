"""A frame of a video: a picture and its exact time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from dynface_video.media.io.probe import ColourInfo
from dynface_video.media.pixels.colour import picture_to_quick_rgb, picture_to_rgb
from dynface_video.media.pixels.working_range import picture_to_working_rgb, working_range


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    Attributes:
        index: Number from 0.
        pts: Presentation time in ticks of `time_base`.
        time_base: Seconds per tick.
        picture: As decoded, in storage orientation.
        colour: Tags to read it with.
    """

    index: int
    pts: int
    time_base: Fraction
    picture: av.VideoFrame
    colour: ColourInfo

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds."""
        return self.pts * self.time_base

    def rgb(self) -> np.ndarray:
        """Convert to (H, W, 3) uint8 RGB in storage orientation, with the stream's matrix and range."""
        return picture_to_rgb(self.picture, self.colour)

    def working_rgb(self) -> np.ndarray:
        """Convert to (H, W, 3) uint8 RGB in storage orientation, in the range that detectors and networks expect.

        SDR equals `rgb`; HDR, linear light and film logarithms are converted (`working_range`).
        """
        return picture_to_working_rgb(self.picture, self.colour)

    def quick_rgb(self) -> np.ndarray:
        """As `working_rgb`, for finding shots and faces: SDR is a few levels off, more at coloured edges, and fast."""
        if working_range(self.colour) is not None:
            return self.working_rgb()
        return picture_to_quick_rgb(self.picture, self.colour)
