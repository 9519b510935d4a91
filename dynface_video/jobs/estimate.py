"""What a job will probably take, by rule of thumb: disk space and time."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from dynface_video.jobs.executors.base import ANALYZE, RESTORE

if TYPE_CHECKING:
    # `dynface-video status` estimates too, and needs nothing that reads videos.
    from dynface_video.media.io.probe import VideoInfo
    from dynface_video.media.output.encoding import EncodeSettings

BITS_PER_SAMPLE = {"lossless": 2.1, "lossy": 0.12}
"""Of FFV1 for clean 8-bit 4:2:0 (50 GB an hour at 1080p), and of H.264 that looks like its source."""
ANALYSIS_FRAMES = 27.0
"""Frames per second of the first pass on one core, 512 x 480 with one face (`scripts/benchmark_jobs.py`)."""
RESTORED_FACES = 7.0
"""Faces per second on one core with `mini` at its defaults (the same)."""
REFERENCE_PIXELS = 512 * 480
FIRST_PASS = RESTORED_FACES / (RESTORED_FACES + ANALYSIS_FRAMES)
"""Share of the first pass in the work on a frame with one face."""


@dataclass(frozen=True)
class Estimate:
    """What a job will probably take.

    Args:
        frames: Length of the video; None if the file does not say.
        disk: Bytes.
        seconds: Without a face, and with one in every frame; None if unknown.
    """

    frames: int | None
    disk: int | None
    seconds: tuple[float, float] | None


def estimate(info: VideoInfo, encodings: tuple[EncodeSettings, ...], *, workers: int, on_gpus: bool) -> Estimate:
    """Estimate what restoring a video will take.

    Args:
        info: The video.
        encodings: Of the segments, and of the output.
        workers: Processes that restore.
        on_gpus: Whether they use GPUs, whose speed is not known in advance: no time is estimated then.
    """
    frames = frames_of(info)
    if frames is None:
        return Estimate(None, None, None)
    disk = sum(frame_bytes(info, encoding) for encoding in encodings) * frames
    # The first pass is one process. Decoding grows with the picture; the detector's working size does not.
    first = frames / ANALYSIS_FRAMES * max(0.5, min(4.0, info.width * info.height / REFERENCE_PIXELS))
    seconds = None if on_gpus else (first, first + frames / RESTORED_FACES / workers)
    return Estimate(frames, int(disk), seconds)


def restoring_seconds(faces: int) -> float:
    """Seconds that one CPU core takes to restore faces, by rule of thumb.

    Args:
        faces: One per face and frame.
    """
    return faces / RESTORED_FACES


def work_done(stage: str, done: int, frames: float) -> float:
    """Work done on a video, in frames that have passed all stages. Joining counts for nothing.

    Args:
        stage: ANALYZE, RESTORE or ASSEMBLE.
        done: Frames done in the stage.
        frames: Length of the video.
    """
    if stage == ANALYZE:
        return FIRST_PASS * done
    return FIRST_PASS * frames + (1 - FIRST_PASS) * done if stage == RESTORE else frames


def frames_of(info: VideoInfo) -> int | None:
    """Length of a video by its headers; None if they do not say.

    Args:
        info: The video.
    """
    if info.declared_frames:
        return info.declared_frames
    if info.duration and info.frame_rate:
        return int(info.duration * info.frame_rate)
    return None


def frame_bytes(info: VideoInfo, encoding: EncodeSettings) -> float:
    """Bytes that an encoded frame will probably take.

    Args:
        info: The source.
        encoding: How it is encoded.
    """
    from dynface_video.media.output.encoding import LOSSLESS

    deep = 1.5 if "10" in encoding.pixel_format or "12" in encoding.pixel_format else 1.0
    samples = info.width * info.height * deep
    if encoding.codec in LOSSLESS:
        return samples * BITS_PER_SAMPLE["lossless"] / 8
    source = float(info.bit_rate / info.frame_rate) / 8 if info.bit_rate and info.frame_rate else 0.0
    return max(samples * BITS_PER_SAMPLE["lossy"] / 8, source)


def format_bytes(count: int) -> str:
    """Format a number of bytes for a message, rounded up: at least 1 MB.

    Args:
        count: Bytes.
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, ceil(count / 1e6))} MB"


def format_time_range(least: float, most: float) -> str:
    """Format a range of durations for a message.

    Args:
        least: Seconds.
        most: Seconds.
    """
    shortest, longest = _format_time(least), _format_time(most)
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _format_time(seconds: float) -> str:
    if seconds < 60:
        return "less than 1 min"
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{round(seconds / 60)} min"
