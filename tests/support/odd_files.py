"""Odd files as phones, cameras, capture cards, editors and old programs leave them, made by the `ffmpeg` command."""

from __future__ import annotations

from dataclasses import dataclass

PICTURE = "testsrc2=size={size}:rate={rate}:duration={seconds}"
TONE = "sine=frequency=440:duration={seconds}"


@dataclass(frozen=True)
class OddFile:
    """How to make a file and what becomes of it.

    Attributes:
        name: Of the file.
        what: Where such files come from.
        arguments: Of ffmpeg, between the inputs and the name.
        size: Of the picture.
        rate: Frames a second.
        seconds: Duration.
        sound: Whether there is a tone.
        before: Arguments before the inputs.
        says: Part of a warning that must be there; None where there must be none.
        fails: Part of the error message; None where it must be restored.
        spoil: Whether the file is cut off after it was made.
    """

    name: str
    what: str
    arguments: str
    size: str = "96x64"
    rate: str = "25"
    seconds: str = "0.48"
    sound: bool = False
    before: str = ""
    says: str | None = None
    fails: str | None = None
    spoil: bool = False

    def command(self, path: str) -> list[str]:
        """The command that makes it."""
        form = {"size": self.size, "rate": self.rate, "seconds": self.seconds}
        inputs = ["-f", "lavfi", "-i", PICTURE.format(**form)]
        if self.sound:
            inputs += ["-f", "lavfi", "-i", TONE.format(**form)]
        return ["ffmpeg", "-y", "-v", "error", *self.before.split(), *inputs, *self.arguments.split(), path]


X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p"
PHONES = [
    OddFile("slow.mp4", "a phone's slow motion of 240 frames a second", X264, rate="240", seconds="0.1", sound=True),
    OddFile(
        "vfr.mp4",
        "a phone in the dark: rate that varies",
        f"{X264} -vf select=not(mod(n\\,3)*mod(n\\,7)) -fps_mode vfr",
    ),
    OddFile(
        "hlg.mov",
        "a phone's HDR, HEVC of 10 bit",
        "-c:v libx265 -preset ultrafast -x265-params log-level=none -pix_fmt yuv420p10le -tag:v hvc1 "
        "-color_primaries bt2020 -color_trc arib-std-b67 -colorspace bt2020nc",
    ),
    OddFile("old.3gp", "a phone of 2004, H.263", "-c:v h263 -c:a aac", size="176x144", sound=True),
    OddFile("odd.mp4", "a messenger's odd size", "-c:v libx264 -preset ultrafast -pix_fmt yuv444p", size="95x171"),
    OddFile("still.mp4", "one frame only", X264, seconds="0.04"),
]
CAMERAS = [
    OddFile(
        "avchd.mts",
        "an AVCHD camcorder, packets of 192 bytes",
        "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -flags +ildct+ilme -c:a ac3 -f mpegts -mpegts_m2ts_mode 1",
        sound=True,
    ),
    OddFile(
        "tape.dv", "a DV camcorder, raw", "-target pal-dv -pix_fmt yuv420p", size="720x576", seconds="0.16", sound=True
    ),
    OddFile(
        "dv.avi",
        "DV captured into AVI",
        "-c:v dvvideo -pix_fmt yuv420p -c:a pcm_s16le",
        size="720x576",
        seconds="0.16",
        sound=True,
    ),
    OddFile(
        "hdv.m2t",
        "HDV, anamorphic and interlaced",
        "-c:v mpeg2video -flags +ildct+ilme -vf setsar=4/3 -c:a mp2 -f mpegts",
        size="144x108",
        sound=True,
    ),
    OddFile(
        "compact.avi",
        "a compact camera, Motion JPEG and sound of 8 bit",
        "-c:v mjpeg -c:a pcm_u8 -ar 11025",
        sound=True,
    ),
    OddFile(
        "full.mov",
        "a reflex camera, full range",
        "-c:v libx264 -preset ultrafast -pix_fmt yuvj420p -c:a pcm_s16be",
        sound=True,
    ),
    OddFile(
        "action.mp4", "an action camera with a timecode track", f"{X264} -timecode 10:11:12:05 -c:a aac", sound=True
    ),
    OddFile(
        "xavc.mxf",
        "a broadcast camera, 4:2:2 of 10 bit in MXF",
        "-c:v libx264 -preset ultrafast -pix_fmt yuv422p10le -g 1 -c:a pcm_s24le -ar 48000",
        sound=True,
    ),
    OddFile("camera.h264", "a security camera, a bare stream", f"{X264} -bf 0", says="no times"),
    OddFile(
        "camera.hevc",
        "the same, HEVC",
        "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=0",
        says="no times",
    ),
    OddFile("camera.mjpeg", "a network camera, JPEG after JPEG", "-c:v mjpeg -f mjpeg"),
    OddFile("dashcam.mp4", "a dashboard camera that lost power", X264, spoil=True, fails="may be truncated"),
    OddFile("dashcam.ts", "the same in a stream", X264, seconds="1", spoil=True),
]
CAPTURE = [
    OddFile("v210.mov", "an uncompressed capture of 10 bit", "-c:v v210 -c:a pcm_s24le", sound=True),
    OddFile("uyvy.avi", "an uncompressed capture of 8 bit, packed", "-c:v rawvideo -pix_fmt uyvy422"),
    OddFile("huff.avi", "HuffYUV", "-c:v huffyuv -pix_fmt yuv422p"),
    OddFile("ut.avi", "Ut Video, RGB", "-c:v utvideo -pix_fmt gbrp"),
    OddFile("magic.avi", "MagicYUV", "-c:v magicyuv -pix_fmt yuv444p"),
    OddFile("ffv1.mkv", "FFV1 of 16 bit RGB", "-c:v ffv1 -level 3 -pix_fmt gbrp16le"),
    OddFile(
        "vhs.mpg",
        "VHS through a hardware encoder",
        "-c:v mpeg2video -flags +ildct+ilme -c:a mp2",
        size="352x288",
        seconds="0.4",
        sound=True,
    ),
    OddFile(
        "dvd.vob", "a DVD's stream, wide", "-target pal-dvd -aspect 16:9", size="720x576", seconds="0.2", sound=True
    ),
    OddFile(
        "gaps.mkv", "a capture that dropped frames", f"{X264} -vf select=not(between(n\\,4\\,6)) -fps_mode passthrough"
    ),
    OddFile("obs.flv", "a stream recorded", f"{X264} -c:a aac", sound=True),
    OddFile("live.mkv", "a recording that was never finished", f"{X264} -live 1"),
    OddFile("frag.mp4", "a fragmented recording", f"{X264} -g 5 -movflags frag_keyframe+empty_moov"),
]
EDITORS = [
    OddFile(
        "alpha.mov",
        "ProRes 4444 with transparency",
        "-c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le",
        says="transparency",
    ),
    OddFile("dnxhr.mxf", "DNxHR in MXF", "-c:v dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p", size="256x128"),
    OddFile("cineform.mov", "CineForm", "-c:v cfhd -pix_fmt yuv422p10le", size="256x128"),
    OddFile("rle.mov", "QuickTime Animation", "-c:v qtrle -pix_fmt rgb24"),
    OddFile("png.mov", "PNG in QuickTime, transparent", "-c:v png -pix_fmt rgba", says="transparency"),
    OddFile("raw.nut", "an exchange file", "-c:v rawvideo -pix_fmt yuv420p -c:a pcm_s16le", sound=True),
    OddFile("pipe.y4m", "YUV4MPEG", "-pix_fmt yuv420p -f yuv4mpegpipe"),
    OddFile("gray.mkv", "a grey scan", "-c:v ffv1 -pix_fmt gray10le"),
    OddFile("square.webm", "VP9 and Opus", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus", sound=True),
    OddFile("av1.mp4", "AV1", "-c:v libaom-av1 -cpu-used 8 -usage realtime"),
    OddFile("moving.gif", "a moving GIF", "-pix_fmt rgb8"),
    OddFile("moving.apng", "a moving PNG", "-f apng"),
]
OLD = [
    OddFile("cinepak.avi", "a CD-ROM of 1994", "-c:v cinepak -c:a adpcm_ms", sound=True, says="as flac, without loss"),
    OddFile("video1.avi", "Microsoft Video 1", "-c:v msvideo1 -pix_fmt rgb555le"),
    OddFile("svq1.mov", "Sorenson Video", "-c:v svq1"),
    OddFile("wmv.wmv", "Windows Media", "-c:v wmv2 -c:a wmav2", sound=True, says="as flac, without loss"),
    OddFile("real.rm", "RealVideo", "-c:v rv20 -c:a ac3", size="176x144", sound=True),
    OddFile(
        "divx.avi",
        "DivX with packed B-frames",
        "-c:v libxvid -bf 2 -c:a libmp3lame",
        sound=True,
        seconds="1",
        says="frames' times go back",
    ),
    OddFile("msmpeg.avi", "DivX 3", "-c:v msmpeg4 -c:a libmp3lame", sound=True),
    OddFile("theora.ogv", "Theora and Vorbis", "-c:v libtheora -c:a libvorbis", sound=True),
    OddFile("vcd.mpg", "a Video CD", "-c:v mpeg1video -c:a mp2 -f vcd", size="352x288", seconds="0.4", sound=True),
    OddFile("h261.mkv", "a videoconference of 1992", "-c:v h261", size="176x144"),
    OddFile("flash.swf", "a Flash animation", "-c:v flv1", sound=False),
    OddFile("zmbv.avi", "a screen recording of DOS", "-c:v zmbv -pix_fmt pal8"),
]
UNUSABLE = [
    OddFile("song.m4a", "sound alone", "-map 1 -c:a aac", sound=True, fails="no video stream"),
    OddFile("song.wav", "sound alone, uncompressed", "-map 1", sound=True, fails="no video stream"),
    OddFile("words.srt", "subtitles alone", "", fails="no video stream"),
    OddFile("film.m3u8", "a playlist whose parts are gone", "", fails="film.m3u8"),
    OddFile("film.zip", "an archive", "", fails="is not a video"),
    OddFile("film.mp4.part", "a download that stopped", X264 + " -f mp4", spoil=True, fails="may be truncated"),
]
TEXTS = {
    "words.srt": "1\n00:00:00,100 --> 00:00:00,400\nGood evening.\n",
    "film.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nabsent.ts\n#EXT-X-ENDLIST\n",
    "film.zip": "PK\x03\x04" + "film" * 400,
}
"""Files that are written rather than encoded."""
ODD_FILES = [*PHONES, *CAMERAS, *CAPTURE, *EDITORS, *OLD, *UNUSABLE]
