"""Small clips made at test time, each with the property that a test is about."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dynface_video.media.io.probe import VideoInfo, probe
from dynface_video.media.io.read import IndexBuilder, read_frames, read_span
from dynface_video.media.output.assemble import AssemblyReport, assemble
from dynface_video.media.output.encoding import open_encoder
from dynface_video.media.output.write import choose_encoding, write_segment
from dynface_video.media.timing.index import FrameIndex

SAMPLE_RATE = 48000


@dataclass(frozen=True)
class Clip:
    """What a clip is to be like.

    pts: ticks of time_base; tags: matrix, primaries, transfer and range as FFmpeg's numbers
    """

    pts: Sequence[int] = tuple(range(24))
    time_base: Fraction = Fraction(1, 25)
    rate: Fraction = Fraction(25)
    size: tuple[int, int] = (96, 64)
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    tags: tuple[int, int, int, int] | None = None
    aspect: Fraction | None = None
    display_matrix: tuple[int, ...] | None = None
    sound: int = 0
    sound_codec: str = "aac"
    container_options: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    prepare: Callable[[av.container.OutputContainer], None] | None = None


def picture_of(clip: Clip, number: int) -> av.VideoFrame:
    """A smooth colourful pattern that moves; different in every frame."""
    width, height = clip.size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = 0.35 * number
    channels = [np.sin(x / 9 + phase), np.cos(y / 7 - phase), np.sin((x + y) / 13 + 2 * phase)]
    rgb = np.rint(128 + 90 * np.stack(channels, axis=-1)).astype(np.uint8)
    rgb[height // 4 : height // 2, (3 * number) % (width // 2) : (3 * number) % (width // 2) + 12] = (230, 40, 60)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=clip.pixel_format)


def make(path: Path, clip: Clip) -> Path:
    with av.open(str(path), "w", container_options=clip.container_options) as container:
        container.metadata.update(clip.metadata)
        stream = container.add_stream(clip.codec, rate=clip.rate)
        stream.width, stream.height = clip.size
        stream.pix_fmt = clip.pixel_format
        context = stream.codec_context
        stream.time_base = context.time_base = clip.time_base
        context.thread_count = 1
        if clip.aspect is not None:
            context.sample_aspect_ratio = clip.aspect
        if clip.tags is not None:
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = clip.tags
        quick = {"preset": "ultrafast", "crf": "20"} if clip.codec in ("libx264", "libx265") else {}
        context.options = {**quick, **clip.options}
        stream.set_display_matrix(clip.display_matrix)
        tracks = [container.add_stream(clip.sound_codec, rate=SAMPLE_RATE) for _ in range(clip.sound)]
        for number, track in enumerate(tracks):
            track.layout = "mono"
            track.metadata["language"] = ("eng", "fra", "deu")[number]
        if clip.prepare is not None:
            clip.prepare(container)
        open_encoder(context)
        for number, pts in enumerate(clip.pts):
            picture = picture_of(clip, number)
            picture.pts, picture.time_base = pts, clip.time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        for number, track in enumerate(tracks):
            _write_sound(container, track, float((clip.pts[-1] - clip.pts[0]) * clip.time_base) + 0.04, number)
    return path


def _write_sound(container: av.container.OutputContainer, track: av.AudioStream, seconds: float, number: int) -> None:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = (0.3 * np.sin(2 * np.pi * (330 + 110 * number) * time)).astype(np.float32)
    kind = track.format.name
    samples = tone if kind.startswith("flt") else np.rint(tone * 30000).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format=kind, layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    container.mux(track.encode(frame))
    container.mux(track.encode(None))


def index_of(info: VideoInfo, warnings: list[str] | None = None) -> FrameIndex:
    builder = IndexBuilder(info)
    for _ in read_frames(info, index=builder, on_warning=(warnings if warnings is not None else []).append):
        pass
    return builder.finish()


@dataclass(frozen=True)
class Passed:
    """A clip that went through reading, segments and assembly unchanged."""

    info: VideoInfo
    index: FrameIndex
    target: Path
    report: AssemblyReport
    warnings: list[str]


def pass_through(
    source: Path, target: Path, *, codec: str | None = None, crf: int | None = None, span: int = 10
) -> Passed:
    info, warnings = probe(source), list[str]()
    index = index_of(info, warnings)
    settings = choose_encoding(info, target, codec, crf)
    if settings.preset is not None:
        settings = replace(settings, preset="8" if settings.codec == "libsvtav1" else "ultrafast")
    segments = []
    for start in range(0, len(index.pts), span):
        segments.append(target.with_name(f"{target.stem}-{start:05d}.nut"))
        stop = min(start + span, len(index.pts))
        assert write_segment(segments[-1], read_span(info, index, start, stop), info, settings) == stop - start
    return Passed(info, index, target, assemble(segments, info, target, index.pts), warnings)


def times_of(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        return [frame.pts * stream.time_base for frame in container.decode(stream)]


def packets_of(path: Path, kind: str) -> list[list[bytes]]:
    """The packets of every stream of a kind, stream by stream."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        found: dict[int, list[bytes]] = {stream.index: [] for stream in streams}
        for packet in container.demux(streams) if streams else ():
            if packet.size:
                found[packet.stream_index].append(bytes(packet))
        return list(found.values())


class Kit:
    """What the tests here share; a fixture, because test folders are no packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clip(self, name: str, **properties: Any) -> Path:
        """Make a clip; properties are fields of `Clip`."""
        return make(self.folder / name, Clip(**properties))

    index = staticmethod(index_of)
    through = staticmethod(pass_through)
    times = staticmethod(times_of)
    packets = staticmethod(packets_of)


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path)


@pytest.fixture
def shared_videos() -> Path:
    """The folder of real clips; tests that need it are skipped where it is not."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("DYNFACE_DATA", root / "../shared/data")) / "videos"
    if not folder.is_dir():
        pytest.skip(f"no clips in {folder}; set DYNFACE_DATA")
    return folder
