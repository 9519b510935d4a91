"""A video that goes through segments and assembly unchanged keeps everything that its container can hold."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dynface_video.errors import InputError, JobError
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.output.assemble import assemble
from dynface_video.media.output.write import choose_encoding, write_segment

JUMPS = (0, 33, 66, 101, 140, 500, 533, 1033, 1066, 1100, 1133, 1166, 1300)
ROTATED = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
MIRRORED = (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("target", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("constant.mp4", {}),
        ("film.mp4", {"time_base": Fraction(1001, 24000), "rate": Fraction(24000, 1001)}),
        ("fast.mp4", {"time_base": Fraction(1001, 60000), "rate": Fraction(60000, 1001)}),
        ("variable.mkv", {"pts": JUMPS, "time_base": Fraction(1, 1000), "rate": Fraction(30)}),
        ("late.mp4", {"pts": tuple(range(31, 55)), "time_base": Fraction(1, 30), "rate": Fraction(30)}),
        ("bframes.mkv", {"options": {"bf": "3"}, "time_base": Fraction(1, 1000), "pts": tuple(range(0, 960, 40))}),
        ("sound.mp4", {"sound": 1, "options": {"bf": "2"}}),
        ("old.mpg", {"codec": "mpeg1video", "options": {"bf": "2", "b": "300000"}}),
    ],
)
def test_times_and_sound_come_out_as_they_went_in(kit, name: str, properties: dict, target: str) -> None:
    source = kit.clip(name, **properties)
    passed = kit.through(source, kit.folder / target)
    ours, theirs = kit.times(passed.target), kit.times(source)
    assert len(ours) == len(theirs)
    tick = Fraction(1, 1000) if target.endswith("mkv") else 0
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) <= tick
    assert kit.packets(passed.target, "audio") == kit.packets(source, "audio")
    assert not passed.report.left_out
    assert not passed.warnings


def test_real_clips_keep_their_times_and_sound(kit, shared_videos: Path) -> None:
    for name in ("grid_1.mpg", "sign_help.mkv", "talk_vfr.mp4"):
        source = shared_videos / name
        passed = kit.through(source, kit.folder / f"{name}.mp4", span=50)
        assert kit.times(passed.target) == kit.times(source)
        assert kit.packets(passed.target, "audio") == kit.packets(source, "audio")


def test_several_sound_tracks_keep_order_and_language(kit) -> None:
    source = kit.clip("a.mkv", sound=3)
    passed = kit.through(source, kit.folder / "out.mp4")
    assert kit.packets(passed.target, "audio") == kit.packets(source, "audio")
    assert [stream.language for stream in probe(passed.target).others] == ["eng", "fra", "deu"]


def test_sound_that_begins_before_the_picture_moves_nothing(kit) -> None:
    source = kit.clip("a.mp4", sound=1)
    with av.open(str(source)) as container:
        assert min(p.pts for p in container.demux(audio=0) if p.size) < 0
    for target in ("out.mp4", "out.mkv"):
        passed = kit.through(source, kit.folder / target)
        assert kit.times(passed.target)[0] == 0
        with av.open(str(passed.target)) as container:
            first = min(p.pts * p.time_base for p in container.demux(audio=0) if p.size)
        assert abs(first + Fraction(1024, 48000)) <= Fraction(1, 1000)


SUBTITLES = """1
00:00:00,100 --> 00:00:00,400
Good evening.

2
00:00:00,500 --> 00:00:00,900
Good night.
"""


def rich_clip(kit) -> Path:
    """A Matroska file with sound, subtitles, two chapters, an attached font and tags."""
    plain = kit.clip("plain.mkv", sound=1)
    (kit.folder / "words.srt").write_text(SUBTITLES)
    path = kit.folder / "rich.mkv"
    with (
        av.open(str(plain)) as source,
        av.open(str(kit.folder / "words.srt")) as words,
        av.open(str(path), "w") as output,
    ):
        output.metadata.update({"title": "An evening", "DIRECTOR": "Nobody"})
        targets = {s.index: output.add_stream_from_template(s, opaque=True) for s in source.streams}
        targets[1].metadata.update({"language": "eng", "title": "Commentary"})
        text = output.add_stream_from_template(words.streams[0], opaque=True)
        text.metadata["language"] = "swe"
        text.disposition = av.stream.Disposition.forced
        output.add_attachment("letters.ttf", "application/x-truetype-font", b"not really a font" * 20)
        thousandth = Fraction(1, 1000)
        output.set_chapters(
            [
                {"id": 1, "start": 0, "end": 400, "time_base": thousandth, "metadata": {"title": "One"}},
                {"id": 2, "start": 400, "end": 960, "time_base": thousandth, "metadata": {"title": "Two"}},
            ]
        )
        for container, streams in ((source, targets), (words, {0: text})):
            for packet in container.demux():
                if packet.size:
                    packet.stream = streams[packet.stream_index]
                    output.mux(packet)
    return path


def test_matroska_keeps_subtitles_chapters_attachments_and_tags(kit) -> None:
    source = rich_clip(kit)
    passed = kit.through(source, kit.folder / "out.mkv")
    assert not passed.report.left_out
    for kind in ("audio", "subtitle"):
        assert kit.packets(passed.target, kind) == kit.packets(source, kind)
    with av.open(str(passed.target)) as ours, av.open(str(source)) as theirs:
        assert [c["metadata"]["title"] for c in ours.chapters()] == ["One", "Two"]
        assert [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in ours.chapters()] == [
            (c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in theirs.chapters()
        ]
        assert (ours.metadata["title"], ours.metadata["DIRECTOR"]) == ("An evening", "Nobody")
        assert [s.type for s in ours.streams] == [s.type for s in theirs.streams]
        assert [s.disposition for s in ours.streams] == [s.disposition for s in theirs.streams]
        assert ours.streams[2].language == "swe"
        assert ours.streams[1].metadata["title"] == "Commentary"
        attachment = next(s for s in ours.streams if s.type == "attachment")
        assert (attachment.name, attachment.mimetype) == ("letters.ttf", "application/x-truetype-font")
        assert bytes(attachment.data) == b"not really a font" * 20


def test_what_mp4_cannot_hold_is_named_and_the_rest_kept(kit) -> None:
    source = rich_clip(kit)
    passed = kit.through(source, kit.folder / "out.mp4")
    assert kit.packets(passed.target, "audio") == kit.packets(source, "audio")
    with av.open(str(passed.target)) as container:
        assert [c["metadata"]["title"] for c in container.chapters()] == ["One", "Two"]
        assert container.metadata["title"] == "An evening"
    words = " / ".join(passed.report.warnings)
    assert "subtitle stream 2 (subrip, swe) is not in the output: mp4 cannot hold it" in words
    assert "attachment stream 3" in words
    assert "DIRECTOR" in words


def test_a_cover_is_no_video_and_comes_along(kit) -> None:
    plain = kit.clip("plain.mp4", sound=1)
    source = kit.folder / "covered.mp4"
    picture = kit.folder / "cover.jpg"
    with av.open(str(picture), "w", format="mjpeg") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 90, np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(plain)) as old, av.open(str(picture)) as cover, av.open(str(source), "w") as output:
        art = output.add_stream_from_template(cover.streams[0], opaque=True)
        art.disposition = av.stream.Disposition.attached_pic
        targets = {s.index: output.add_stream_from_template(s, opaque=True) for s in old.streams}
        for packet in cover.demux():
            if packet.size:
                packet.stream = art
                output.mux(packet)
        for packet in old.demux():
            if packet.size:
                packet.stream = targets[packet.stream_index]
                output.mux(packet)
    assert {stream.kind for stream in probe(source).others} == {"audio", "cover"}
    for target in ("out.mp4", "out.mkv"):
        passed = kit.through(source, kit.folder / target)
        assert not passed.report.left_out
        assert {stream.kind for stream in probe(passed.target).others} == {"audio", "cover"}
        assert picture.read_bytes() in kit.packets(passed.target, "video")[-1] + kit.packets(passed.target, "video")[0]
        assert kit.packets(passed.target, "audio") == kit.packets(plain, "audio")
        assert kit.times(passed.target) == kit.times(plain)


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (6, 6, 6, 1), (5, 5, 6, 2), (9, 9, 16, 1), (9, 9, 18, 1), (2, 2, 2, 0)])
def test_colour_tags_come_along(kit, tags: tuple[int, int, int, int], target: str) -> None:
    source = kit.clip("a.mp4", tags=tags, pts=tuple(range(6)))
    passed = kit.through(source, kit.folder / target)
    assert probe(passed.target).colour == passed.info.colour


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("siting", [0, 1, 2])
def test_chroma_siting_comes_along(kit, siting: int, codec: str) -> None:
    quiet = ":log-level=none" if codec == "libx265" else ""
    params = {f"{codec[3:]}-params": f"chromaloc={siting}{quiet}"}
    source = kit.clip("a.mp4", codec=codec, options=params, pts=tuple(range(4)))
    passed = kit.through(source, kit.folder / "out.mkv", codec=codec)
    assert probe(passed.target).colour.siting == passed.info.colour.siting == siting


def test_codecs_with_a_siting_of_their_own_have_it(kit) -> None:
    source = kit.clip("a.mpg", codec="mpeg1video", pts=tuple(range(4)))
    assert probe(source).colour.siting == 1
    assert probe(kit.through(source, kit.folder / "out.mp4").target).colour.siting == 1


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "gray"]
)
def test_depth_and_subsampling_come_along(kit, pixel_format: str) -> None:
    source = kit.clip("a.mkv", pixel_format=pixel_format, pts=tuple(range(6)))
    passed = kit.through(source, kit.folder / "out.mkv")
    out = probe(passed.target)
    # H.264 decodes grey as 4:2:0 with empty chroma.
    assert out.pixel_format == passed.info.pixel_format
    assert out.colour.resolved(64).range == passed.info.colour.resolved(64).range


@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
@pytest.mark.parametrize("matrix", [ROTATED, MIRRORED])
def test_shape_and_orientation_come_along(kit, matrix: tuple[int, ...], target: str) -> None:
    source = kit.clip("a.mp4", display_matrix=matrix, aspect=Fraction(16, 15), pts=tuple(range(6)))
    passed = kit.through(source, kit.folder / target)
    out = probe(passed.target)
    assert (out.sample_aspect_ratio, out.display_matrix) == (Fraction(16, 15), matrix)
    np.testing.assert_array_equal(out.display.transform, passed.info.display.transform)


@pytest.mark.parametrize(
    ("codec", "target", "properties"),
    [
        ("ffv1", "out.mkv", {"codec": "ffv1", "pixel_format": "yuv420p"}),
        ("ffv1", "out.mkv", {"codec": "ffv1", "pixel_format": "yuv422p10le"}),
        ("ffv1", "out.mkv", {"codec": "ffv1", "pixel_format": "yuv444p12le"}),
        ("ffv1", "out.mkv", {"codec": "ffv1", "pixel_format": "gray"}),
        ("ffv1", "out.mkv", {"codec": "ffv1", "pixel_format": "yuv420p", "size": (97, 63)}),
    ],
)
def test_ffv1_keeps_every_sample(kit, codec: str, target: str, properties: dict) -> None:
    source = kit.clip("a.mkv", pts=tuple(range(0, 480, 40)), time_base=Fraction(1, 1000), **properties)
    passed = kit.through(source, kit.folder / target, codec=codec)
    again = kit.index(probe(passed.target))
    np.testing.assert_array_equal(again.checksums, passed.index.checksums)


@pytest.mark.parametrize(
    ("codec", "target"), [("vp9", "out.webm"), ("hevc", "out.mp4"), ("av1", "out.mkv"), ("vp9", "out.mkv")]
)
def test_segments_of_other_codecs_join(kit, codec: str, target: str) -> None:
    source = kit.clip("a.mkv", sound=1, sound_codec="libopus")
    passed = kit.through(source, kit.folder / target, codec=codec)
    assert kit.times(passed.target) == kit.times(source)
    assert kit.packets(passed.target, "audio") == kit.packets(source, "audio")


def test_odd_sizes_stay_odd(kit) -> None:
    source = kit.clip("a.mkv", codec="ffv1", size=(97, 63), pts=tuple(range(6)))
    out = probe(kit.through(source, kit.folder / "out.mp4").target)
    assert (out.width, out.height, out.pixel_format) == (97, 63, "yuv444p")


def test_pictures_of_a_lossy_pass_stay_close(kit) -> None:
    source = kit.clip("a.mp4", size=(192, 128), pts=tuple(range(12)), tags=(1, 1, 1, 1))
    passed = kit.through(source, kit.folder / "out.mp4", crf=8)
    for ours, theirs in zip(read_frames(probe(passed.target)), read_frames(passed.info), strict=True):
        assert np.abs(ours.rgb().astype(int) - theirs.rgb()).mean() < 1.5


def test_hdr_mastering_data_comes_along(kit) -> None:
    params = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    source = kit.clip(
        "a.mp4",
        codec="libx265",
        pixel_format="yuv420p10le",
        tags=(9, 9, 16, 1),
        options={"x265-params": f"hdr-opt=1:repeat-headers=1:log-level=none:{params}"},
        pts=tuple(range(6)),
    )
    passed = kit.through(source, kit.folder / "out.mp4")
    frame = next(read_frames(probe(passed.target)))
    original = next(read_frames(passed.info))
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert bytes(frame.picture.side_data[name]) == bytes(original.picture.side_data[name])


def test_interlaced_video_stays_interlaced(kit) -> None:
    source = kit.clip("a.mp4", options={"flags": "+ildct+ilme", "x264-params": "tff=1"}, pts=tuple(range(8)))
    assert probe(source).interlaced
    assert probe(kit.through(source, kit.folder / "out.mp4").target).interlaced


def test_the_default_video_among_several_is_taken_and_the_others_copied(kit) -> None:
    one, two = kit.clip("one.mp4"), kit.clip("two.mp4", size=(64, 64), pts=tuple(range(12)))
    source = kit.folder / "both.mkv"
    with av.open(str(one)) as first, av.open(str(two)) as second, av.open(str(source), "w") as output:
        targets = [output.add_stream_from_template(c.streams.video[0], opaque=True) for c in (first, second)]
        targets[0].disposition, targets[1].disposition = av.stream.Disposition(0), av.stream.Disposition.default
        for container, target in zip((first, second), targets, strict=True):
            for packet in container.demux(video=0):
                if packet.size:
                    packet.stream = target
                    output.mux(packet)
    info = probe(source)
    if info.stream_index != 1:
        pytest.skip("this FFmpeg marks the first video as default whatever was asked")
    passed = kit.through(source, kit.folder / "out.mkv")
    assert len(passed.index.pts) == 12
    assert probe(passed.target).width == 64
    assert kit.packets(passed.target, "video")[0] == kit.packets(source, "video")[0]


def segment_of(kit, name: str, frames: int = 10) -> tuple[Path, object, np.ndarray]:
    info = probe(kit.clip(name, pts=tuple(range(frames))))
    settings = replace(choose_encoding(info, Path("x.mp4"), None, None), preset="ultrafast")
    path = kit.folder / "s.nut"
    write_segment(path, read_frames(info), info, settings)
    return path, info, np.array([f.pts for f in read_frames(info)])


def test_missing_or_surplus_frames_are_an_error_and_leave_nothing(kit) -> None:
    path, info, pts = segment_of(kit, "a.mp4")
    target = kit.folder / "out.mp4"
    for segments, problem in (([path, path], "20 frames, the video has 10"), ([], "no segments")):
        with pytest.raises(JobError, match=problem):
            assemble(segments, info, target, pts)
    with pytest.raises(JobError, match="10 frames, the video has 11"):
        assemble([path], info, target, np.append(pts, pts[-1] + 512))
    with pytest.raises(JobError, match="not at its time"):
        assemble([path], info, target, pts + 1)
    assert not target.exists()
    assert not list(kit.folder.glob(".*"))


def test_an_existing_output_stays_until_the_new_one_is_complete(kit) -> None:
    path, info, pts = segment_of(kit, "a.mp4")
    target = kit.folder / "out.mp4"
    target.write_text("old")
    with pytest.raises(JobError):
        assemble([path], info, target, pts[:-1])
    assert target.read_text() == "old"
    assemble([path], info, target, pts)
    assert len(kit.times(target)) == 10


def test_a_container_without_exact_times_is_refused(kit) -> None:
    path, info, pts = segment_of(kit, "a.mp4")
    with pytest.raises(InputError, match="cannot keep every frame's exact time"):
        assemble([path], info, kit.folder / "out.avi", pts)
