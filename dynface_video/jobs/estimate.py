"""What a job will probably take, by rule of thumb: disk space and time."""

from __future__ import annotations

from dataclasses import dataclass

from dynface_video.jobs.executors.base import ANALYZE, RESTORE
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.output.encoding import LOSSLESS, EncodeSettings

BITS_A_SAMPLE = {"lossless": 2.1, "lossy": 0.12}
"""Bits a pixel: of FFV1 for clean 8-bit 4:2:0 (50 GB an hour of 1080p), and of H.264 that is hard to tell from it."""
ANALYSIS_FRAMES = 27.0
"""Frames a second of the first pass on one core, 512 x 480 with one face (`scripts/benchmark_jobs.py`)."""
RESTORED_FACES = 7.0
"""Faces a second on one core with `mini` at its defaults (the same)."""
MEASURED_ON = 512 * 480
FIRST_PASS = RESTORED_FACES / (RESTORED_FACES + ANALYSIS_FRAMES)
"""Share of the first pass in the work on a frame with one face."""


@dataclass(frozen=True)
class Estimate:
    """frames: None where the file does not say; disk: bytes; seconds: without and with a face in every frame."""

    frames: int | None
    disk: int | None
    seconds: tuple[float, float] | None


def estimate(info: VideoInfo, encodings: tuple[EncodeSettings, ...], *, workers: int, on_gpus: bool) -> Estimate:
    """What restoring a video will take. encodings: of the segments, and of what is made of them in the end

    The time is that of processors: how fast a GPU is shows only when it works.
    """
    frames = frames_of(info)
    if frames is None:
        return Estimate(None, None, None)
    disk = sum(frame_bytes(info, encoding) for encoding in encodings) * frames
    # The first pass is one process. The detector sees a picture of one size, whatever the video's; decoding does not.
    first = frames / ANALYSIS_FRAMES * max(0.5, min(4.0, info.width * info.height / MEASURED_ON))
    seconds = None if on_gpus else (first, first + frames / RESTORED_FACES / workers)
    return Estimate(frames, int(disk), seconds)


def work_done(stage: str, done: int, frames: float) -> float:
    """Work done on a video, in frames with which everything is done. done: frames done in a stage; frames: of the video

    Joining counts for nothing.
    """
    if stage == ANALYZE:
        return FIRST_PASS * done
    return FIRST_PASS * frames + (1 - FIRST_PASS) * done if stage == RESTORE else frames


def frames_of(info: VideoInfo) -> int | None:
    """Frames of a video as its headers have it; None where they do not tell."""
    if info.declared_frames:
        return info.declared_frames
    if info.duration and info.frame_rate:
        return int(info.duration * info.frame_rate)
    return None


def frame_bytes(info: VideoInfo, encoding: EncodeSettings) -> float:
    """Bytes that a frame will probably take."""
    deep = 1.5 if "10" in encoding.pixel_format or "12" in encoding.pixel_format else 1.0
    samples = info.width * info.height * deep
    if encoding.codec in LOSSLESS:
        return samples * BITS_A_SAMPLE["lossless"] / 8
    own = float(info.bit_rate / info.frame_rate) / 8 if info.bit_rate and info.frame_rate else 0.0
    return max(samples * BITS_A_SAMPLE["lossy"] / 8, own)
