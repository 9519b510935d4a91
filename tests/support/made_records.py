"""Records that are made up, for tests of the page: of a clip, and of a film of any length."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.config import Settings
from dynface_video.faces.align import template
from dynface_video.media.io.read import FrameIndex
from dynface_video.media.timing.shots import Shot
from dynface_video.passes.analysis import Analysis, AnalyzedTrack
from dynface_video.record.archive import Record
from dynface_video.record.measure import RunMeasures
from dynface_video.record.moments import Moments, choose_moments
from dynface_video.record.pictures import ExcerptWriter, jpeg
from dynface_video.tracking.observation import FaceTrack, SkippedFace

WIDTH, HEIGHT, RATE = 320, 240, 24
BEFORE, AFTER = (170, 40, 40), (40, 60, 170)
"""Colours that fill the excerpt's halves, so that a test can tell them apart."""


def made_track(number: int, start: int, length: int, *, side: float = 90.0, restore: bool = True) -> AnalyzedTrack:
    """A face that moves a little, with levels and steps that vary."""
    rng = np.random.default_rng(number)
    sway = 6 * np.sin(np.arange(length) / 9 + number)[:, None, None] * np.array([1.0, 0.3])
    landmarks = (template(128) * (side / 60) - 40 + sway + rng.uniform(0, 60, 2)).astype(np.float32)
    track = FaceTrack(number, start, landmarks, np.ones(length, bool), np.full(length, 0.9, np.float32))
    levels = 0.01 + 0.004 * np.sin(np.arange(length) / 40 + number)
    steps = (300 + 80 * np.sin(np.arange(length) / 60)).astype(np.int64)
    zeros = np.zeros(length)
    return AnalyzedTrack(
        track, np.stack([levels, zeros]), np.stack([steps, zeros.astype(np.int64)]), False, restore, person=number + 1
    )


def made_analysis(
    tracks: Sequence[AnalyzedTrack], frames: int, shots: int, skipped: Sequence[SkippedFace] = ()
) -> Analysis:
    """An analysis with shots of equal length."""
    index = FrameIndex(np.arange(frames, dtype=np.int64) * 512, Fraction(1, 12288), (), np.zeros(frames, np.uint32))
    bounds = np.linspace(0, frames, shots + 1).astype(int)
    spans = tuple(Shot(int(a), int(b)) for a, b in pairwise(bounds))
    return Analysis(index, spans, tuple(tracks), tuple(skipped))


def made_skipped(count: int, frames: int) -> list[SkippedFace]:
    """Faces skipped for several reasons."""
    reasons = ("too small: 18 pixels of at least 24", "too short: 3 frames of at least 6", "out of focus: 3.1 times")
    starts = np.linspace(0, max(frames - 20, 0), count).astype(int)
    return [
        SkippedFace(int(start), int(start) + 12, (60.0, 70.0), 20.0 + k % 9, reasons[k % len(reasons)])
        for k, start in enumerate(starts)
    ]


def made_record(analysis: Analysis, folder: Path, *, noise: float = 0.0, finished: bool = True) -> Record:
    """A record of an analysis with the pictures and measures that a real one would have.

    Args:
        analysis: From `made_analysis`.
        folder: For temporary files.
        noise: Std of noise in pictures and excerpts, levels of 255: with much of it they are as large as they get.
        finished: Whether the restoration is.
    """
    moments = choose_moments(analysis, HEIGHT)
    rng = np.random.default_rng(0)
    media, facts = dict[str, bytes](), made_facts()
    pictures = [jpeg(_picture(colour, rng, noise), None, 288) for colour in (BEFORE, AFTER)]

    def keep(name: str, content: bytes) -> str:
        media[name] = content
        return name

    stills = [
        {
            "person": still.person,
            "track": still.track,
            "frame": still.frame,
            "before": keep(f"pictures/{still.person}-{still.frame}-before.jpg", pictures[0]),
            "after": keep(f"pictures/{still.person}-{still.frame}-after.jpg", pictures[1]),
        }
        for still in moments.stills
    ]
    small = jpeg(_picture(AFTER, rng, noise), None, 160)
    skipped = [
        {"face": number, "frame": frame, "picture": keep(f"pictures/skipped-{number}.jpg", small)}
        for number, frame in moments.skipped.items()
    ]
    shots = [
        {"shot": number, "frame": frame, "picture": keep(f"pictures/shot-{number}.jpg", small)}
        for number, frame in moments.shots.items()
    ]
    excerpts = _excerpts(moments, folder, noise, media)
    result = made_result(analysis) if finished else None
    return Record(
        facts, analysis, _measures(moments), tuple(stills), tuple(skipped), tuple(shots), tuple(excerpts), media, result
    )


def made_facts() -> dict[str, Any]:
    """Facts of a record, with one network."""
    source = {
        "name": "old film.mkv",
        "bytes": 123_456_789,
        "sampled_sha256": "0" * 64,
        "container": "matroska,webm",
        "codec": "h264",
        "pixel_format": "yuv420p",
        "width": WIDTH,
        "height": HEIGHT,
        "frame_rate": str(RATE),
        "interlaced": False,
        "streams": [{"kind": "audio", "codec": "aac", "language": "eng", "title": None}],
    }
    weights = {"models": "mini", "file": "prior/weights.safetensors", "bytes": 5, "sha256": "a" * 64}
    return {
        "version": "0.0",
        "created": "2026-01-02T03:04:05+00:00",
        "settings": Settings().model_dump(mode="json"),
        "models": [weights | {"licence": "Apache-2.0"}],
        "model_digest": "b" * 64,
        "source": source,
        "encoding": {"codec": "libx264", "pixel_format": "yuv420p", "crf": 18},
        "restored_frames": 10,
    }


def made_result(analysis: Analysis) -> dict[str, Any]:
    """A result of a record."""
    return {
        "output": {"name": "restored film.mkv", "bytes": 234_567_890, "sha256": "c" * 64},
        "finished": "2026-01-02T04:05:06+00:00",
        "frames": analysis.frame_count,
        "faces": sum(len(one.track.landmarks) for one in analysis.tracks),
        "seconds": {"analyze": 61.0, "restore": 4000.0, "assemble": 3.0},
        "warnings": ["subtitle stream 3 (dvd_subtitle) is not in the output"],
    }


def _measures(moments: Moments) -> tuple[RunMeasures, ...]:
    return tuple(
        RunMeasures(
            run.track, run.start, run.stop, round(0.2 + 0.01 * (run.start % 7), 2), (1.5, 1.25), (1.0, 0.75), 0.9
        )
        for run in moments.runs
    )


def _excerpts(moments: Moments, folder: Path, noise: float, media: dict[str, bytes]) -> list[dict[str, Any]]:
    rng, written, entries = np.random.default_rng(1), dict[int, bytes](), list[dict[str, Any]]()
    for number, excerpt in enumerate(moments.excerpts):
        length = excerpt.stop - excerpt.start
        if length not in written:
            path = folder / f"excerpt-{length}.mp4"
            writer = ExcerptWriter(path, None, WIDTH, Fraction(RATE))
            for k in range(length):
                writer.add(_picture(BEFORE, rng, noise), _picture(AFTER, rng, noise), Fraction(k, RATE))
            writer.close()
            written[length] = path.read_bytes()
        name = f"excerpts/{number}.mp4"
        media[name] = written[length]
        entries.append(
            {
                "person": excerpt.person,
                "start": excerpt.start,
                "stop": excerpt.stop,
                "width": WIDTH,
                "height": HEIGHT,
                "seconds": length / RATE,
                "video": name,
            }
        )
    return entries


def _picture(colour: tuple[int, int, int], rng: np.random.Generator, noise: float) -> np.ndarray:
    plain = np.broadcast_to(np.array(colour, np.float64), (HEIGHT, WIDTH, 3))
    return np.clip(plain + rng.normal(0, noise, plain.shape) if noise else plain, 0, 255).astype(np.uint8)
