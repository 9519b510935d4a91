"""The second pass, for one segment: decode, crop, sample, paste, encode."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from dynface_video.diffusion.noise import NoiseKey
from dynface_video.faces.align import align_transform, compose, crop_box, extract_crop
from dynface_video.faces.colour import follow_source_colour
from dynface_video.faces.grain import add_grain
from dynface_video.faces.paste import face_mask, paste_face
from dynface_video.jobs.analysis import Analysis, AnalyzedTrack
from dynface_video.media.colour import blend_region, read_region, writable_copy
from dynface_video.media.probe import VideoInfo
from dynface_video.media.read import Frame
from dynface_video.restorer import FaceRestorer

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
class _Face:
    """One face of one frame on its way. box: its region of the frame; to_crop: region pixels to crop pixels."""

    position: int
    analyzed: AnalyzedTrack
    at: int
    box: tuple[int, int, int, int]
    to_crop: np.ndarray
    crop: np.ndarray


def restored_frames(
    frames: Iterator[Frame],
    info: VideoInfo,
    analysis: Analysis,
    restorer: FaceRestorer,
    *,
    seed: int,
    work: Work,
    grain: float = 0.0,
) -> Iterator[Frame]:
    """The frames with their faces restored; at most `WINDOW` frames are held at a time.

    grain: how much of the surroundings' grain the faces get, in [0, 1]
    Frames without a face to restore come through as they are, the same object.
    """
    mask = face_mask(restorer.resolution)
    while True:
        began = time.perf_counter()
        window = _next_window(frames, analysis)
        work.seconds["decode"] += time.perf_counter() - began
        if not window:
            return
        began = time.perf_counter()
        faces = [face for i, frame in enumerate(window) for face in _faces_of(frame, i, info, analysis, restorer)]
        restored = _restore(faces, restorer, seed, work)
        work.seconds["faces"] += time.perf_counter() - began
        began = time.perf_counter()
        window = _paste(window, faces, restored, info, analysis, restorer, mask, seed, grain)
        work.seconds["paste"] += time.perf_counter() - began
        yield from window


def _next_window(frames: Iterator[Frame], analysis: Analysis) -> list[Frame]:
    """The next frames to hold at once: fewer where there are crowds."""
    window: list[Frame] = []
    faces = 0
    for frame in islice(frames, WINDOW):
        window.append(frame)
        faces += len(analysis.faces_in(frame.index, frame.index + 1))
        if faces >= WINDOW_FACES:
            break
    return window


def _faces_of(
    frame: Frame, position: int, info: VideoInfo, analysis: Analysis, restorer: FaceRestorer
) -> Iterator[_Face]:
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
        region = read_region(frame.picture, box, info.colour)
        crop = np.clip(extract_crop(region, to_crop, size), 0, 1)
        yield _Face(position, analyzed, at, box, to_crop, crop)


def _restore(faces: list[_Face], restorer: FaceRestorer, seed: int, work: Work) -> np.ndarray:
    if not faces:
        return np.zeros((0, restorer.resolution, restorer.resolution, 3), np.float32)
    result = restorer.restore(
        np.stack([face.crop for face in faces]),
        np.array([face.analyzed.levels[face.at] for face in faces]),
        np.array([face.analyzed.starting_steps[face.at] for face in faces]),
        [NoiseKey(seed, face.analyzed.track.identity) for face in faces],
    )
    work.faces += len(faces)
    work.unet_evaluations += result.unet_evaluations
    return result.images


def _paste(
    window: list[Frame],
    faces: Iterable[_Face],
    restored: np.ndarray,
    info: VideoInfo,
    analysis: Analysis,
    restorer: FaceRestorer,
    mask: np.ndarray,
    seed: int,
    grain: float,
) -> list[Frame]:
    frames = list(window)
    for face, picture in zip(faces, restored, strict=True):
        frame = frames[face.position]
        if frame is window[face.position]:
            frame = frames[face.position] = replace(frame, picture=writable_copy(frame.picture))
        keep_detail = float(restorer.keep_detail(face.analyzed.levels[face.at : face.at + 1])[0])
        coloured = follow_source_colour(picture, face.crop, grey=face.analyzed.grey)
        region = read_region(frame.picture, face.box, info.colour)
        shown = mask * fade(face.analyzed, face.at, analysis)
        rgb, weight = paste_face(region, face.crop, coloured, face.to_crop, mask=shown, keep_detail=keep_detail)
        if grain > 0:
            key = (seed, face.analyzed.track.number, frame.index)
            rgb = add_grain(rgb, region, weight, amount=grain, key=key)
        # The face is blended already; what remains to be said is which samples may change at all.
        blend_region(frame.picture, face.box, rgb, (weight > 0).astype(np.float32), info.colour)
    return frames


def fade(analyzed: AnalyzedTrack, at: int, analysis: Analysis) -> float:
    """How much of a restored face is shown, in [0, 1]: less at the ends of a track inside a shot, and as it turns away.

    A face that is found late or lost early would otherwise change from one frame to the next. Ends that a track shares
    with its shot are not faded.
    """
    track = analyzed.track
    shot = next(s for s in analysis.shots if s.start <= track.start + at < s.stop)
    since = at + 1 if track.start > shot.start else FADE
    until = track.stop - track.start - at if track.stop < shot.stop else FADE
    return min(1.0, since / FADE, until / FADE) * track.shown_at(at)
