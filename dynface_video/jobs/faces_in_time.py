"""The faces of a segment on their way from crop to restored face, each with the frames around it.

    crops t-w .. t+w --RM--> estimate t     estimates t-r .. t+r --along the flow--> guide t
    guide t --sampler--> face t             faces t-r .. t+r --along the flow--> shown t

w is `window_radius`, r `temporal_radius`; both drawings go along the flow of the estimates. What is shown in a frame
depends on the w + 2 r frames on either side that the face has in its shot, and on no others: a segment that is given
those makes what the whole video would make.
(Drawing faces towards each other at every step of the sampler would make it depend on r frames more for each step.)

At the sampler's last step rho (see `guidance`) is so large that the guides have no say any more, and the closed form
with the temporal term is the weighted mean of `pulled`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from dynface_video.config import RestorationSettings
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.faces.colour import ColourMatch, colour_match, mean_match, with_colour
from dynface_video.jobs.analysis import AnalyzedTrack
from dynface_video.restorer import FaceRestorer
from dynface_video.temporal.window import Motion, motion, packed, pulled, unpacked, warped_neighbours

Value = TypeVar("Value")

WINDOWS_AT_ONCE = 16
"""Windows that are held for RM at a time: a crowd has a thousand faces within reach of a frame."""
FULLY_DRAWN = 1.5 / 128
"""Blur level, in sides of the crop, from which on faces are drawn together as strongly as is set; less below it, by the
square."""


def reach(restorer: FaceRestorer) -> int:
    """How many frames on either side a restored face depends on."""
    return restorer.window_radius + 2 * drawn_radius(restorer.settings)


def drawn_radius(settings: RestorationSettings) -> int:
    """How many frames on either side a face is drawn towards at once."""
    return settings.temporal_radius if settings.temporal_strength > 0 else 0


@dataclass(frozen=True)
class FaceAt:
    """A face in one frame: its track, and the frame counted from the track's start."""

    track: int
    at: int


@dataclass(eq=False)
class FacesInTime:
    """Restores faces frame by frame, keeping what their neighbours will ask for.

    tracks: those that may be asked for, by number. All pictures are (R, R, 3) float32 in [0, 1].
    """

    restorer: FaceRestorer
    tracks: dict[int, AnalyzedTrack]
    seed: int
    unet_evaluations: int = 0
    _crops: dict[FaceAt, np.ndarray] = field(default_factory=dict)
    _estimates: dict[FaceAt, np.ndarray] = field(default_factory=dict)
    _motions: dict[FaceAt, dict[FaceAt, Motion]] = field(default_factory=dict)
    _guides: dict[FaceAt, np.ndarray] = field(default_factory=dict)
    _faces: dict[FaceAt, np.ndarray] = field(default_factory=dict)
    _matches: dict[FaceAt, ColourMatch] = field(default_factory=dict)

    def see(self, face: FaceAt, crop: np.ndarray) -> None:
        """Take in the crop of a face; those of the frames within `reach` must be there before a face is asked for."""
        self._crops[face] = crop

    def shown(self, wanted: Sequence[FaceAt]) -> list[np.ndarray]:
        """The restored faces, in the colour of their source."""
        radius = drawn_radius(self.restorer.settings)
        sampled = _all_of(self._around(face, radius) for face in wanted)
        estimated = _all_of(self._around(face, radius) for face in sampled)
        _fill(self._estimates, estimated, self._estimate)
        _fill(self._guides, sampled, lambda faces: [self._drawn(self._estimates, face) for face in faces])
        _fill(self._faces, sampled, self._sample)
        _fill(self._matches, sampled, lambda faces: [self._match(face) for face in faces])
        return [
            with_colour(
                self._drawn(self._faces, face),
                mean_match([self._matches[other] for other in self._around(face, radius)]),
            )
            for face in wanted
        ]

    def forget(self, still_wanted: dict[int, int]) -> None:
        """Drop what no face will need any more.

        still_wanted: for each track the first frame, counted from its start, that may still be asked for
        """
        far = reach(self.restorer)
        for kept in (self._crops, self._estimates, self._guides, self._faces, self._matches):
            for face in [face for face in kept if face.at < still_wanted.get(face.track, face.at) - far]:
                del kept[face]
        # A motion serves the face's guide and the face itself.
        for face in [face for face in self._motions if face.at < still_wanted.get(face.track, face.at)]:
            del self._motions[face]

    def _around(self, face: FaceAt, radius: int) -> list[FaceAt]:
        """The face itself and its neighbours that were seen: a bridged gap may show anything in the face's place."""
        observed = self.tracks[face.track].track.observed
        near = (FaceAt(face.track, at) for at in range(face.at - radius, face.at + radius + 1))
        return [other for other in near if other == face or (other in self._crops and observed[other.at])]

    def _estimate(self, faces: Sequence[FaceAt]) -> Iterator[np.ndarray]:
        for first in range(0, len(faces), WINDOWS_AT_ONCE):
            yield from self._estimate_together(faces[first : first + WINDOWS_AT_ONCE])

    def _estimate_together(self, faces: Sequence[FaceAt]) -> np.ndarray:
        windows = []
        for face in faces:
            others = [self._crops[other] for other in self._around(face, self.restorer.window_radius) if other != face]
            stack = np.array(others, np.float32).reshape(-1, *self._crops[face].shape)
            windows.append(warped_neighbours(self._crops[face], stack, np.ones(len(others), bool)))
        return self.restorer.restoration(np.stack([self._crops[face] for face in faces]), windows)

    def _drawn(self, pictures: dict[FaceAt, np.ndarray], face: FaceAt) -> np.ndarray:
        settings, level = self.restorer.settings, float(self.tracks[face.track].levels[face.at])
        if face not in self._motions:
            self._motions[face] = self._motions_of(face)
        # What is nearly sharp has little noise to lose, and motion finer than the flow can follow.
        needed = min(1.0, level / (FULLY_DRAWN * self.restorer.resolution)) ** 2
        others = ((pictures[other], unpacked(moved)) for other, moved in self._motions[face].items())
        return pulled(pictures[face], others, needed * settings.temporal_strength)

    def _motions_of(self, face: FaceAt) -> dict[FaceAt, Motion]:
        """Where a face's points lie in each frame that it is drawn towards, packed."""
        others = (other for other in self._around(face, drawn_radius(self.restorer.settings)) if other != face)
        return {other: packed(motion(self._estimates[face], self._estimates[other])) for other in others}

    def _sample(self, faces: Sequence[FaceAt]) -> np.ndarray:
        tracks, correlation = [self.tracks[face.track] for face in faces], self.restorer.settings.noise_correlation
        result = self.restorer.sample(
            np.stack([self._guides[face] for face in faces]),
            np.array([track.levels[face.at] for track, face in zip(tracks, faces, strict=True)]),
            np.array([track.starting_steps[face.at] for track, face in zip(tracks, faces, strict=True)]),
            [NoiseKey(self.seed, t.noise, face.at, correlation) for t, face in zip(tracks, faces, strict=True)],
        )
        self.unet_evaluations += result.unet_evaluations
        return result.images

    def _match(self, face: FaceAt) -> ColourMatch:
        return colour_match(self._faces[face], self._crops[face], grey=self.tracks[face.track].grey)


def _all_of(groups: Iterable[Iterable[FaceAt]]) -> list[FaceAt]:
    return list(dict.fromkeys(face for group in groups for face in group))


def _fill(
    known: dict[FaceAt, Value], wanted: Iterable[FaceAt], make: Callable[[list[FaceAt]], Iterable[Value]]
) -> None:
    missing = [face for face in wanted if face not in known]
    if missing:
        known.update(zip(missing, make(missing), strict=True))
