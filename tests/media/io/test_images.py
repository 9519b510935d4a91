"""Images in and out: what a file holds beside its samples, folders of frames, and pictures of their own."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageOps
from skimage.data import astronaut

from dynface_video.api import analyze_video, restore_video
from dynface_video.errors import InputError
from dynface_video.jobs.stills import StillsJob
from dynface_video.media.io.images import read_image, upright, write_image
from dynface_video.media.io.probe import probe
from dynface_video.media.io.sequence import display_matrix, image_files, is_sequence
from dynface_video.media.pixels.display import display_geometry, to_display
from identity import checkered, stand_in

SIZE = (256, 192)
CENTRE = (120.0, 90.0)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photograph(number: int = 0) -> np.ndarray:
    """(H, W, 3) uint8, two pixels further with each number."""
    return np.ascontiguousarray(astronaut()[20 : 20 + SIZE[1], 100 + 2 * number : 100 + 2 * number + SIZE[0]])


def exif(orientation: int = 1, *, taken: bool = False) -> bytes:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Make] = "Plaubel"
    if taken:
        tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "1968:05:04 12:00:00"
    return tags.tobytes()


def save(path: Path, samples: np.ndarray, **options) -> Path:
    Image.fromarray(samples).save(path, **options)
    return path


def frames(folder: Path, count: int = 6, ending: str = ".png") -> Path:
    folder.mkdir()
    for number in range(count):
        save(folder / f"shot_{number + 8}{ending}", photograph(number))
    return folder


def deep(samples: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, samples.shape)
    return (samples.astype(np.uint16) << 8) + noise.astype(np.uint16)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_that_of_exif(orientation: int, tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", photograph(), exif=exif(orientation))
    with Image.open(path) as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    source = read_image(path)
    assert source.orientation == orientation
    height, width = source.samples.shape[:2]
    geometry = display_geometry(width, height, Fraction(1), display_matrix(orientation))
    np.testing.assert_array_equal(to_display(source.samples, geometry), wanted)
    np.testing.assert_array_equal(upright(source.samples, orientation), wanted)


@pytest.mark.parametrize(
    ("name", "samples", "options"),
    [
        ("a.png", photograph(), {}),
        ("a.tif", photograph(), {"compression": "tiff_lzw"}),
        ("a.bmp", photograph(), {}),
        ("a.webp", photograph(), {"lossless": True}),
        ("grey.png", photograph()[..., 1], {}),
        ("grey16.png", deep(photograph()[..., 1]), {}),
        ("grey16.tif", deep(photograph()[..., 1]), {}),
        ("clear.png", np.dstack([photograph(), photograph()[..., 0]]), {}),
        ("clear.webp", np.dstack([photograph(), photograph()[..., 0]]), {"lossless": True, "exact": True}),
    ],
)
def test_a_photograph_is_restored_and_everything_else_in_it_stays(
    name: str, samples: np.ndarray, options: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    more = {} if name.endswith("bmp") else {"exif": exif(), "icc_profile": PROFILE}
    source = save(tmp_path / name, samples, **options, **more)
    result = restore_video(source, tmp_path / f"out-{name}")
    assert (result.frames, result.faces) == (1, 1)
    with Image.open(tmp_path / f"out-{name}") as ours, Image.open(source) as theirs:
        assert (ours.mode, ours.format) == (theirs.mode, theirs.format)
        assert ours.info.get("icc_profile") == theirs.info.get("icc_profile")
        assert ours.getexif().get(ExifTags.Base.Make) == theirs.getexif().get(ExifTags.Base.Make)
        a, b = np.asarray(ours), np.asarray(theirs)
    assert a.dtype == b.dtype
    changed = (a != b).reshape(*a.shape[:2], -1).any(axis=2)
    assert changed[80:100, 110:130].mean() > 0.5
    assert not changed[:20].any() and not changed[:, :40].any()
    if a.ndim == 3 and a.shape[2] == 4:
        np.testing.assert_array_equal(a[..., 3], b[..., 3])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, f"out-{name}"])


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colour_of_sixteen_bit_keeps_its_depth_and_profile(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    samples, source, target = deep(photograph()), tmp_path / name, tmp_path / f"out-{name}"
    if name.endswith("png"):
        kinds = [cv2.IMAGE_METADATA_EXIF, cv2.IMAGE_METADATA_ICCP]
        content = [np.frombuffer(part, np.uint8) for part in (exif().removeprefix(b"Exif\0\0"), PROFILE)]
        source.write_bytes(cv2.imencodeWithMetadata(".png", samples[..., ::-1].copy(), kinds, content)[1].tobytes())
    else:
        tifffile.imwrite(
            source, samples, photometric="rgb", iccprofile=PROFILE, extratags=[(271, 2, 0, "Plaubel", True)]
        )
    assert restore_video(source, target).faces == 1
    ours, theirs = read_image(target), read_image(source)
    np.testing.assert_array_equal(theirs.samples, samples)
    assert ours.samples.dtype == np.uint16
    changed = (ours.samples != samples).any(axis=2)
    assert changed[80:100, 110:130].mean() > 0.5
    assert not changed[:20].any() and not changed[:, :40].any()
    assert ours.profile == PROFILE
    with Image.open(target) as image:
        assert image.getexif()[ExifTags.Base.Make] == "Plaubel"


def test_a_turned_photograph_keeps_its_tag_and_is_restored_upright(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source = save(tmp_path / "a.jpg", photograph(), exif=exif(6), quality=95, subsampling=0)
    for name in ("out.jpg", "out.png", "out.webp"):
        restore_video(source, tmp_path / name)
        with Image.open(tmp_path / name) as ours, Image.open(source) as theirs:
            assert ours.getexif()[ExifTags.Base.Orientation] == (1 if name == "out.png" else 6)
            a, b = (np.asarray(ImageOps.exif_transpose(image)).astype(int) for image in (ours, theirs))
        difference = np.abs(a - b).mean(axis=2)
        assert difference[80:100, 110:130].mean() > 15
        assert difference[200:].mean() < 1.5 and difference[:, :30].mean() < 1.5


def test_a_photograph_without_a_face_comes_out_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = save(tmp_path / "a.jpg", photograph(), exif=exif(3, taken=True))
    result = restore_video(source, tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").read_bytes() == source.read_bytes()
    assert any("no face" in warning for warning in result.warnings)


def test_a_jpeg_is_written_with_the_quantization_of_its_source(tmp_path: Path) -> None:
    source = read_image(save(tmp_path / "a.jpg", photograph(), quality=61, subsampling=2))
    changed = source.samples.copy()
    changed[80:90, 80:90] ^= 32
    write_image(tmp_path / "b.jpg", changed, source)
    again = read_image(tmp_path / "b.jpg")
    assert again.details["qtables"] == source.details["qtables"] and again.details["subsampling"] == 2
    assert np.abs(again.samples[:60].astype(int) - source.samples[:60]).mean() < 0.5


def test_what_a_format_cannot_hold_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = save(tmp_path / "a.png", np.dstack([photograph(), photograph()[..., 0]]))
    assert any("its transparency" in warning for warning in restore_video(source, tmp_path / "a.jpg").warnings)
    source = save(tmp_path / "b.png", deep(photograph()[..., 0]))
    assert any("more than 8 bit" in warning for warning in restore_video(source, tmp_path / "b.webp").warnings)


def test_frames_become_frames_under_their_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source, config = frames(tmp_path / "in", count=9), tmp_path / "short.yaml"
    config.write_text("output: {segment_frames: 4}\n")
    (source / "notes.txt").write_text("not an image")
    seen: list[bool] = []
    result = restore_video(
        source,
        tmp_path / "out",
        config=config,
        progress=lambda stage, done, total: seen.append((tmp_path / "out").exists()),
    )
    assert (result.frames, result.tracks) == (9, 1) and not any(seen[:-1])
    files = image_files(tmp_path / "out")
    assert [path.name for path in files] == [f"shot_{number}.png" for number in range(8, 17)]
    for number, path in enumerate(files):
        changed = (read_image(path).samples != photograph(number)).any(axis=2)
        assert changed[80:100, 110:130].mean() > 0.3
        assert not changed[:20].any() and not changed[:, :40].any()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out", "out.record.zip", "short.yaml"]


def test_frames_become_a_video_and_a_video_becomes_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kit) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = frames(tmp_path / "in")
    restore_video(source, tmp_path / "film.mkv", codec="ffv1", fps="23.976")
    assert kit.times(tmp_path / "film.mkv") == [Fraction(round(Fraction(n * 1001, 24)), 1000) for n in range(6)]
    restore_video(tmp_path / "film.mkv", tmp_path / "again")
    for number, path in enumerate(image_files(tmp_path / "again")):
        assert path.name == f"{number:06d}.png"
        np.testing.assert_array_equal(read_image(path).samples, photograph(number))
    restore_video(source, tmp_path / "film.mp4", pix_fmt="yuv420p", mezzanine=True)
    assert len(kit.times(tmp_path / "film.mp4")) == 6


def test_frames_of_a_deep_turned_video_are_deep_and_upright(kit, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    turn = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    source = kit.clip("a.mp4", pixel_format="yuv420p10le", display_matrix=turn, sound=1, pts=tuple(range(3)))
    result = restore_video(source, kit.folder / "out")
    image = read_image(kit.folder / "out" / "000002.png")
    assert image.samples.shape == (96, 64, 3) and image.deep
    with av.open(str(source)) as container:
        picture = list(container.decode(video=0))[2].to_ndarray(format="rgb24")
    shown = np.rot90(picture, -1).astype(int)
    assert np.abs((image.samples >> 8).astype(int) - shown).mean() < 3
    assert any("audio stream 1" in warning for warning in result.warnings)


def test_a_frame_that_cannot_be_read_is_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source = frames(tmp_path / "in")
    broken = source / "shot_10.png"
    broken.write_bytes(broken.read_bytes()[:5000])
    result = restore_video(source, tmp_path / "out")
    assert result.frames == 6 and any("shot_10.png" in warning for warning in result.warnings)
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "shot_10.png").samples, photograph(1))


def test_pictures_of_their_own_may_be_of_any_size_and_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source = tmp_path / "in"
    source.mkdir()
    save(source / "grandmother.jpg", photograph())
    save(source / "1931.png", np.ascontiguousarray(photograph()[:150]))
    save(source / "scan.tif", deep(photograph()[..., 0]))
    (source / "lost.png").write_bytes(b"\x89PNG\r\n")
    assert not is_sequence(image_files(source)[:1] + image_files(source)[2:])
    result = restore_video(source, tmp_path / "out", images="stills")
    assert (result.frames, result.faces) == (3, 3)
    assert any("lost.png" in warning for warning in result.warnings)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["1931.png", "grandmother.jpg", "scan.tif"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out"]
    restore_video(source, tmp_path / "png", images="stills", image_format="png")
    assert sorted(p.name for p in (tmp_path / "png").iterdir()) == ["1931.png", "grandmother.png", "scan.png"]


def test_a_folder_is_a_sequence_when_it_looks_like_one(tmp_path: Path) -> None:
    source = frames(tmp_path / "in", count=3)
    assert is_sequence(image_files(source))
    camera = tmp_path / "camera"
    camera.mkdir()
    for number in (1, 2, 3):
        save(camera / f"IMG_{number:04d}.jpg", photograph(), exif=exif(taken=True))
    assert not is_sequence(image_files(camera))
    save(source / "shot_9.png", photograph()[:100])
    assert not is_sequence(image_files(source))
    with pytest.raises(InputError, match="--images stills"):
        restore_video(source, tmp_path / "out", images="sequence")
    assert analyze_video(frames(tmp_path / "more"), images="sequence").frame_count == 6


def test_interrupted_pictures_go_on_where_they_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=CENTRE, change=checkered)
    source = frames(tmp_path / "in", count=4)

    def interrupt(stage: str, done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_video(source, tmp_path / "out", images="stills", progress=interrupt)
    assert not (tmp_path / "out").exists()
    done: list[str] = []
    real = StillsJob._restore

    def restore(job: StillsJob, path: Path, *rest: Any) -> Any:
        done.append(path.name)
        return real(job, path, *rest)

    monkeypatch.setattr(StillsJob, "_restore", restore)
    assert restore_video(source, tmp_path / "out", images="stills").frames == 4
    assert done == ["shot_10.png", "shot_11.png"]


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ("a.png", "out.mp4", "ending in one of"),
        ("a.png", "out.gif", "ending in one of"),
        ("in", "out.png", "one image cannot hold"),
        ("in", "out.xyz", "xyz"),
        ("empty", "out", "folder without images"),
        ("cmyk.jpg", "out.jpg", "CMYK"),
        ("moving.webp", "out.webp", "animation"),
        ("torn.png", "out.png", "truncated or damaged"),
        ("in", "full", "not empty"),
        ("a.png", "a.png", "the input itself"),
    ],
)
def test_what_cannot_be_done_with_images_is_said(source: str, target: str, problem: str, tmp_path: Path) -> None:
    frames(tmp_path / "in", count=3)
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").write_text("precious")
    save(tmp_path / "a.png", photograph())
    (tmp_path / "torn.png").write_bytes((tmp_path / "a.png").read_bytes()[:9000])
    Image.fromarray(photograph()).convert("CMYK").save(tmp_path / "cmyk.jpg")
    moving = [Image.fromarray(photograph(number)) for number in range(3)]
    moving[0].save(tmp_path / "moving.webp", save_all=True, append_images=moving[1:])
    before = {path: path.stat().st_size for path in tmp_path.rglob("*")}
    with pytest.raises(InputError, match=problem):
        restore_video(tmp_path / source, tmp_path / target, device="cpu")
    assert {path: path.stat().st_size for path in tmp_path.rglob("*")} == before


def test_a_folder_that_is_there_keeps_its_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch.setattr, centre=None)
    source, target = frames(tmp_path / "in", count=3), tmp_path / "out"
    target.mkdir()
    (target / "precious").write_text("precious")
    restore_video(source, target, overwrite=True)
    assert len(list(target.iterdir())) == 4
    assert (target / "precious").read_text() == "precious"


def test_a_still_image_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder"):
        probe(tmp_path)
