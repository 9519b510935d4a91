"""The first pass: decode once, find shots and faces, read blur levels; then reduce to an `Analysis`."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.config import DetectionSettings, Settings
from dynface_video.faces.align import transform_scale
from dynface_video.faces.detection.detector import FaceDetector, FaceLocator
from dynface_video.faces.identity import FaceIdentifier
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame, IndexBuilder, read_frames, to_display
from dynface_video.media.output.stream_copy import closed_spans
from dynface_video.media.pixels.interlace import first_fields
from dynface_video.media.pixels.working_range import working_range
from dynface_video.media.timing.repeats import RepeatFinder
from dynface_video.media.timing.shots import Shot, ShotDetector
from dynface_video.passes.analysis import Analysis, Person
from dynface_video.passes.identity_reader import IdentityReader, IdentityReading, mean_vector
from dynface_video.passes.level_reader import LevelReader, LevelReading
from dynface_video.passes.prefetch import Prefetch, frames_ahead
from dynface_video.pipeline import FacePipeline
from dynface_video.temporal.level_smoothing import hold_steps, smooth_levels
from dynface_video.tracking.detection_ahead import THREADS, DetectionAhead
from dynface_video.tracking.observation import FaceTrack, Observation, SkippedFace
from dynface_video.tracking.orientation import TurningTracker
from dynface_video.tracking.people import group_people
from dynface_video.tracking.post_processing import post_process_tracks

CERTAIN_READINGS = 3
SIDE_QUANTILE = 0.9
"""Quantile of a track's crop sides by which its stages are chosen: it has at least that size for some time."""


Reading = TypeVar("Reading", LevelReading, IdentityReading)


@dataclass(frozen=True, eq=False)
class _Shown:
    """A frame, as displayed, (H, W, 3) uint8, in colours good enough to find faces, and whether a shot may begin."""

    frame: Frame
    picture: np.ndarray
    cut: bool

    def exact(self, info: VideoInfo) -> np.ndarray:
        """The frame as displayed, in the colours that networks expect."""
        if working_range(self.frame.colour) is not None:
            return self.picture
        return to_display(self.frame.working_rgb(), info.display)


def analyze(
    info: VideoInfo,
    detector: FaceDetector,
    locator: FaceLocator,
    pipeline: FacePipeline,
    settings: Settings,
    *,
    identifier: FaceIdentifier | None = None,
    decoded: Iterable[Frame] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> Analysis:
    """Analyse a whole video in one decode; memory holds a few frames and the numbers found.

    Args:
        info: The video.
        detector: Finds faces.
        locator: Finds landmarks.
        pipeline: What will restore; its blur estimators read the levels.
        settings: All of them.
        identifier: Tells people apart; None joins only what the tracker knows to be one face.
        decoded: Frames in memory, instead of the file's.
        on_frame: Called with the number of frames done.

    Raises:
        InputError: The video cannot be decoded.
    """
    warnings: list[str] = []
    builder, shots = IndexBuilder(info), ShotDetector()
    reader = LevelReader(pipeline, settings.restoration.level_interval)
    identities = IdentityReader(identifier)
    if decoded is None:
        source = read_frames(info, index=builder, on_warning=warnings.append)
    else:
        source = _indexed(decoded, builder)
    tolerance, repeats = settings.restoration.repeat_tolerance, RepeatFinder(settings.restoration.repeat_tolerance or 0)
    # The fields of a repeated picture are repeated too, but are restored one by one.
    watched = source if tolerance is None or info.interlaced else _watched(source, repeats)
    decoding = progressive(watched, info, settings, warnings)
    shown = _shown(decoding, info, shots)
    # Also so far that a batch of levels does not stop the tracker.
    ahead = frames_ahead(info.width, info.height)
    with (
        Prefetch(shown, ahead) as pictures,
        Prefetch(_tracked(pictures, detector, locator, settings.detection, ahead), ahead) as tracked,
    ):
        observations = _observed(tracked, info, (reader, identities), on_frame)
    reader.flush()
    frames = builder.finish()
    if settings.output.copy_untouched and info.codec == "h264":
        frames = replace(frames, closed=tuple(closed_spans(info, frames)))
    shot_list = shots.shots(len(frames.pts))
    tracks, skipped_faces = post_process_tracks(
        observations,
        [shot.start for shot in shot_list],
        settings=settings.detection,
        frame_count=len(frames.pts),
    )
    analyzed = _with_levels(tracks, reader.readings, pipeline, settings, shot_list)
    analyzed, people = _with_people(analyzed, identities)
    skipped_faces += _never_read(tracks, analyzed)
    return Analysis(
        frames,
        tuple(shot_list),
        tuple(analyzed),
        tuple(skipped_faces),
        tuple(dict.fromkeys(warnings)),
        people,
        strength=settings.restoration.strength,
        repeats=tuple(repeats.runs),
    )


def _shown(frames: Iterable[Frame], info: VideoInfo, shots: ShotDetector) -> Iterator[_Shown]:
    last: _Shown | None = None
    for frame in frames:
        if last is not None and frame.picture is last.frame.picture:
            # A lost frame. PyAV must not convert one picture in two threads, and a reader may be at it.
            picture = last.picture
        else:
            picture = to_display(frame.quick_rgb(), info.display)
        last = _Shown(frame, picture, shots.feed(frame.index, picture))
        yield last


def _tracked(
    shown: Iterable[_Shown],
    detector: FaceDetector,
    locator: FaceLocator,
    settings: DetectionSettings,
    most_frames: int,
) -> Iterator[tuple[_Shown, list[Observation]]]:
    """The frames, and what `TurningTracker.step` finds.

    The next pictures to be searched for faces are searched in threads of their own while faces are followed up to them.
    most_frames: How many frames may be held for that.
    """
    source, coming = iter(shown), deque[_Shown]()
    most = 1 + min(most_frames, THREADS * settings.interval)
    with DetectionAhead(detector) as ahead:
        tracker = TurningTracker(ahead, locator, settings)
        while True:
            coming.extend(islice(source, most - len(coming)))
            steps = ((one.frame.index, one.picture, one.cut) for one in coming)
            ahead.expect(tracker.next_detected(steps, THREADS))
            if not coming:
                return
            now = coming.popleft()
            yield now, tracker.step(now.frame.index, now.picture, cut=now.cut)


def _observed(
    tracked: Iterable[tuple[_Shown, list[Observation]]],
    info: VideoInfo,
    readers: Sequence[LevelReader | IdentityReader],
    on_frame: Callable[[int], None] | None,
) -> list[Observation]:
    """All faces that were tracked; readers: see each frame that has faces, with these."""
    observations: list[Observation] = []
    for shown, found in tracked:
        index = shown.frame.index
        observations += found
        here = [observation for observation in found if observation.frame == index]
        if here:
            picture = shown.exact(info)
            for reader in readers:
                reader.see(index, picture, here)
        if on_frame is not None:
            on_frame(index + 1)
    return observations


def _watched(frames: Iterable[Frame], repeats: RepeatFinder) -> Iterator[Frame]:
    for frame in frames:
        repeats.feed(frame.picture)
        yield frame


def _indexed(frames: Iterable[Frame], builder: IndexBuilder) -> Iterator[Frame]:
    for frame in frames:
        builder.add(frame.picture, frame.pts, entry=None, repeated=False)
        yield frame


def _with_levels(
    tracks: Sequence[FaceTrack],
    readings: Sequence[LevelReading],
    pipeline: FacePipeline,
    settings: Settings,
    shots: Sequence[Shot],
) -> list[AnalyzedTrack]:
    belonging = assign_readings(tracks, readings)
    greys = grey_tracks(tracks, belonging, shots, settings.restoration.grayscale)
    analyzed = []
    for track, own, grey, noise in zip(tracks, belonging, greys, noise_numbers(tracks, shots), strict=True):
        if not own:
            continue
        levels, steps = _levels_over_time(track, own, pipeline, settings)
        analyzed.append(AnalyzedTrack(track, levels, steps, grey, noise=noise))
    return analyzed


def _with_people(
    tracks: Sequence[AnalyzedTrack], identities: IdentityReader
) -> tuple[list[AnalyzedTrack], tuple[Person, ...]]:
    """The tracks with the numbers of their people, and these people with their vectors."""
    readings = assign_readings([one.track for one in tracks], identities.readings)
    vectors = [mean_vector(own) for own in readings]
    least = 1.0 if identities.identifier is None else identities.identifier.same_person
    numbers = group_people([one.track for one in tracks], vectors, same_person=least)
    people = []
    for number in sorted(set(numbers)):
        own = [one for person, several in zip(numbers, readings, strict=True) if person == number for one in several]
        people.append(Person(number, mean_vector(own)))
    return [replace(one, person=number) for one, number in zip(tracks, numbers, strict=True)], tuple(people)


def _levels_over_time(
    track: FaceTrack, readings: Sequence[LevelReading], pipeline: FacePipeline, settings: Settings
) -> tuple[np.ndarray, np.ndarray]:
    """Levels and starting steps of a track at each of its stages, (S, T) each."""
    length = track.stop - track.start
    levels: list[np.ndarray] = []
    steps: list[np.ndarray] = []
    for number, stage in enumerate(pipeline.stages_for(_side(track, pipeline))):
        own = [reading for reading in readings if len(reading.levels) > number]
        if stage.sampler is None:
            levels.append(np.zeros(length))
        elif own:
            levels.append(
                smooth_levels(
                    np.array([reading.frame - track.start for reading in own]),
                    np.array([reading.levels[number] for reading in own]),
                    np.array([reading.confidences[number] for reading in own]),
                    length,
                    std=settings.restoration.level_smoothing,
                )
            )
        else:
            break
        band, least = settings.restoration.step_hysteresis, stage.config.least_starting_step
        steps.append(hold_steps(stage.table_steps(levels[-1]), band=band, least=least))
    return np.stack(levels), np.stack(steps)


def _side(track: FaceTrack, pipeline: FacePipeline) -> float:
    """Side of the crop of a track, frame pixels."""
    sides = [1 / transform_scale(pipeline.crop_transform(points, 1)) for points in track.landmarks]
    return float(np.quantile(sides, SIDE_QUANTILE))


def noise_numbers(tracks: Sequence[FaceTrack], shots: Sequence[Shot]) -> list[int]:
    """The number of each track's noise: its identity, counted from the first track of its shot."""
    starts = [shot.start for shot in shots]
    shot_of = [bisect_right(starts, track.start) for track in tracks]
    first: dict[int, int] = {}
    for track, shot in zip(tracks, shot_of, strict=True):
        first[shot] = min(first.get(shot, track.number), track.number)
    return [track.identity - first[shot] for track, shot in zip(tracks, shot_of, strict=True)]


def _never_read(tracks: Sequence[FaceTrack], analyzed: Sequence[AnalyzedTrack]) -> list[SkippedFace]:
    known = {one.track.number for one in analyzed}
    return [
        SkippedFace(
            track.start,
            track.stop,
            (float(centre[0]), float(centre[1])),
            track.size,
            "no blur level could be read off it",
        )
        for track in tracks
        if track.number not in known
        for centre in [np.median(track.landmarks.mean(axis=1), axis=0)]
    ]


def grey_tracks(
    tracks: Sequence[FaceTrack],
    belonging: Sequence[Sequence[LevelReading]],
    shots: Sequence[Shot],
    grayscale: str,
) -> list[bool]:
    """Which tracks get no colour.

    With "auto" the readings of a shot decide by majority, but for a track whose own readings, at least
    `CERTAIN_READINGS`, all agree: a statue does not take the colour from the people beside it.

    Args:
        tracks: All of them.
        belonging: The readings of each.
        shots: Of the video.
        grayscale: "on" (all), "off" (no track) or "auto".
    """
    if grayscale != "auto":
        return [grayscale == "on"] * len(tracks)
    votes: dict[int, list[bool]] = {}
    shot_of = [next((i for i, s in enumerate(shots) if s.start <= t.start < s.stop), -1) for t in tracks]
    for shot, own in zip(shot_of, belonging, strict=True):
        votes.setdefault(shot, []).extend(reading.grey for reading in own)
    result = []
    for shot, own in zip(shot_of, belonging, strict=True):
        agreed = {reading.grey for reading in own}
        certain = len(agreed) == 1 and len(own) >= CERTAIN_READINGS
        result.append(agreed.pop() if certain else 2 * sum(votes[shot]) > len(votes[shot]))
    return result


def progressive(frames: Iterator[Frame], info: VideoInfo, settings: Settings, warnings: list[str]) -> Iterator[Frame]:
    """The frames for detection: without combs where the video is treated as interlaced; warns if marks vary."""
    marks: list[bool] = []

    def counted() -> Iterator[Frame]:
        for frame in frames:
            marks.append(frame.picture.interlaced_frame)
            yield frame

    if info.interlaced:
        yield from first_fields(counted(), marked_only=settings.output.interlaced == "deinterlace")
        if any(marks) and not all(marks) and settings.output.interlaced == "auto":
            warnings.append(
                f"{info.path}: {len(marks) - sum(marks)} pictures are marked as progressive, though the first is "
                "interlaced; faces in them were restored field by field like the others"
            )
        return
    yield from counted()
    marked = sum(marks)
    if marked and settings.output.interlaced != "ignore":
        warnings.append(
            f"{info.path}: {marked} pictures are marked as interlaced, though the first is not; faces in them were "
            "restored as in progressive pictures: if they show combs, restore with --interlaced keep or deinterlace"
        )


def assign_readings(tracks: Sequence[FaceTrack], readings: Sequence[Reading]) -> list[list[Reading]]:
    """The readings of each track, one a frame, in order: each goes to the nearest face of its frame.

    Readings are taken while tracks still grow; fragments joined later bring theirs along by where they were taken.
    """
    belonging: list[dict[int, Reading]] = [{} for _ in tracks]
    for reading in readings:
        near = []
        for number, track in enumerate(tracks):
            if track.start <= reading.frame < track.stop:
                landmarks = track.landmarks[reading.frame - track.start]
                distance = float(np.hypot(*(landmarks.mean(axis=0) - reading.centre)))
                if distance < np.ptp(landmarks[:, 1]):
                    near.append((distance, number))
        if near:
            belonging[min(near)[1]].setdefault(reading.frame, reading)
    return [[own[frame] for frame in sorted(own)] for own in belonging]
