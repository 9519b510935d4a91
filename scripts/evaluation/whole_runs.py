"""Whole restorations, each a process of its own: against another version, by length, and without faces against FFmpeg.

Starting Python and loading networks take some seconds, whatever the clip. They are taken out by the difference of two
lengths, where said.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from dynface_video.cli.demo_clip import DemoDamage, clean_frame, damaged_frame, photograph
from dynface_video.config import load_settings
from dynface_video.errors import InputError
from dynface_video.jobs.source import probe_source
from dynface_video.media.io.probe import VideoInfo
from dynface_video.media.io.read import read_frames
from dynface_video.media.output.clip import write_clip
from dynface_video.media.output.encoding import choose_encoding
from evaluation.process_cost import REPOSITORY, ProcessCost, restore_cost, run_measured

RATE = Fraction(25)
LENGTHS = (1, 4, 16)
LONGER = 4
"""How many times as long the longer of two clips is, where the start is taken out."""
PLAIN_SIZE = 1280, 720
FACE_PART = np.s_[40:248, 70:278]
"""Part of the demo's pictures that shows the face."""
SEGMENT = "output:\n  segment_frames: {}\n"


@dataclass(frozen=True)
class VersionCosts:
    """Costs of one version.

    Attributes:
        once: Of the clip, round by round.
        often: Of the clip `LONGER` times in a row, every second time backwards.
    """

    once: tuple[ProcessCost, ...]
    often: tuple[ProcessCost, ...]

    def frame_costs(self, frames: int) -> list[ProcessCost]:
        """Costs of each frame more, round by round, of a clip of so many frames: without the start."""
        more = (LONGER - 1) * frames
        apart = (often - once for once, often in zip(self.once, self.often, strict=True))
        return [ProcessCost(cost.seconds / more, cost.cpu_seconds / more, cost.memory) for cost in apart]


@dataclass(frozen=True)
class Comparison:
    """Costs of the same restorations by two versions, of a clip of so many frames."""

    before: VersionCosts
    after: VersionCosts
    frames: int


def compare_versions(video: Path, other: Path, *, rounds: int) -> Comparison:
    """Restore a clip by another checkout and by this one, in turn.

    Args:
        video: The clip.
        other: A checkout of the repository.
        rounds: How often.

    Raises:
        InputError: The other folder is no checkout.
        JobError: A restoration failed.
    """
    if not (other / "dynface_video" / "__init__.py").is_file():
        raise InputError(f"{other} is no checkout of this repository: it has no dynface_video/__init__.py")
    pictures = [frame.rgb() for frame in read_frames(_probed(video))]
    costs: dict[tuple[Path, int], list[ProcessCost]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for times in (1, LONGER):
            _write(folder / f"{times}.mp4", times * len(pictures), lambda k: pictures[there_and_back(k, len(pictures))])
        for _ in range(rounds):
            for times in (1, LONGER):
                for checkout in (other, REPOSITORY):
                    cost = restore_cost(folder / f"{times}.mp4", folder, checkout=checkout)
                    costs.setdefault((checkout, times), []).append(cost)
    before, after = (
        VersionCosts(tuple(costs[checkout, 1]), tuple(costs[checkout, LONGER])) for checkout in (other, REPOSITORY)
    )
    return Comparison(before, after, len(pictures))


def there_and_back(index: int, count: int) -> int:
    """Which of `count` frames a clip shows that plays forwards and backwards in turn: one shot, however long."""
    place = index % max(1, 2 * count - 2)
    return place if place < count else 2 * count - 2 - place


def versions_table(found: Comparison) -> str:
    """A Markdown table of two versions; medians over the rounds."""
    lines = [
        "| version | the clip, seconds | milliseconds for each frame more | of a processor | peak memory, MiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, costs in (("before", found.before), ("after", found.after)):
        each = costs.frame_costs(found.frames)
        times = f"{_median(costs.once, _seconds):.1f} | {1000 * _median(each, _seconds):.0f}"
        lines.append(
            f"| {name} | {times} | {1000 * _median(each, _cpu):.0f} | {_median(costs.often, _memory) / 2**20:.0f} |"
        )
    pairs = list(zip(found.before.frame_costs(found.frames), found.after.frame_costs(found.frames), strict=True))
    faster, less = (float(np.median([value(old) / value(new) for old, new in pairs])) for value in (_seconds, _cpu))
    clock = f"{found.frames} frames, {len(pairs)} rounds: {faster:.2f} times the frames a second by the clock"
    return "\n".join([*lines, "", f"{clock}, {less:.2f} times by processor time; the start is taken out."])


@dataclass(frozen=True)
class LengthCosts:
    """Costs of a clip with one face at `LENGTHS` times `frames`."""

    frames: int
    costs: tuple[ProcessCost, ...]


def cost_by_length(frames: int) -> LengthCosts:
    """Restore a clip with one face of 128 pixels, and clips of several times its length.

    Args:
        frames: Of the shortest; also of a segment.
    """
    costs = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = folder / "config.yaml"
        config.write_text(SEGMENT.format(frames))
        for times in LENGTHS:
            clip = folder / f"{times}.mp4"
            face_clip(clip, frames * times, period=frames)
            costs.append(restore_cost(clip, folder, options=["--config", str(config)]))
    return LengthCosts(frames, tuple(costs))


def face_clip(path: Path, frames: int, *, period: int | None = None) -> None:
    """Write a clip with one face of 128 pixels, damaged as that of the demo.

    Args:
        path: Of the clip.
        frames: Its length.
        period: After so many frames it begins again.
    """
    picture = photograph()
    _write(path, frames, lambda k: _face_picture(picture, k % (period or frames)))


def _face_picture(picture: np.ndarray, index: int) -> np.ndarray:
    return damaged_frame(clean_frame(picture, index), index, DemoDamage(), 0)[FACE_PART]


def lengths_table(found: LengthCosts) -> str:
    """A Markdown table of time and memory by length; the time a frame is that of what a clip has more than the last."""
    lines = [
        "| frames | seconds | milliseconds for each frame more | peak memory, MiB | times the shortest's |",
        "| --- | --- | --- | --- | --- |",
    ]
    before: tuple[int, ProcessCost] | None = None
    for times, cost in zip(LENGTHS, found.costs, strict=True):
        frames = found.frames * times
        more = "-" if before is None else f"{1000 * (cost - before[1]).seconds / (frames - before[0]):.1f}"
        memory = f"{cost.memory / 2**20:.0f} | {cost.memory / found.costs[0].memory:.2f}"
        lines.append(f"| {frames} | {cost.seconds:.1f} | {more} | {memory} |")
        before = frames, cost
    return "\n".join(lines)


@dataclass(frozen=True)
class PlainCosts:
    """Costs of `frames` frames without a face, start taken out: of a restoration, and of FFmpeg."""

    frames: int
    ours: ProcessCost
    ffmpeg: ProcessCost


def cost_without_faces(frames: int, *, rounds: int = 1) -> PlainCosts:
    """Restore a clip without a face, and have FFmpeg decode and encode it with the same encoder, quality and preset.

    Args:
        frames: Of the shorter of two clips; the other is `LONGER` times as long.
        rounds: Of both, in turn; the medians count.

    Raises:
        InputError: There is no `ffmpeg` here.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise InputError("the comparison with FFmpeg needs the program ffmpeg (Debian: ffmpeg), which is not here")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clips = [folder / f"{times}.mp4" for times in (1, LONGER)]
        for clip, times in zip(clips, (1, LONGER), strict=True):
            _write(clip, frames * times, lambda k: _plain_picture(k, *PLAIN_SIZE))
        chosen = choose_encoding(_probed(clips[0]), folder / "any.mp4")
        encoder = ["-c:v", chosen.codec, "-crf", str(chosen.crf), "-preset", str(chosen.preset)]

        def transcoded(clip: Path) -> ProcessCost:
            return run_measured([ffmpeg, "-v", "error", "-y", "-i", str(clip), *encoder, "ffmpeg.mp4"], folder)

        ours, theirs = list[ProcessCost](), list[ProcessCost]()
        for _ in range(rounds):
            short, long = (restore_cost(clip, folder) for clip in clips)
            ours.append(long - short)
            short, long = (transcoded(clip) for clip in clips)
            theirs.append(long - short)
    return PlainCosts((LONGER - 1) * frames, _medians(ours), _medians(theirs))


def _medians(costs: Sequence[ProcessCost]) -> ProcessCost:
    return ProcessCost(_median(costs, _seconds), _median(costs, _cpu), round(_median(costs, _memory)))


def plain_table(found: PlainCosts) -> str:
    """A Markdown table of a clip without faces."""
    lines = [
        "| what | times FFmpeg | milliseconds a frame | processor time, times FFmpeg |",
        "| --- | --- | --- | --- |",
    ]
    for name, cost in (("ffmpeg, decoding and encoding", found.ffmpeg), ("restore, both passes", found.ours)):
        ratio, cpu = cost.seconds / found.ffmpeg.seconds, cost.cpu_seconds / found.ffmpeg.cpu_seconds
        lines.append(f"| {name} | {ratio:.2f} | {1000 * cost.seconds / found.frames:.1f} | {cpu:.2f} |")
    return "\n".join(lines)


def _plain_picture(index: int, width: int, height: int) -> np.ndarray:
    """Moving waves with little noise, which take an encoder about as long as film, (height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [np.sin(0.02 * (x + 3 * index) + k) * np.cos((0.015 + 0.01 * k) * (y - index)) for k in range(3)]
    noise = np.random.default_rng(index).normal(0, 1, (height, width, 1)).astype(np.float32)
    return np.clip(128 + 80 * np.stack(waves, axis=2) + noise, 0, 255).astype(np.uint8)


def _probed(video: Path) -> VideoInfo:
    return probe_source(video, load_settings("mini", None, {"device": "cpu"}))


def _write(path: Path, count: int, picture: Callable[[int], np.ndarray]) -> None:
    def pictures() -> Iterator[tuple[Fraction, np.ndarray]]:
        for index in range(count):
            yield index / RATE, picture(index)

    write_clip(path, pictures(), RATE)


def _median(costs: Sequence[ProcessCost], value: Callable[[ProcessCost], float]) -> float:
    return float(np.median([value(cost) for cost in costs]))


def _seconds(cost: ProcessCost) -> float:
    return cost.seconds


def _cpu(cost: ProcessCost) -> float:
    return cost.cpu_seconds


def _memory(cost: ProcessCost) -> float:
    return float(cost.memory)
