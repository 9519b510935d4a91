"""One face over time, and the levels and steps it is restored with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynface_video.tracking.observation import FaceTrack
from dynface_video.tracking.track_filter import turn_of

SHARPNESS_WEIGHT = 30
"""Of the blur level in a face's visibility: at a thirtieth of the crop's side a face is seen half as well."""


@dataclass(frozen=True)
class AnalyzedTrack:
    """A face over the frames `track.start .. track.stop - 1` and how to restore it.

    Attributes:
        track: Where the face is.
        levels: Smoothed relative blur levels of each of its S stages, (S, T) float64; 0 in a stage without SE.
        starting_steps: From each stage's DSST, held by hysteresis, (S, T) int64; 0 leaves RM's estimate unchanged.
        grey: Whether the source shows this face without colour.
        restore: False to skip the face.
        noise: Number of its noise: that of its face within its shot, so that a shot is the same in every video.
        strengths: Of every frame, (T,) float64 in [0, 1], instead of the settings'; NaN, or None, for the settings'.
        person: Number of the person that it shows, from 1; tracks of one person over the whole video share it.
    """

    track: FaceTrack
    levels: np.ndarray
    starting_steps: np.ndarray
    grey: bool
    restore: bool = True
    noise: int = 0
    person: int = 1
    strengths: np.ndarray | None = None

    def __post_init__(self) -> None:
        shape = (len(self.levels), self.track.stop - self.track.start)
        if self.levels.shape != shape or self.starting_steps.shape != shape or not len(self.levels):
            raise ValueError(
                f"track {self.track.number} has {shape[1]} frames; its levels have shape {self.levels.shape}, its "
                f"starting steps {self.starting_steps.shape}, expected (stages, frames)"
            )

    @property
    def stage_count(self) -> int:
        """How many stages the face goes through."""
        return len(self.levels)

    @property
    def finest_levels(self) -> np.ndarray:
        """Levels of the finest stage that has SE, (T,); zeros where none has."""
        estimated = [own for own in self.levels if own.any()]
        return np.asarray(estimated[-1]) if estimated else np.zeros(self.levels.shape[1])

    def visibility(self, at: np.ndarray) -> np.ndarray:
        """How well the face is seen: large, certain, sharp, from the front, neither bridged nor faded out.

        Args:
            at: (N,) int64, positions in the track.

        Returns:
            (N,) float64, more than 0, to be compared among frames of one video.
        """
        track = self.track
        frontal = np.cos(np.radians(turn_of(track.landmarks[at])))
        shown = np.array([track.shown_at(int(k)) for k in at])
        seen = np.where(track.observed[at], 1.0, 0.1)
        sharpness = 1 / (1 + SHARPNESS_WEIGHT * self.finest_levels[at])
        return np.asarray(
            track.sizes[at] * track.scores[at] * sharpness * (0.1 + frontal) * (0.1 + shown) * seen, np.float64
        )
