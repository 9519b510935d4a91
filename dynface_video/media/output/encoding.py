"""Which encoder, pixel format and quality a restored video gets."""

from __future__ import annotations

import math
import os
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
from av.codec.codec import UnknownCodecError
from av.codec.context import Flags as CodecFlags
from av.video.codeccontext import VideoCodecContext
from av.video.format import VideoFormat

from dynface_video.errors import InputError
from dynface_video.media.io.probe import LIMITED, UNSPECIFIED, ColourInfo, VideoInfo
from dynface_video.media.pixels.formats import has_alpha, subsampling_of
from dynface_video.media.pixels.working_range import FILM_LOG

CONTAINERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""Containers that keep exact times, by file ending; values are FFmpeg's names."""

ALIASES = {
    "h264": "libx264",
    "avc": "libx264",
    "h265": "libx265",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "nvenc": "h264_nvenc",
}
CRF = {"libx264": 17, "libx265": 18, "libvpx-vp9": 24, "libsvtav1": 22}
EFFICIENCY = {
    "mpeg1video": 0.45, "mpeg2video": 0.45, "mpeg4": 0.6, "msmpeg4v3": 0.6, "vc1": 0.8, "vp8": 0.8, "h264": 1.0,
    "vp9": 1.5, "libvpx-vp9": 1.5, "hevc": 1.6, "av1": 1.8, "libdav1d": 1.8,
}  # fmt: skip
"""How far a bit goes in the codecs of distribution, H.264 being 1; all others keep nearly everything."""
GOOD_BITS = 0.12
CRF_RANGE = {"libx264": (0, 51), "libx265": (0, 51), "libvpx-vp9": (0, 63), "libsvtav1": (1, 63)}
PRESET = {"libx264": "medium", "libx265": "medium", "libsvtav1": "8"}
PRESET_NAMES = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
THREADS = {"libx264": 4}
"""Threads of an encoder: x264's result depends on their number, but not on how many processors they share."""
EVEN_ONLY = ("libx264", "libx265", "libsvtav1", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
LOSSLESS = ("ffv1",)
INTERLACED = ("libx264", "ffv1")
CAPTIONING = ("libx264", "libx265", "h264_nvenc", "hevc_nvenc")
"""Encoders that write captions where a picture still has them; `assemble` does so for every path alike."""
OPAQUE = ("libvpx", "libvpx-vp9", "libx265", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
"""Encoders that take transparent pictures, but drop the transparency or put it where joining would lose it."""

JOINABLE = {
    "libx264": {"bf": "0", "x264-params": "open-gop=0"},
    "libx265": {"bf": "0", "x265-params": "open-gop=0:bframes=0:pools=none:frame-threads=1:wpp=0:log-level=none"},
    "libvpx-vp9": {"lag-in-frames": "0", "auto-alt-ref": "0", "b": "0", "deadline": "good", "cpu-used": "4"},
    "libsvtav1": {"svtav1-params": "pred-struct=1:lp=1"},
    "ffv1": {"level": "3", "slicecrc": "1", "g": "1"},
    "h264_nvenc": {"bf": "0", "forced-idr": "1"},
    "hevc_nvenc": {"bf": "0", "forced-idr": "1"},
}
"""Segments that are joined by copying packets: no reordered and no hidden pictures, every one closed in itself."""
WHOLE_VIDEO = {
    "libx265": {"x265-params": "log-level=none"},
    "libvpx-vp9": {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"},
    "ffv1": {"level": "3", "slicecrc": "1", "g": "1"},
}
"""A whole video in one run of the encoder, without the restrictions of segments."""


@dataclass(frozen=True)
class EncodeSettings:
    """How segments are encoded.

    Attributes:
        codec: FFmpeg's name of the encoder.
        crf: Constant quality, lower is better; None if the encoder has none.
        preset: Of the encoder, None for its default.
        pixel_format: FFmpeg's name.
        threads: A fixed number gives the same bytes on every machine, 0 uses every processor.
        interlaced: Whether pictures consist of two fields.
        joinable: Whether the result can be joined by copying packets, which excludes B-frames.
        parameter_set: Number of libx264's parameter sets, not 0 if packets of the source are joined with the segments.
    """

    codec: str
    crf: int | None
    preset: str | None
    pixel_format: str
    threads: int = 1
    interlaced: bool = False
    joinable: bool = True
    parameter_set: int = 0

    def for_whole_video(self) -> EncodeSettings:
        """The same settings for a whole video in one run of the encoder."""
        return replace(self, threads=0, joinable=False)

    def lossless(self) -> EncodeSettings:
        """Settings that keep, to the last bit, what will be encoded with these."""
        formats = [layout.name for layout in av.Codec("ffv1", "w").video_formats or []]
        wanted = VideoFormat(self.pixel_format)
        nearest = min(formats, key=lambda name: _cost(wanted, VideoFormat(name), odd=(0, 0)))
        return EncodeSettings("ffv1", None, None, nearest, interlaced=self.interlaced)


def choose_encoding(
    info: VideoInfo,
    target: Path,
    codec: str | None = None,
    crf: int | None = None,
    *,
    preset: str | None = None,
    pixel_format: str | None = None,
    interlaced: bool | None = None,
) -> EncodeSettings:
    """Choose settings that keep depth, subsampling and fields of the source as far as target and encoder can.

    Args:
        info: The source.
        target: The output, whose ending gives the container.
        codec: An encoder of FFmpeg or a short name such as "h264", "hevc", "vp9", "ffv1"; None chooses by target and
            depth.
        crf: None chooses a quality that is hard to tell from the source (`followed_quality`).
        preset: Of the encoder, by its own names.
        pixel_format: None chooses the nearest to the source's.
        interlaced: Whether pictures consist of two fields; None follows the source.

    Raises:
        InputError: The container is not supported or cannot hold the codec, the encoder is unknown or cannot be
            started, or the quality is out of range.
    """
    container = container_format(target)
    interlaced = info.interlaced if interlaced is None else interlaced
    # x265 has no interlaced coding, x264 has and takes 10 bit as well.
    deep = _depth(VideoFormat(info.pixel_format)) > 8 and not interlaced
    if codec is None:
        codec = "libvpx-vp9" if container == "webm" else "libx265" if deep else "libx264"
    encoder = _find_encoder(ALIASES.get(codec.lower(), codec))
    _check_container(target, container, encoder.name)
    settings = EncodeSettings(
        codec=encoder.name,
        crf=_quality(encoder.name, crf, info),
        preset=preset or PRESET.get(encoder.name),
        pixel_format=_pixel_format(info, encoder, pixel_format),
        threads=THREADS.get(encoder.name, 1),
        interlaced=interlaced,
    )
    if interlaced and encoder.name not in INTERLACED:
        raise InputError(
            f"{info.path} is interlaced and {encoder.name} cannot keep it so: give --interlaced deinterlace for a "
            f"progressive video, or a codec that can ({', '.join(INTERLACED)})"
        )
    _check_start(info, settings)
    return settings


def container_format(target: Path) -> str:
    """FFmpeg's name of the container that a target's ending selects.

    Raises:
        InputError: The container is not supported.
    """
    try:
        return CONTAINERS[target.suffix.lower()]
    except KeyError:
        known = ", ".join(CONTAINERS)
        raise InputError(
            f"{target}: a file ending in '{target.suffix}' cannot keep every frame's exact time; use one of {known}"
        ) from None


def encoded_colour(info: VideoInfo, pixel_format: str) -> ColourInfo:
    """Colour tags of the encoded video: the source's, or matrix and range of the conversion where RGB becomes YUV."""
    colour = info.colour
    if colour.transfer == FILM_LOG:
        colour = replace(colour, transfer=UNSPECIFIED)
    if not VideoFormat(info.pixel_format).is_rgb or VideoFormat(pixel_format).is_rgb:
        return colour
    resolved = colour.resolved(info.height)
    return ColourInfo(resolved.matrix, colour.primaries, colour.transfer, LIMITED)


def set_up_encoder(context: VideoCodecContext, info: VideoInfo, settings: EncodeSettings) -> None:
    """Configure an encoder before it is opened: size, time base, tags, quality, and options for joinable segments."""
    context.width, context.height = info.width, info.height
    context.pix_fmt = settings.pixel_format
    context.time_base = info.time_base
    context.framerate = info.frame_rate or Fraction(25)
    if info.sample_aspect_ratio != 1:
        context.sample_aspect_ratio = info.sample_aspect_ratio
    colour = encoded_colour(info, settings.pixel_format)
    context.colorspace, context.color_primaries = colour.matrix, colour.primaries
    context.color_trc, context.color_range = colour.transfer, colour.range
    context.thread_count = settings.threads
    # Parameter sets in the header, not only in the pictures: the joined file's header is the first segment's.
    context.flags |= CodecFlags.global_header
    if settings.interlaced and settings.codec == "libx264":
        context.flags |= CodecFlags.interlaced_dct
    context.options = _encoder_options(info, settings, colour.siting)


def _encoder_options(info: VideoInfo, settings: EncodeSettings, siting: int) -> dict[str, str]:
    if settings.joinable:
        options = dict(JOINABLE.get(settings.codec, {"bf": "0"}))
    else:
        options = dict(WHOLE_VIDEO.get(settings.codec, {}))
    if settings.codec == "libx265":
        options["x265-params"] = ":".join([options["x265-params"], *info.mastering.x265_options()])
    if siting and settings.codec in ("libx264", "libx265"):
        name = "x264-params" if settings.codec == "libx264" else "x265-params"
        options[name] = ":".join(filter(None, [options.get(name, ""), f"chromaloc={siting}"]))
    if settings.codec in CAPTIONING:
        options["a53cc"] = "0"
    if settings.parameter_set:
        options["x264-params"] += f":sps-id={settings.parameter_set}"
    if settings.crf is not None:
        options["cq" if settings.codec.endswith("nvenc") else "crf"] = str(settings.crf)
    if settings.preset is not None:
        options["cpu-used" if settings.codec == "libvpx-vp9" else "preset"] = settings.preset
    return options


def _find_encoder(name: str) -> av.Codec:
    try:
        return av.Codec(name, "w")
    except (UnknownCodecError, ValueError) as error:
        raise InputError(f"FFmpeg here has no encoder '{name}'; try libx264, libx265, libvpx-vp9 or ffv1") from error


def _check_container(target: Path, container: str, encoder: str) -> None:
    with av.open("probe", "w", format=container) as output:
        if encoder not in output.supported_codecs:
            raise InputError(f"{target}: {container} cannot hold {encoder}; choose another codec or a .mkv file")


def followed_quality(info: VideoInfo) -> int:
    """Offset to an encoder's usual quality (crf) for a source, -3 to 2.

    A bit rate per pixel below that of a good encoding indicates a coarse source, whose damage need not be kept to the
    last bit at several times its size. The slope is half that of encoders (6 for half the bits), and the range is
    limited: the loss stays below the previous one, and a restored face has more detail than its source. Unknown rates
    count as good.
    """
    if info.bit_rate is None or info.frame_rate is None:
        return 0
    efficiency = EFFICIENCY.get(info.codec)
    if efficiency is None:
        return -3
    bits = info.bit_rate / float(info.width * info.height * info.frame_rate)
    return round(min(max(3 * math.log2(GOOD_BITS / (bits * efficiency)), -3), 2)) if bits > 0 else 0


def _quality(encoder: str, crf: int | None, info: VideoInfo) -> int | None:
    if encoder in LOSSLESS:
        return None
    if crf is None:
        usual = CRF.get(encoder, 19 if encoder.endswith("nvenc") else None)
        return None if usual is None else usual + followed_quality(info)
    low, high = CRF_RANGE.get(encoder, (0, 51))
    if not low <= crf <= high:
        raise InputError(f"the quality of {encoder} (crf) is {low} to {high}, not {crf}")
    return crf


def _pixel_format(info: VideoInfo, encoder: av.Codec, wanted: str | None) -> str:
    if wanted is not None:
        known = [layout.name for layout in encoder.video_formats or []]
        if wanted not in known:
            raise InputError(f"{encoder.name} cannot encode the pixel format {wanted!r}; it takes {', '.join(known)}")
        return wanted
    source = VideoFormat(info.pixel_format.replace("yuvj", "yuv"))
    even_only = encoder.name in EVEN_ONLY
    costs = {
        layout.name: _cost(
            source, layout, odd=(info.width % 2 if even_only else 0, info.height % 2 if even_only else 0)
        )
        for layout in encoder.video_formats or []
        if encoder.name not in OPAQUE or not has_alpha(layout.name)
    }
    best = min(costs, key=lambda name: costs[name], default=None)
    if best is None or math.isinf(costs[best]):
        raise InputError(f"{encoder.name} cannot encode pictures of {info.width}x{info.height} {info.pixel_format}")
    return best


def _cost(source: VideoFormat, target: VideoFormat, odd: tuple[int, int]) -> float:
    """How much a pixel format would lose (or waste) of the source's; infinite where it cannot serve."""
    name, subsampling = target.name, subsampling_of(target)
    unfit = name.startswith("yuvj") or "f16" in name or "f32" in name or "msb" in name or not target.components
    if unfit or any(wanted and shift for wanted, shift in zip(odd, subsampling, strict=True)):
        return math.inf
    if name == source.name:
        return 0.0
    depth = _depth(target) - _depth(source)
    cost = 100.0 * max(-depth, 0) + 2.0 * max(depth, 0)
    for ours, theirs in zip(subsampling_of(source), subsampling, strict=True):
        cost += 50.0 * max(theirs - ours, 0) + 3.0 * max(ours - theirs, 0)
    colours, target_colours = _colours(source), _colours(target)
    if colours > target_colours:
        cost += 1000.0
    cost += 5.0 * (target_colours - colours) * (colours == 1)
    cost += 30.0 * (source.is_rgb != target.is_rgb)
    transparent = has_alpha(source.name), has_alpha(target.name)
    cost += 20.0 * (transparent == (True, False)) + 1.0 * (transparent == (False, True))
    planes = len({c.plane for c in target.components})
    return cost + 0.5 * (planes < len(target.components))


def _colours(layout: VideoFormat) -> int:
    return 3 if layout.has_palette else sum(not c.is_alpha for c in layout.components)


def _depth(layout: VideoFormat) -> int:
    return max((c.bits for c in layout.components if not c.is_alpha), default=8)


def _check_start(info: VideoInfo, settings: EncodeSettings) -> None:
    error = _refusal(info, settings)
    if error is None:
        return
    if settings.preset is not None and _refusal(info, replace(settings, preset=None)) is None:
        known = "; it has " + ", ".join(PRESET_NAMES) if settings.codec in ("libx264", "libx265") else ""
        raise InputError(f"{settings.codec} has no preset {settings.preset!r}{known}") from error
    raise InputError(
        f"{settings.codec} cannot be started here for {info.width}x{info.height} {settings.pixel_format} "
        f"({_reason(settings, error)}); choose another codec or preset"
    ) from error


def _refusal(info: VideoInfo, settings: EncodeSettings) -> Exception | None:
    context = av.CodecContext.create(settings.codec, "w")
    if not isinstance(context, VideoCodecContext):
        raise InputError(f"{settings.codec} does not encode video")
    set_up_encoder(context, info, settings)
    try:
        open_encoder(context)
    except (av.FFmpegError, ValueError) as error:
        return error
    return None


def open_encoder(context: VideoCodecContext) -> None:
    """Open an encoder, and keep the scheduling of this thread and of the threads that the encoder starts.

    SVT-AV1 gives the thread that starts it, and with it every thread and process begun from there later, real-time
    priority where it may, as it may for root in a container: everything else on the machine would have to wait.

    Args:
        context: Set up and not yet open.

    Raises:
        av.FFmpegError: The encoder refuses.
    """
    if sys.platform != "linux":
        context.open()
        return
    policy, parameters = before = _scheduling()
    known = _thread_ids()
    try:
        context.open()
    finally:
        if _scheduling() != before:
            os.sched_setscheduler(0, policy, parameters)
            for thread in _thread_ids() - known:
                with suppress(ProcessLookupError):
                    os.sched_setscheduler(thread, policy, parameters)


def _scheduling() -> tuple[int, os.sched_param]:
    """Policy and priority of this thread."""
    return os.sched_getscheduler(0), os.sched_getparam(0)


def _thread_ids() -> set[int]:
    """Thread ids of this process."""
    return {int(task.name) for task in Path("/proc/self/task").iterdir()}


def _reason(settings: EncodeSettings, error: Exception) -> str:
    """Why an encoder does not start, for the message."""
    if settings.codec.endswith(("_nvenc", "_qsv", "_vaapi", "_amf", "_videotoolbox")):
        return "it needs hardware, or its driver, that this machine does not have"
    return str(getattr(error, "strerror", None) or error).lower()
