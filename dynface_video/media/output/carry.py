"""Copying the source's other streams, tags and chapters into another container, and listing what it cannot hold."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Stream
from av.video.stream import VideoStream

from dynface_video.media.io.container import TAG_ERRORS, is_cover, read_packets
from dynface_video.media.output.sound_conversion import SoundConverter
from dynface_video.media.output.trimming import TrimFilter
from dynface_video.media.timing.restarts import RESTARTING_FORMATS, unwrap_timestamps

# Tags that describe the old file as a file; the new one gets its own.
FILE_TAGS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
TRACK_TAGS = {"duration", "encoder", "number_of_frames", "number_of_bytes", "bps"}
WITH_EDIT_LISTS = ("mp4", "mov")
PACKETS_TO_TRY = 2000
COVER_FILES = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}


@dataclass(frozen=True)
class LeftOut:
    """Part of the source that is missing from the output, or present in another form.

    Attributes:
        what: Its description.
        reason: Why.
        kept_as: Its form in the output; empty if it is missing.
    """

    what: str
    reason: str
    kept_as: str = ""

    def __str__(self) -> str:
        place = f"is in the output as {self.kept_as}" if self.kept_as else "is not in the output"
        return f"{self.what} {place}: {self.reason}"


@dataclass
class StreamCarrier:
    """Copies the source's streams, except the restored one, into an output.

    `add` is called for each stream in the source's order before the first packet; then `packets` yields their packets
    for the output, and `refuse` records those that it rejected.

    Attributes:
        source: The opened source.
        output: The opened output.
        restored: Index of the stream that is not copied.
        left_out: What could not be copied.
    """

    source: InputContainer
    output: OutputContainer
    restored: int
    left_out: list[LeftOut] = field(default_factory=list)
    _first_packets: dict[int, Packet] = field(init=False)
    _targets: dict[int, Stream] = field(default_factory=dict)
    _filters: dict[int, TrimFilter] = field(default_factory=dict)
    _converters: dict[int, SoundConverter] = field(default_factory=dict)
    _last_dts: dict[int, int] = field(default_factory=dict)
    _refused: dict[int, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._first_packets = _first_packets(self.source)

    def add(self, stream: Stream) -> None:
        """Give the output a copy of a stream, or record why it cannot have one."""
        if _holds_chapters(stream, self.source) or _holds_timecode(stream) or _is_disc_navigation(stream):
            return
        if isinstance(stream, VideoStream) and is_cover(stream) and self.output.format.name == "matroska":
            self._add_cover(stream)
            return
        try:
            self._try(stream)
        except (av.FFmpegError, ValueError) as error:
            # PyAV's own message names the decoder.
            reason = getattr(error, "strerror", None) or "no such codec in this container"
            self._convert_or_leave(stream, f"{self.output.format.name} cannot hold it ({reason})")
            return
        target = _copy_stream(stream, self.output)
        if not isinstance(stream, AttachmentStream):
            self._targets[stream.index] = target
            self._filters[stream.index] = TrimFilter(stream, self.output.format.name in WITH_EDIT_LISTS)

    def packets(self) -> Iterator[Packet]:
        """Shown packets of the added streams in file order, addressed to the output."""
        streams = [self.source.streams[index] for index in self._targets]
        if not streams:
            return
        pictures, format_name = self.source.streams[self.restored], self.source.format.name
        if format_name in RESTARTING_FORMATS:
            # They tell by how much the parts of the file move.
            streams.append(pictures)
        for packet, _ in unwrap_timestamps(read_packets(self.source, streams), pictures, format_name):
            # Only an empty packet carries nothing; one without times (a cover) may matter.
            if not packet.size or packet.stream_index == self.restored:
                continue
            index = packet.stream_index
            if index in self._converters:
                yield from self._converters[index].convert(packet)
                continue
            for shown in self._filters[index].feed(packet):
                self._repair_dts(shown, index)
                shown.stream = self._targets[index]
                yield shown

        for converter in self._converters.values():
            yield from converter.convert(None)

    def refuse(self, packet: Packet, reason: str) -> None:
        """Record a packet that the output rejected."""
        self._refused.setdefault(packet.stream.index, []).append(reason)

    def close(self) -> None:
        """Record which streams lost packets."""
        for index, target in self._targets.items():
            undecodable = self._filters[index].undecodable if index in self._filters else 0
            if undecodable:
                what = f"{undecodable} packets of {describe(self.source.streams[index])}"
                self.left_out.append(LeftOut(what, "they refer to pictures that the source's edit list has cut away"))
            reasons = self._refused.get(target.index)
            if reasons:
                what = f"{len(reasons)} packets of {describe(self.source.streams[index])}"
                self.left_out.append(LeftOut(what, f"{self.output.format.name} refused them ({reasons[0]})"))

    def _convert_or_leave(self, stream: Stream, reason: str) -> None:
        kept_as = ""
        if isinstance(stream, AudioStream):
            try:
                converter = SoundConverter(stream, self.output)
            except (av.FFmpegError, ValueError):
                pass
            else:
                converter.stream.metadata.update(kept_tags(stream.metadata, TRACK_TAGS))
                converter.stream.disposition = stream.disposition
                self._converters[stream.index], self._targets[stream.index] = converter, converter.stream
                kept_as = f"{converter.codec}, without loss"
        self.left_out.append(LeftOut(describe(stream), reason, kept_as))

    def _try(self, stream: Stream) -> None:
        """Write the stream's header and first packet into memory: the only way to learn whether the muxer takes it."""
        with av.open(io.BytesIO(), "w", format=self.output.format.name) as trial:
            target = _copy_stream(stream, trial)
            trial.start_encoding()
            packet = self._first_packets.pop(stream.index, None)
            if packet is not None:
                self._repair_dts(packet, None)
                packet.stream = target
                trial.mux(packet)

    def _add_cover(self, stream: VideoStream) -> None:
        name, mimetype = COVER_FILES.get(stream.codec_context.name, ("", ""))
        # Matroska keeps covers as attached files, known by their name.
        packet = self._first_packets.get(stream.index)
        if not name or packet is None:
            self.left_out.append(LeftOut(describe(stream), "matroska takes covers only as JPEG or PNG"))
            return
        self.output.add_attachment(stream.metadata.get("filename", name), mimetype, bytes(packet))

    def _repair_dts(self, packet: Packet, index: int | None) -> None:
        """Decoding times must not go back, even in a damaged source: a muxer would refuse the packet."""
        times = [time for time in (packet.dts, packet.pts, 0) if time is not None]
        last = None if index is None else self._last_dts.get(index)
        packet.dts = dts = times[0] if last is None or times[0] > last else last + 1
        if index is not None:
            self._last_dts[index] = dts
        if packet.pts is None or packet.pts < dts:
            packet.pts = dts


def describe(stream: Stream) -> str:
    """Description of a stream: kind, number, codec, language, title."""
    # The decoder's name may say little: FFmpeg's for CEA-608 is "cc_dec".
    codec = stream.codec_context.codec.canonical_name if stream.codec_context is not None else stream.name
    details = ", ".join(detail for detail in (codec, stream.language, stream.metadata.get("title")) if detail)
    return f"{stream.type} stream {stream.index} ({details})"


def carry_tags(source: InputContainer, output: OutputContainer) -> None:
    """Copy the container's tags, and its chapters except those of a part that was trimmed away."""
    output.metadata.update(kept_tags(source.metadata, FILE_TAGS))
    output.set_chapters([chapter for chapter in source.chapters() if chapter["end"] > 0])


def has_timecode(source: InputContainer) -> bool:
    """Whether the container has a timecode, as a tag or a track."""
    tags = [source.metadata, *(stream.metadata for stream in source.streams)]
    return any(name.lower() == "timecode" for metadata in tags for name in metadata)


def kept_tags(tags: dict[str, str], dropped: set[str]) -> dict[str, str]:
    """Tags that remain valid in the new file; the statistics of Matroska muxers do not."""
    return {
        key: value
        for key, value in tags.items()
        if key.lower() not in dropped and not key.startswith("_STATISTICS") and key.lower().split("-")[0] not in dropped
    }


def _copy_stream(stream: Stream, output: OutputContainer) -> Stream:
    # As opaque data: only then is no encoder needed for its codec.
    target = output.add_stream_from_template(stream, opaque=True)
    target.metadata.update(kept_tags(stream.metadata, TRACK_TAGS))
    target.disposition = stream.disposition
    return target


def _first_packets(source: InputContainer) -> dict[int, Packet]:
    """The first packet of each stream that has one near the beginning; the source stays where it is."""
    found: dict[int, Packet] = {}
    try:
        with av.open(source.name, metadata_errors=TAG_ERRORS) as again:
            for packet in itertools.islice(again.demux(), PACKETS_TO_TRY):
                if packet.size:
                    found.setdefault(packet.stream_index, packet)
    except av.FFmpegError:
        # What the damaged part would have held is not needed to try a stream.
        return found
    return found


def timecode_of(source: InputContainer) -> str | None:
    """The timecode of the first timecode track; None where there is none."""
    return next((stream.metadata["timecode"] for stream in source.streams if _holds_timecode(stream)), None)


def _holds_timecode(stream: Stream) -> bool:
    # The muxers of MP4 and QuickTime make such a track of the tag, other containers keep the tag.
    return stream.type == "data" and "timecode" in stream.metadata


def _is_disc_navigation(stream: Stream) -> bool:
    """Whether a stream holds the jumps of a DVD's menus, which mean nothing outside it."""
    return stream.name == "dvd_nav_packet"


def _holds_chapters(stream: Stream, source: InputContainer) -> bool:
    # QuickTime's chapter titles lie in a text track of their own; the chapters are written separately.
    return stream.type == "data" and stream.name == "bin_data" and bool(source.chapters())
