"""The faces of a segment on their way from crop to restored face, each with the frames around it.

    crops t-w .. t+w --RM--> estimate t     estimates t-r .. t+r --along the flow--> guide t
    guide t --sampler--> face t             faces t-r .. t+r --along the flow--> shown t
    shown t --second stage--> detail t      details t-d .. t+d --along the flow--> detail shown with t

w is `window_radius`, r `temporal_radius`, d `DETAIL_RADIUS`; all go along the flow of the estimates. What is shown in a
frame depends on the w + 2 r + d frames on either side that the face has in its shot, and on no others: a segment that
is given those makes what the whole video would make.
(Drawing faces towards each other at every step of the sampler would make it depend on r frames more for each step.)

At the sampler's last step rho (see `guidance`) is so large that the guides have no say any more, and the closed form
with the temporal term is the weighted mean of `temporal_average`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from dynface_video.config import RestorationSettings
from dynface_video.diffusion.noise import NoiseKey
from dynface_video.faces.colour import ColourMatch, colour_match, mean_match, with_colour
from dynface_video.passes.analysis import AnalyzedTrack
from dynface_video.pipeline import FaceRestorer
from dynface_video.temporal.averaging import (
    Motion,
    motion,
    packed,
    temporal_average,
    temporal_average_detail,
    unpacked,
    warped_neighbours,
)

Value = TypeVar("Value")

WINDOWS_AT_ONCE = 16
"""Windows that are held for RM at a time: a crowd has a thousand faces within reach of a frame."""
FULLY_DRAWN = 1.5 / 128
"""Blur level, in sides of the crop, from which on faces are drawn together as strongly as is set; less below it, by the
square."""
DETAIL_RADIUS = 4
"""Frames on either side that the second stage's detail is drawn towards, where `temporal_radius` is no smaller."""


def reach(restorer: FaceRestorer) -> int:
    """How many frames on either side a restored face depends on."""
    return restorer.window_radius + 2 * drawn_radius(restorer.settings) + detail_radius(restorer)


def drawn_radius(settings: RestorationSettings) -> int:
    """How many frames on either side a face is drawn towards at once."""
    return settings.temporal_radius if settings.temporal_weight > 0 else 0


def detail_radius(restorer: FaceRestorer) -> int:
    """How many frames on either side a face's detail is drawn towards."""
    return min(DETAIL_RADIUS, drawn_radius(restorer.settings)) if restorer.has_cascade else 0


@dataclass(frozen=True)
class FaceAt:
    """A face in one frame: its track, and the frame counted from the track's start."""

    track: int
    at: int


@dataclass(frozen=True, eq=False)
class ShownFace:
    """picture: (R, R, 3); detail: what the second stage draws above that, (2 R, 2 R, 3), and how much of it to add."""

    picture: np.ndarray
    detail: np.ndarray | None = None
    detail_weight: float = 0.0


@dataclass(eq=False)
class FacesInTime:
    """Restores faces frame by frame, keeping what their neighbours will ask for.

    tracks: those that may be asked for, by number. Pictures are (R, R, 3) float32 in [0, 1], details (2 R, 2 R, 3).
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
    _shown: dict[FaceAt, np.ndarray] = field(default_factory=dict)
    _details: dict[FaceAt, np.ndarray] = field(default_factory=dict)
    _shares: dict[FaceAt, float] = field(default_factory=dict)

    def see(self, face: FaceAt, crop: np.ndarray, detail_weight: float = 0.0) -> None:
        """Take in the crop of a face; those of the frames within `reach` must be there before a face is asked for.

        detail_weight: as of `FaceRestorer`, for this frame alone
        """
        self._crops[face] = crop
        self._shares[face] = detail_weight

    def shown(self, wanted: Sequence[FaceAt]) -> list[ShownFace]:
        """The restored faces, in the colour of their source, with the second stage's detail where it has a share."""
        radius = drawn_radius(self.restorer.settings)
        shares = {face: self._share(face) for face in wanted}
        drawn = _all_of(self._around(face, detail_radius(self.restorer)) for face in wanted if shares[face] > 0)
        finished = list(dict.fromkeys([*wanted, *drawn]))
        sampled = _all_of(self._around(face, radius) for face in finished)
        estimated = _all_of(self._around(face, radius) for face in sampled)
        _fill(self._estimates, estimated, self._estimate)
        _fill(self._guides, sampled, lambda faces: [self._drawn(self._estimates, face) for face in faces])
        _fill(self._faces, sampled, self._sample)
        _fill(self._matches, sampled, lambda faces: [self._match(face) for face in faces])
        _fill(self._shown, finished, lambda faces: [self._finished(face, radius) for face in faces])
        _fill(self._details, drawn, self._draw_detail)
        details = {face: self._drawn_detail(face) for face, share in shares.items() if share > 0}
        return [ShownFace(self._shown[face], details.get(face), shares[face]) for face in wanted]

    def forget(self, still_wanted: dict[int, int]) -> None:
        """Drop what no face will need any more.

        still_wanted: for each track the first frame, counted from its start, that may still be asked for
        """
        near, drawn = detail_radius(self.restorer), drawn_radius(self.restorer.settings)
        finished = (self._shown, self._details, self._shares)
        sources = (self._crops, self._estimates, self._guides)
        for far, group in (
            (near, finished),
            (near + drawn, (self._faces, self._matches)),
            (reach(self.restorer), sources),
        ):
            for kept in group:
                for face in [face for face in kept if face.at < still_wanted.get(face.track, face.at) - far]:
                    del kept[face]
        # A motion serves the face's guide, the face itself and its detail.
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
        # What is nearly sharp has little noise to lose, and motion finer than the flow can follow.
        needed = min(1.0, level / (FULLY_DRAWN * self.restorer.resolution)) ** 2
        near = (other for other in self._around(face, drawn_radius(settings)) if other != face)
        others = ((pictures[other], unpacked(self._motion(face, other))) for other in near)
        return temporal_average(pictures[face], others, needed * settings.temporal_weight)

    def _motion(self, face: FaceAt, other: FaceAt) -> Motion:
        """Where a face's points lie in another frame, packed."""
        known = self._motions.setdefault(face, {})
        if other not in known:
            known[other] = packed(motion(self._estimates[face], self._estimates[other]))
        return known[other]

    def _sample(self, faces: Sequence[FaceAt]) -> np.ndarray:
        tracks = [self.tracks[face.track] for face in faces]
        result = self.restorer.sample(
            np.stack([self._guides[face] for face in faces]),
            np.array([track.levels[face.at] for track, face in zip(tracks, faces, strict=True)]),
            np.array([track.starting_steps[face.at] for track, face in zip(tracks, faces, strict=True)]),
            [self._noise_key(face) for face in faces],
        )
        self.unet_evaluations += result.unet_evaluations
        return result.images

    def _finished(self, face: FaceAt, radius: int) -> np.ndarray:
        matches = [self._matches[other] for other in self._around(face, radius)]
        return with_colour(self._drawn(self._faces, face), mean_match(matches))

    def _share(self, face: FaceAt) -> float:
        """Mean of the shares around a face: by its own alone the detail would come and go with a codec's frames."""
        return float(np.mean([self._shares[other] for other in self._around(face, detail_radius(self.restorer))]))

    def _draw_detail(self, faces: Sequence[FaceAt]) -> np.ndarray:
        details, evaluations = self.restorer.detail(
            np.stack([self._shown[face] for face in faces]), [self._noise_key(face) for face in faces]
        )
        self.unet_evaluations += evaluations
        return details

    def _drawn_detail(self, face: FaceAt) -> np.ndarray:
        near = self._around(face, detail_radius(self.restorer))
        others = ((self._details[other], unpacked(self._motion(face, other), 4)) for other in near if other != face)
        return temporal_average_detail(self._details[face], others, self.restorer.settings.temporal_weight)

    def _noise_key(self, face: FaceAt) -> NoiseKey:
        return NoiseKey(self.seed, self.tracks[face.track].noise, face.at, self.restorer.settings.noise_correlation)

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
