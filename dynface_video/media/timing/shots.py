"""Shots: where the camera's view changes at once. Found while the frames pass, without decoding again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

LONGEST_SIDE = 96
SHORTEST_SHOT = 5
NOMINAL_RATE = 25.0
LONGEST_FLASH = 8
"""Frames after which a view that comes back is a shot of its own."""
THUMBNAIL = 16
SAME_VIEW = 0.06
"""Mean difference of thumbnails, in [0, 1], up to which two frames show one view: it moves a little in between."""
INTERRUPTION = 2.0
"""How many times further from both a frame in between must be."""
PLAIN = 0.03
"""Std of a thumbnail, in [0, 1], below which it is a white or black frame and resembles any other of them."""


@dataclass(frozen=True)
class Shot:
    """Frames start .. stop - 1 of one camera view."""

    start: int
    stop: int


class ShotDetector:
    """PySceneDetect's detectors, fed with small pictures frame by frame.

    Two answers, because one is needed at once: `feed` says whether a frame looks like the first of a shot (tracking
    should detect faces anew), `cuts` what remains after comparing each change with the frames on both sides, so that
    fast movement and flashes do not count. Memory holds a few thumbnails.
    """

    def __init__(self) -> None:
        # It takes a second to import, which reading `Shot`s does not need.
        from scenedetect.detector import FlashFilter
        from scenedetect.detectors import AdaptiveDetector, ContentDetector

        # The hue of dark and grey pixels is little more than noise.
        weights = ContentDetector.Components(delta_hue=0.25)
        self._suspecting = ContentDetector(min_scene_len=1, weights=weights, filter_mode=FlashFilter.Mode.SUPPRESS)
        self._deciding = AdaptiveDetector(min_scene_len=SHORTEST_SHOT)
        self._cuts = [0]
        self._candidates: list[int] = []
        self._recent: deque[tuple[int, np.ndarray]] = deque(maxlen=2 * LONGEST_FLASH + 2)

    def feed(self, index: int, rgb: np.ndarray) -> bool:
        """Take the next frame, (H, W, 3) uint8 RGB; True when it looks like the first of a shot. index: from 0."""
        from scenedetect import FrameTimecode

        small = cv2.cvtColor(_small(rgb), cv2.COLOR_RGB2BGR)
        self._recent.append((index, _thumbnail(small)))
        timecode = FrameTimecode(index, fps=NOMINAL_RATE)
        self._candidates += [cut.frame_num for cut in self._deciding.process_frame(timecode, small)]
        for cut in [cut for cut in self._candidates if index >= cut + LONGEST_FLASH]:
            self._candidates.remove(cut)
            if not self._is_flash(cut):
                self._cuts.append(cut)
        return index == 0 or bool(self._suspecting.process_frame(timecode, small))

    def cuts(self) -> list[int]:
        """The first frame of each shot so far, 0 first; a cut is certain `LONGEST_FLASH` frames later."""
        return [*self._cuts, *(cut for cut in self._candidates if not self._is_flash(cut))]

    def shots(self, frame_count: int) -> list[Shot]:
        """The shots of a video of that many frames; an empty video has no shots."""
        starts = [cut for cut in self.cuts() if cut < frame_count]
        return [Shot(a, b) for a, b in pairwise([*starts, frame_count])]

    def _is_flash(self, cut: int) -> bool:
        """Whether the view before a cut is back soon after it: a flash, lost frames, a few frames of something else."""
        before = [(at, picture) for at, picture in self._recent if cut - LONGEST_FLASH - 1 <= at < cut]
        after = [(at, picture) for at, picture in self._recent if cut <= at <= cut + LONGEST_FLASH]
        return any(
            1 < later - earlier <= LONGEST_FLASH + 1 and self._is_interrupted((earlier, first), (later, second))
            for earlier, first in before
            for later, second in after
        )

    def _is_interrupted(self, first: tuple[int, np.ndarray], second: tuple[int, np.ndarray]) -> bool:
        """Whether two frames show one view, and one in between another: a jump cut has nothing in between."""
        (start, before), (stop, after) = first, second
        apart = _distance(before, after)
        if apart > SAME_VIEW or min(before.std(), after.std()) < PLAIN:
            return False
        between = [picture for at, picture in self._recent if start < at < stop]
        least = max(SAME_VIEW, INTERRUPTION * apart)
        return any(min(_distance(before, p), _distance(p, after)) > least for p in between)


def _small(rgb: np.ndarray) -> np.ndarray:
    # Halves first: OpenCV reduces by two ten times as fast as by other factors.
    while max(rgb.shape) >= 4 * LONGEST_SIDE and min(rgb.shape[:2]) > 1:
        height, width = rgb.shape[0] // 2, rgb.shape[1] // 2
        rgb = np.asarray(cv2.resize(rgb[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA))
    height, width = rgb.shape[:2]
    scale = LONGEST_SIDE / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Averaging takes the noise out: the hue of near-grey pixels would otherwise change with every frame.
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))


def _thumbnail(small: np.ndarray) -> np.ndarray:
    """The picture in `THUMBNAIL` pixels a side, (THUMBNAIL, THUMBNAIL, 3) float32 in [0, 1]."""
    return np.asarray(cv2.resize(small, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA), np.float32) / 255


def _distance(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.abs(first - second).mean())
