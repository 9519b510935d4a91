"""The second pass, for one segment: decode, crop, sample, paste, encode."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from dynface_video.faces.align import TWICE, align_transform, compose, crop_box, extract_crop, transform_scale
from dynface_video.faces.grain import add_grain
from dynface_video.faces.paste import face_mask, paste_face
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame
from dynface_video.media.pixels.colour import writable_copy
from dynface_video.media.pixels.working_range import blend_working_region, read_working_region
from dynface_video.passes.analysis import Analysis, AnalyzedTrack
from dynface_video.pipeline import FaceRestorer
from dynface_video.video_pipeline import FaceAt, FacesInTime, ShownFace, reach

WINDOW = 16
WINDOW_FACES = 64
FADE = 5


@dataclass
class Work:
    """What has been done so far. faces: crops; seconds: wall time by stage."""

    faces: int = 0
    unet_evaluations: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "faces": 0.0, "paste": 0.0})


@dataclass(frozen=True)
class _Placed:
    """A face of a frame.

    box: its region of the frame; to_crop: region pixels to crop pixels; crop: (R, R, 3)
    source_detail_weight, detail_weight: as of `paste_face`
    """

    analyzed: AnalyzedTrack
    at: int
    box: tuple[int, int, int, int]
    to_crop: np.ndarray
    crop: np.ndarray
    source_detail_weight: float
    detail_weight: float

    @property
    def key(self) -> FaceAt:
        """Its name among the faces in time."""
        return FaceAt(self.analyzed.track.number, self.at)


def span_with_halo(analysis: Analysis, restorer: FaceRestorer, start: int, stop: int) -> tuple[int, int]:
    """The frames, first and one past the last, that `restored_frames` needs to be given for start .. stop - 1."""
    far, tracks = reach(restorer), [analyzed.track for analyzed in analysis.faces_in(start, stop)]
    first = min((max(track.start, start - far) for track in tracks), default=start)
    last = max((min(track.stop, stop + far) for track in tracks), default=stop)
    return min(first, start), max(last, stop)


def restored_frames(
    frames: Iterable[Frame],
    info: VideoInfo,
    analysis: Analysis,
    restorer: FaceRestorer,
    start: int,
    stop: int,
    *,
    seed: int,
    work: Work,
    grain: float = 0.0,
) -> Iterator[Frame]:
    """The frames start .. stop - 1 with their faces restored.

    frames: those of `span_with_halo`; at most `WINDOW` and what faces depend on after them are held at a time
    grain: how much of the surroundings' grain the faces get, in [0, 1]
    Frames without a face to restore come through as they are, the same object.
    """
    tracks = {analyzed.track.number: analyzed for analyzed in analysis.faces_in(start, stop)}
    faces, mask = FacesInTime(restorer, tracks, seed), face_mask(restorer.resolution)
    source, held = iter(frames), deque[tuple[Frame, list[_Placed]]]()
    while True:
        began = time.perf_counter()
        for frame in islice(source, WINDOW + reach(restorer) - len(held)):
            placed = list(_faces_of(frame, info, analysis, restorer))
            for face in placed:
                faces.see(face.key, face.crop, face.detail_weight)
            held.append((frame, placed))
        work.seconds["decode"] += time.perf_counter() - began
        if not held:
            return
        block = [held.popleft() for _ in range(_block_length([len(placed) for _, placed in held]))]
        block = [(frame, placed if start <= frame.index < stop else []) for frame, placed in block]
        began, evaluated = time.perf_counter(), faces.unet_evaluations
        wanted = [face for _, placed in block for face in placed]
        shown = iter(faces.shown([face.key for face in wanted]))
        following = block[-1][0].index + 1
        faces.forget({number: following - analyzed.track.start for number, analyzed in tracks.items()})
        work.seconds["faces"] += time.perf_counter() - began
        began = time.perf_counter()
        done = [
            _paste(frame, placed, shown, info, analysis, mask, seed, grain)
            for frame, placed in block
            if start <= frame.index < stop
        ]
        work.faces += sum(len(placed) for _, placed in block)
        work.unet_evaluations += faces.unet_evaluations - evaluated
        work.seconds["paste"] += time.perf_counter() - began
        yield from done


def _block_length(crowds: Sequence[int]) -> int:
    """How many frames are restored at once, given how many faces each has: fewer where there are crowds."""
    total = 0
    for length, count in enumerate(crowds[:WINDOW], 1):
        total += count
        if total >= WINDOW_FACES:
            return length
    return min(len(crowds), WINDOW)


def _faces_of(frame: Frame, info: VideoInfo, analysis: Analysis, restorer: FaceRestorer) -> Iterator[_Placed]:
    size = restorer.resolution
    for analyzed in analysis.faces_in(frame.index, frame.index + 1):
        at = frame.index - analyzed.track.start
        if analyzed.track.shown_at(at) == 0:
            continue
        to_crop = compose(align_transform(analyzed.track.landmarks[at], size), info.display.transform)
        box = crop_box(to_crop, size, info.width, info.height)
        if box[2] - box[0] < 2 or box[3] - box[1] < 2:
            continue
        to_crop = compose(to_crop, np.array([[1.0, 0.0, box[0]], [0.0, 1.0, box[1]]]))
        region = read_working_region(frame.picture, box, info.colour)
        crop = np.clip(extract_crop(region, to_crop, size), 0, 1)
        source_detail_weight = float(restorer.source_detail_weight(analyzed.levels[at : at + 1])[0])
        detail_weight, scale = 0.0, transform_scale(to_crop)
        if restorer.max_detail_weight(scale) > 0:
            source = np.clip(extract_crop(region, compose(TWICE, to_crop), 2 * size), 0, 1)
            detail_weight = restorer.detail_weight(float(analyzed.levels[at]), scale, source)
        yield _Placed(analyzed, at, box, to_crop, crop, source_detail_weight, detail_weight)


def _paste(
    frame: Frame,
    faces: Sequence[_Placed],
    shown: Iterator[ShownFace],
    info: VideoInfo,
    analysis: Analysis,
    mask: np.ndarray,
    seed: int,
    grain: float,
) -> Frame:
    """The frame with its faces pasted, which are the next of `shown`."""
    if not faces:
        return frame
    frame = replace(frame, picture=writable_copy(frame.picture))
    for face in faces:
        region = read_working_region(frame.picture, face.box, info.colour)
        visible = mask * fade(face.analyzed, face.at, analysis)
        restored = next(shown)
        rgb, weight = paste_face(
            region,
            face.crop,
            restored.picture,
            face.to_crop,
            mask=visible,
            source_detail_weight=face.source_detail_weight,
            detail=restored.detail,
            detail_weight=restored.detail_weight,
        )
        if grain > 0:
            # As the noise: by face and shot, so that a shot looks the same in every video.
            key = (seed, face.analyzed.noise, face.at)
            rgb = add_grain(rgb, region, weight, amount=grain, key=key)
        # The face is blended already; what remains to be said is which samples may change at all.
        blend_working_region(frame.picture, face.box, rgb, (weight > 0).astype(np.float32), info.colour)
    return frame


def fade(analyzed: AnalyzedTrack, at: int, analysis: Analysis) -> float:
    """How much of a restored face is shown, in [0, 1]: less at the ends of a track inside a shot, and as it turns away.

    A face that is found late or lost early would otherwise change from one frame to the next. Ends that a track shares
    with its shot are not faded, and the ramps of a short track are short: it is fully shown for a third of its length.
    """
    track = analyzed.track
    shot = next(s for s in analysis.shots if s.start <= track.start + at < s.stop)
    length = track.stop - track.start
    ramp = min(FADE, max(1, length // 3))
    since = at + 1 if track.start > shot.start else ramp
    until = length - at if track.stop < shot.stop else ramp
    return min(1.0, since / ramp, until / ramp) * track.shown_at(at)
