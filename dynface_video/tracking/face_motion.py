"""Extrapolating where a face will be in another frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dynface_video.tracking.observation import log_size_ratio

DAMPING = 0.95
NEW_SHARE = 0.6
LARGEST_GROWTH_RATE = 0.1


@dataclass
class FaceMotion:
    """Steady movement and growth of a face, forwards or backwards in time.

    Attributes:
        frame: where it was last seen.
        points: (5, 2) landmarks there.
        velocity: (2,) pixels per frame.
        growth: change of the logarithm of its size per frame.
        updates: sightings since the first.
    """

    frame: int
    points: np.ndarray
    velocity: np.ndarray = field(default_factory=lambda: np.zeros(2))
    growth: float = 0.0
    updates: int = 0

    def predict(self, frame: int) -> np.ndarray:
        """Extrapolate the points to a frame, (5, 2) float64; movement is damped: lost faces often stop or turn."""
        elapsed = abs(frame - self.frame)
        steps = float(np.sign(frame - self.frame)) * (1 - DAMPING**elapsed) / (1 - DAMPING)
        centre = self.points.mean(axis=0)
        zoom = np.exp(self.growth * np.clip(steps, -4, 4))
        return np.asarray(centre + self.velocity * steps + zoom * (self.points - centre))

    def update(self, frame: int, points: np.ndarray) -> None:
        """Add a sighting of the face: points (5, 2) in a frame."""
        elapsed = frame - self.frame
        points = np.asarray(points, np.float64)
        if elapsed != 0:
            share = 1.0 if self.updates == 0 else NEW_SHARE
            velocity = (points.mean(axis=0) - self.points.mean(axis=0)) / elapsed
            growth = log_size_ratio(points, self.points) / elapsed
            self.velocity = share * velocity + (1 - share) * self.velocity
            # Size is the noisiest measurement, and a wrong growth compounds.
            growth = float(np.clip(growth, -LARGEST_GROWTH_RATE, LARGEST_GROWTH_RATE))
            self.growth = 0.3 * growth + 0.7 * self.growth
        self.frame, self.points = frame, points
        self.updates += 1
