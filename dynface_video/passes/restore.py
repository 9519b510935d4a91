"""The second pass, for one segment: decode, crop, restore through the stages, paste, encode.

Each is done in a thread of its own, a bounded number of frames ahead of the next; RM, the sampler and the temporal work
around them are lanes with threads of their own.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from dynface_video.analyzed_track import AnalyzedTrack
from dynface_video.face_records import FaceKey
from dynface_video.faces.align import (
    compose,
    crop_box,
    crop_validity,
    extract_crop,
    picture_beyond,
    scaling,
    transform_scale,
)
from dynface_video.faces.grain import add_grain
from dynface_video.faces.parsing import FaceParser
from dynface_video.faces.paste import face_mask, paste_face, signal_share
from dynface_video.lanes import InTurn, Lanes
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import Frame
from dynface_video.media.pixels.colour import writable_copy
from dynface_video.media.pixels.working_range import blend_working_region, read_working_region
from dynface_video.models.restoration import RestorationModel
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.prefetch import Prefetch, frames_ahead
from dynface_video.pipeline import FacePipeline
from dynface_video.stage import source_detail_weight
from dynface_video.tracking.observation import FADE_FRAMES
from dynface_video.video_pipeline import LANES, REGRESSION, BegunFaces, VideoPipeline, reach

FRAMES_AT_ONCE = 8
"""Frames of a block, at least: as many as a batch has faces, so that one face a frame fills it."""
FACES_AT_ONCE = 64
BLOCKS_AT_ONCE = 4
"""Blocks of frames whose faces are restored at the same time, so that every lane has work."""
PLACED_AHEAD = 4
"""Frames whose crops are taken ahead of their use."""


@dataclass
class Work:
    """Counts of work done.

    Attributes:
        faces: Crops restored.
        drawn_faces: Crops restored in which the prior drew detail.
        unet_evaluations: Network evaluations of the prior.
        seconds: Time by step of the pass; the steps overlap.
    """

    faces: int = 0
    drawn_faces: int = 0
    unet_evaluations: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, step: str, seconds: float) -> None:
        """Add time that a step has taken; called in one thread for each step."""
        self.seconds[step] = self.seconds.get(step, 0.0) + seconds


@dataclass(frozen=True, eq=False)
class _PlacedFace:
    """A face of a frame.

    Attributes:
        position: The frame, counted from the track's start.
        at: The frame that was restored, counted likewise: an earlier one where the picture is a repeat.
        box: Its region of the frame.
        to_crop: Region pixels to pixels of the last stage's crop.
        crop: The source at the last stage's resolution, (R, R, 3).
        mask: As of `paste_face`, of a face that is fully shown.
        source_detail_weight: Most of the source's detail above the crop's resolution that stays; see `paste_face`.
        damage: (R, R) float32 in [0, 1], where the crop was damaged; None for nowhere.
    """

    analyzed: AnalyzedTrack
    position: int
    at: int
    box: tuple[int, int, int, int]
    to_crop: np.ndarray
    crop: np.ndarray
    mask: np.ndarray
    source_detail_weight: float
    damage: np.ndarray | None = None

    @property
    def key(self) -> FaceKey:
        """Its name in the video pipeline."""
        return FaceKey(self.analyzed.track.number, self.at)

    @property
    def drawn(self) -> bool:
        """Whether the prior draws detail in it at any stage."""
        return bool(self.analyzed.starting_steps[:, self.at].any())


@dataclass(frozen=True, eq=False)
class PassContext:
    """What the second pass needs of a segment's video.

    Attributes:
        info: The video.
        analysis: Of the first pass.
        pipeline: Restores the faces.
        seed: Of the job's noise.
        grain: Share of the surroundings' grain that faces get, in [0, 1].
        parser: Tells what of a crop is pasted; None pastes all of it.
        in_turn: Whether everything is done in the thread that takes the frames, when it takes them: for a caller who
            has another number of threads for the networks between two frames.
    """

    info: VideoInfo
    analysis: Analysis
    pipeline: FacePipeline
    seed: int
    grain: float = 0.0
    parser: FaceParser | None = None
    in_turn: bool = False


_BegunFrames = list[tuple[Frame, list[tuple[_PlacedFace, BegunFaces]]]]
"""Frames with their faces, and where these will be once they are restored."""


def span_with_halo(analysis: Analysis, pipeline: FacePipeline, start: int, stop: int) -> tuple[int, int]:
    """The frames, first and one past the last, that `restored_frames` needs to be given for start .. stop - 1."""
    faces = analysis.faces_in(start, stop)
    spans = [(face.track, reach(pipeline.stages[: face.stage_count])) for face in faces]
    first = min((max(track.start, start - far) for track, far in spans), default=start)
    last = max((min(track.stop, stop + far) for track, far in spans), default=stop)
    return min(first, start), max(last, stop)


def spans_with_halo(analysis: Analysis, pipeline: FacePipeline, start: int, stop: int) -> list[tuple[int, int]]:
    """As `span_with_halo`, with the frames that the first ones repeat: several spans where those are far away."""
    spans = [span_with_halo(analysis, pipeline, start, stop)]
    for face in analysis.faces_in(start, min(start + 1, stop)):
        source, far = analysis.face_frame(face, start), reach(pipeline.stages[: face.stage_count])
        if source < start:
            # What lies between the two shows the same picture, and is no face's neighbour.
            spans.append((max(face.track.start, source - far), source + 1))
    joined: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined


def restored_frames(
    frames: Iterable[Frame], context: PassContext, start: int, stop: int, *, work: Work
) -> Iterator[Frame]:
    """The frames start .. stop - 1 with their faces restored.

    Args:
        frames: Those of `spans_with_halo`; at most `BLOCKS_AT_ONCE` blocks, and those that their faces depend on, are
            held, beside those that threads have ready for each other.
        context: The video and what restores it.
        start: The first frame to give.
        stop: One past the last.
        work: Gets what was done.

    Yields:
        A frame without a face to restore is the same object.
    """
    tracks = {analyzed.track.number: analyzed for analyzed in context.analysis.faces_in(start, stop)}
    ahead = frames_ahead(context.info.width, context.info.height)
    placed = _placed_frames(frames, context, tracks, work)
    with ExitStack() as threads:
        if not context.in_turn:
            placed = threads.enter_context(Prefetch(placed, min(PLACED_AHEAD, ahead)))
        restored = _restored_faces(placed, context, tracks, (start, stop), work)
        if not context.in_turn:
            restored = threads.enter_context(Prefetch(restored, ahead))
        for frame, faces in restored:
            began = time.perf_counter()
            done = _paste(frame, faces, context)
            work.faces += len(faces)
            work.drawn_faces += sum(face.drawn for face, _ in faces)
            work.add("paste", time.perf_counter() - began)
            yield done


@dataclass(frozen=True, eq=False)
class _PlacedFrame:
    """A frame, its faces, and of those that are no repeats the source crops as of `VideoPipeline.add`."""

    frame: Frame
    faces: list[_PlacedFace]
    crops: list[tuple[FaceKey, Sequence[np.ndarray], np.ndarray, np.ndarray]]


def _placed_frames(
    frames: Iterable[Frame], context: PassContext, tracks: Mapping[int, AnalyzedTrack], work: Work
) -> Iterator[_PlacedFrame]:
    for frame in frames:
        began = time.perf_counter()
        placed = _place_faces(frame, context, tracks)
        work.add("crops", time.perf_counter() - began)
        yield placed


def _restored_faces(
    placed: Iterable[_PlacedFrame],
    context: PassContext,
    tracks: Mapping[int, AnalyzedTrack],
    span: tuple[int, int],
    work: Work,
) -> Iterator[tuple[Frame, list[tuple[_PlacedFace, np.ndarray]]]]:
    """The frames of a span, first and one past the last, each with its faces and what they become, (R, R, 3)."""
    # Where a video is cut decides which faces share a batch; a picture is never cut, and may hold a single face.
    cut = context.analysis.frame_count > 1
    pipeline = context.pipeline.with_fixed_batches() if cut else context.pipeline
    made = _MadeFaces(context.analysis, span[0])
    length = max(FRAMES_AT_ONCE, pipeline.settings.batch_size)
    source, held, begun = iter(placed), deque[_PlacedFrame](), deque[_BegunFrames]()
    lanes = InTurn() if context.in_turn else Lanes(*_lane_threads(pipeline))
    blocks = 1 if context.in_turn else BLOCKS_AT_ONCE
    video = VideoPipeline(pipeline, tracks, context.seed, lanes)
    with closing(video), lanes:
        while True:
            for one in islice(source, length + reach(video.stages) - len(held)):
                held.append(one)
                for key, crops, validity, to_crop in one.crops:
                    video.add(key, crops, validity, to_crop=to_crop)
            if held:
                block = [held.popleft() for _ in range(_block_length([len(one.faces) for one in islice(held, length)]))]
                begun.append(_begin(block, video, made, span, context.parser))
            if not begun:
                break
            if not held or len(begun) == blocks:
                for frame, faces in begun.popleft():
                    done = ((replace(face, damage=restored.damage.get(face.key)), restored) for face, restored in faces)
                    yield frame, [(face, restored.faces[face.key]) for face, restored in done]
        work.unet_evaluations += video.unet_evaluations
        for lane, seconds in lanes.seconds.items():
            work.add(lane, seconds)


def _lane_threads(pipeline: FacePipeline) -> list[str]:
    """The lane of each thread.

    On a CPU our RM has two: it is most of the work there, and a call takes a single core. Whether networks of other
    projects can be called by two threads at once is not known.
    """
    ours = all(isinstance(stage.restoration, RestorationModel) for stage in pipeline.stages)
    return [*LANES, REGRESSION] if ours and pipeline.device.type == "cpu" else list(LANES)


def _begin(
    block: Sequence[_PlacedFrame],
    video: VideoPipeline,
    made: _MadeFaces,
    span: tuple[int, int],
    parser: FaceParser | None,
) -> _BegunFrames:
    """Begin to restore the faces of a block: its frames inside the span, with their faces."""
    start, stop = span
    carried = [face.key for one in block if one.frame.index < start for face in one.faces]
    shown = [one for one in block if start <= one.frame.index < stop]
    parsed = _parsed([face for one in shown for face in one.faces], parser)
    frames = [(one.frame, [next(parsed) for _ in one.faces]) for one in shown]
    wanted = made.missing(carried, [face.key for _, faces in frames for face in faces])
    made.add(wanted, video.begin(wanted))
    following = block[-1].frame.index + 1
    video.discard({number: following - analyzed.track.start for number, analyzed in video.tracks.items()})
    begun = [(frame, [(face, made.faces[face.key]) for face in faces]) for frame, faces in frames]
    made.keep_last()
    return begun


class _MadeFaces:
    """Where the restored faces of a block are, and the last of each track, which the next block may begin by repeating.

    Args:
        analysis: Of the video.
        start: The first frame to be given; faces before it are made if it repeats them.
    """

    def __init__(self, analysis: Analysis, start: int) -> None:
        faces = analysis.faces_in(start, start + 1)
        sources = [(face.track, analysis.face_frame(face, start)) for face in faces]
        self._before = {FaceKey(track.number, frame - track.start) for track, frame in sources if frame < start}
        self.faces: dict[FaceKey, BegunFaces] = {}

    def missing(self, before: Sequence[FaceKey], shown: Sequence[FaceKey]) -> list[FaceKey]:
        """Those to be restored of the faces before the first frame, and of those that are shown."""
        needed = dict.fromkeys([*(key for key in before if key in self._before), *shown])
        return [key for key in needed if key not in self.faces]

    def add(self, keys: Sequence[FaceKey], begun: BegunFaces) -> None:
        """Take faces that are being restored."""
        self.faces |= dict.fromkeys(keys, begun)

    def keep_last(self) -> None:
        """Drop all but the last face of each track."""
        last = {key.track: key for key in sorted(self.faces)}
        self.faces = {key: self.faces[key] for key in last.values()}


def _block_length(crowds: Sequence[int]) -> int:
    """Number of frames that are restored at once, of so many with these numbers of faces: fewer in crowds."""
    total = 0
    for length, count in enumerate(crowds, 1):
        total += count
        if total >= FACES_AT_ONCE:
            return length
    return len(crowds)


def _place_faces(frame: Frame, context: PassContext, tracks: Mapping[int, AnalyzedTrack]) -> _PlacedFrame:
    """A frame with its faces; they have no crops for the video pipeline where they repeat an earlier one."""
    placed = _PlacedFrame(frame, [], [])
    info, stages = context.info, context.pipeline.stages
    for analyzed in context.analysis.faces_in(frame.index, frame.index + 1):
        source = context.analysis.face_frame(analyzed, frame.index)
        position, at = frame.index - analyzed.track.start, source - analyzed.track.start
        if analyzed.track.shown_at(at) == 0 or analyzed.track.number not in tracks:
            continue
        first = stages[0].resolution
        shown_to_first = context.pipeline.crop_transform(analyzed.track.landmarks[at], first)
        to_first = compose(shown_to_first, info.display.transform)
        last = stages[analyzed.stage_count - 1]
        box = crop_box(to_first, first, info.width, info.height)
        if box[2] - box[0] < 2 or box[3] - box[1] < 2:
            continue
        validity = crop_validity(to_first, first, info.width, info.height)
        to_last = compose(scaling(first, last.resolution), to_first)
        mask = face_mask(last.resolution, beyond=picture_beyond(to_last, last.resolution, info.width, info.height))
        to_first = compose(to_first, np.array([[1.0, 0.0, box[0]], [0.0, 1.0, box[1]]]))
        region = read_working_region(frame.picture, box, info.colour)
        crops = []
        for stage in stages[: analyzed.stage_count]:
            to_crop = compose(scaling(first, stage.resolution), to_first)
            crops.append(np.clip(extract_crop(region, to_crop, stage.resolution), 0, 1))
        # Without a blur estimator nobody knows whether the source's detail above the crop is signal.
        known = stages[0].sampler is not None
        detail = source_detail_weight(_level_above(analyzed, at), last.resolution) if known else 0.0
        face = _PlacedFace(analyzed, position, at, box, to_crop, crops[-1], mask, detail)
        placed.faces.append(face)
        if source == frame.index:
            placed.crops.append((face.key, crops, validity, shown_to_first))
    return placed


def _parsed(faces: Sequence[_PlacedFace], parser: FaceParser | None) -> Iterator[_PlacedFace]:
    """The faces, their masks restricted to what the parser shows of their source."""
    if parser is None:
        yield from faces
        return
    for face, shown in zip(faces, parser.masks([face.crop for face in faces]), strict=True):
        yield replace(face, mask=face.mask * shown)


def _level_above(analyzed: AnalyzedTrack, at: int) -> float:
    """The finest level that a stage has read off this face."""
    read = [float(level[at]) for level in analyzed.levels if level.any()]
    return read[-1] if read else 0.0


def _paste(frame: Frame, faces: Sequence[tuple[_PlacedFace, np.ndarray]], context: PassContext) -> Frame:
    """The frame with its restored faces, each (R, R, 3), pasted."""
    if not faces:
        return frame
    colour = context.info.colour
    frame = replace(frame, picture=writable_copy(frame.picture))
    for face, restored in faces:
        region = read_working_region(frame.picture, face.box, colour)
        visible = face.mask * fade(face.analyzed, face.position, context.analysis)
        rgb, weight = paste_face(
            region,
            face.crop,
            restored,
            face.to_crop,
            mask=visible,
            source_detail_weight=_kept_detail(face, restored),
        )
        if context.grain > 0:
            # Keyed as the noise, by face and shot, so that a shot is the same in every video.
            key = (context.seed, face.analyzed.noise, face.at)
            rgb = add_grain(rgb, region, weight, amount=context.grain, key=key)
        # The face is blended already; the mask selects the samples that change.
        blend_working_region(frame.picture, face.box, rgb, (weight > 0).astype(np.float32), colour)
    return frame


def _kept_detail(face: _PlacedFace, restored: np.ndarray) -> float | np.ndarray:
    """How much of the frame's detail above the resolution of a face's crop stays; see `paste_face`."""
    kept: float | np.ndarray = face.source_detail_weight
    if face.source_detail_weight > 0 and transform_scale(face.to_crop) < 1:
        kept = kept * signal_share(face.crop, restored)
    if face.damage is not None:
        # Nothing of a scratch may stay.
        kept = kept * (1 - face.damage)
    return kept


def fade(analyzed: AnalyzedTrack, at: int, analysis: Analysis) -> float:
    """How much of a restored face is shown, in [0, 1]: less at the ends of a track inside a shot, and as it turns away.

    A face that is found late or lost early would otherwise change from one frame to the next. Ends that a track shares
    with its shot are not faded, and the ramps of a short track are short: it is fully shown for a third of its length.
    """
    track = analyzed.track
    shot = next(s for s in analysis.shots if s.start <= track.start + at < s.stop)
    length = track.stop - track.start
    ramp = min(FADE_FRAMES, max(1, length // 3))
    since = at + 1 if track.start > shot.start else ramp
    until = length - at if track.stop < shot.stop else ramp
    return min(1.0, since / ramp, until / ramp) * track.shown_at(at)
