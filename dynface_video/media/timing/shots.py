"""Shots: where the camera's view changes at once. Found while the frames pass, without decoding again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

LONGEST_SIDE = 96
SHORTEST_SHOT = 5
NOMINAL_RATE = 25.0


@dataclass(frozen=True)
class Shot:
    """Frames start .. stop - 1 of one camera view."""

    start: int
    stop: int


class ShotDetector:
    """PySceneDetect's detectors, fed with small pictures frame by frame.

    Two answers, because one is needed at once: `feed` says whether a frame looks like the first of a shot (tracking had
    better look for faces anew), `cuts` what stands after comparing each change with the frames on both sides, so that
    fast movement does not count.
    """

    def __init__(self) -> None:
        # It takes a second to import, and whoever only reads shots has no need of it.
        from scenedetect.detector import FlashFilter
        from scenedetect.detectors import AdaptiveDetector, ContentDetector

        # The hue of dark and grey pixels is little more than noise.
        weights = ContentDetector.Components(delta_hue=0.25)
        self._suspecting = ContentDetector(min_scene_len=1, weights=weights, filter_mode=FlashFilter.Mode.SUPPRESS)
        self._deciding = AdaptiveDetector(min_scene_len=SHORTEST_SHOT)
        self._cuts = [0]

    def feed(self, index: int, rgb: np.ndarray) -> bool:
        """Take the next frame, (H, W, 3) uint8 RGB; True when it looks like the first of a shot. index: from 0."""
        from scenedetect import FrameTimecode

        small = cv2.cvtColor(_small(rgb), cv2.COLOR_RGB2BGR)
        timecode = FrameTimecode(index, fps=NOMINAL_RATE)
        self._cuts += [cut.frame_num for cut in self._deciding.process_frame(timecode, small)]
        return index == 0 or bool(self._suspecting.process_frame(timecode, small))

    def cuts(self) -> list[int]:
        """The first frame of each shot so far, 0 first; a cut is known two frames later."""
        return list(self._cuts)

    def shots(self, frame_count: int) -> list[Shot]:
        """The shots of a video of that many frames; none for none."""
        starts = [cut for cut in self._cuts if cut < frame_count]
        return [Shot(a, b) for a, b in pairwise([*starts, frame_count])]


def _small(rgb: np.ndarray) -> np.ndarray:
    height, width = rgb.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Averaging takes the noise out: the hue of near-grey pixels would otherwise change with every frame.
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
