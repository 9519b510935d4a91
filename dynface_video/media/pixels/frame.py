"""A frame of a video: a picture and its exact time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from dynface_video.media.io.probe import ColourInfo
from dynface_video.media.pixels.colour import picture_to_rgb
from dynface_video.media.pixels.working_range import picture_to_working_rgb


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    index: its number from 0; pts: presentation time in ticks of `time_base` seconds; picture: as decoded, in storage
    orientation; colour: the tags to read it with
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
        """The picture, (H, W, 3) uint8 RGB in storage orientation, converted with the stream's matrix and range."""
        return picture_to_rgb(self.picture, self.colour)

    def working_rgb(self) -> np.ndarray:
        """The picture, (H, W, 3) uint8 RGB in storage orientation, as detectors and networks expect it.

        SDR is as `rgb` gives it; HDR, linear light and film logarithms are converted (`working_range`).
        """
        return picture_to_working_rgb(self.picture, self.colour)
