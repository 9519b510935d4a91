"""Sound that a container cannot hold, kept as a lossless encoding of its samples."""

from __future__ import annotations

from collections.abc import Iterator

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

LOSSLESS_SOUND = {"matroska": "flac", "mp4": "alac", "mov": "alac"}
"""Encoders by FFmpeg's name of the container."""
LAYOUTS = {1: "mono", 2: "stereo"}
FORMATS_OF_SAMPLES = {"flac": ("s16", "s32"), "alac": ("s16p", "s32p")}
"""Of 16 and of 24 bit."""


class SoundConverter:
    """Decodes a sound stream and encodes its samples without loss, at the same times.

    Args:
        source: The stream; its decoder must be there.
        output: Takes the new stream.

    Raises:
        ValueError: The container has no lossless encoding, or the source does not tell its rate.
    """

    def __init__(self, source: AudioStream, output: OutputContainer) -> None:
        codec = LOSSLESS_SOUND.get(output.format.name)
        context = source.codec_context
        if codec is None or not context.sample_rate:
            raise ValueError(f"{output.format.name} has no lossless sound")
        exact, wide = FORMATS_OF_SAMPLES[codec]
        kind = exact if context.format.bits <= 16 else wide
        # AVI and ASF tell how many channels there are, not where they belong.
        layout = LAYOUTS.get(context.layout.nb_channels, context.layout.name)
        target = output.add_stream(codec, rate=context.sample_rate, layout=layout)
        assert isinstance(target, AudioStream)
        target.codec_context.format = kind
        self.stream = target
        self._resampler = AudioResampler(kind, layout, context.sample_rate)

    @property
    def codec(self) -> str:
        """FFmpeg's name of the encoding."""
        return self.stream.codec_context.name

    def convert(self, packet: Packet | None) -> Iterator[Packet]:
        """Convert a packet.

        Args:
            packet: Of the source; None flushes decoder and encoder.

        Yields:
            Packets of the new stream.
        """
        try:
            frames = [] if packet is None else packet.decode()
        except av.FFmpegError:
            # A damaged packet costs its samples; those behind it keep their times.
            frames = []
        for frame in frames:
            if isinstance(frame, av.AudioFrame):
                for samples in self._resampler.resample(frame):
                    yield from self.stream.encode(samples)
        if packet is None:
            for samples in self._resampler.resample(None):
                yield from self.stream.encode(samples)
            yield from self.stream.encode(None)
