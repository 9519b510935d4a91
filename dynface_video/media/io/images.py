"""Image files: their samples as stored, written again with everything else that the file held.

Pillow reads and writes. Colour of more than 8 bit, which it does not know, goes through FFmpeg (reading), OpenCV (PNG)
and tifffile (TIFF); DPX and OpenEXR have a module of their own; HEIF needs pillow-heif.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import tifffile
from PIL import ExifTags, Image, JpegImagePlugin, UnidentifiedImageError

from dynface_video.errors import InputError
from dynface_video.media.io.container import url
from dynface_video.media.io.files import complete_or_nothing
from dynface_video.media.io.film_scans import film_scan_size, read_film_scan, write_film_scan
from dynface_video.media.io.image_file import (
    FILM_SCANS,
    HEIF_ENDINGS,
    REMEDIES,
    WRITTEN_KINDS,
    ImageFile,
)
from dynface_video.media.io.probe import FULL, ColourInfo
from dynface_video.media.pixels.colour import convert
from dynface_video.media.pixels.sample_arrays import arrays_of, spread

DEEP = ("PNG", "TIFF")
OPAQUE = ("JPEG", "BMP")
# Viewers turn these by their EXIF tag, and others rarely: those are written upright.
TURNED_BY_TAG = ("JPEG", "WEBP")
MODES = {
    "1": "L", "L": "L", "LA": "LA", "La": "LA", "P": "RGB", "PA": "RGBA", "RGB": "RGB", "RGBX": "RGB", "RGBA": "RGBA",
    "RGBa": "RGBA", "I;16": "I;16", "I;16L": "I;16", "I;16B": "I;16",
}  # fmt: skip
LOSSLESS_TIFF = ("raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate")
# TIFF's tags are also its structure: only those that describe the picture go into another file.
DESCRIBING = (
    ExifTags.Base.ImageDescription, ExifTags.Base.Make, ExifTags.Base.Model, ExifTags.Base.Software,
    ExifTags.Base.DateTime, ExifTags.Base.Artist, ExifTags.Base.Copyright,
)  # fmt: skip
EXIF_HEADER = b"Exif\x00\x00"


def read_image(path: Path) -> ImageFile:
    """Read an image file.

    Raises:
        InputError: The file is missing, damaged, an animation, or of an unsupported colour mode.
    """
    try:
        kind = _film_scan_kind(path)
        if kind is not None:
            return read_film_scan(path, kind)
        with _opened(path) as image:
            return _read(path, image)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except UnidentifiedImageError as error:
        raise InputError(_unknown(path)) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, av.FFmpegError) as error:
        raise InputError(f"{path} cannot be read ({error}); is it truncated or damaged?") from error


def image_size(path: Path) -> tuple[int, int]:
    """Read the stored width and height of an image file from its header.

    Raises:
        InputError: The header cannot be read.
    """
    try:
        kind = _film_scan_kind(path)
        if kind is not None:
            return film_scan_size(path, kind)
        with _opened(path) as image:
            return image.size
    except UnidentifiedImageError as error:
        raise InputError(_unknown(path)) from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read ({error}); is it truncated or damaged?") from error


def is_photograph(path: Path) -> bool:
    """Whether EXIF data give the time at which a camera took the picture."""
    try:
        with _opened(path) as image:
            return ExifTags.Base.DateTimeOriginal in image.getexif().get_ifd(ExifTags.IFD.Exif)
    except (OSError, SyntaxError, ValueError, InputError, Image.DecompressionBombError):
        return False


def remedy(path: Path) -> str:
    """What to do about an image file of a kind that is not read; empty for other kinds."""
    if path.suffix.lower() in HEIF_ENDINGS and not _has_heif():
        return "HEIF needs the extra heif: pip install 'dynface-video[heif]'"
    return REMEDIES.get(path.suffix.lower(), "")


def write_image(path: Path, samples: np.ndarray, source: ImageFile) -> tuple[str, ...]:
    """Write samples as an image, with everything else that the source file held.

    Unchanged samples in the same format are copied byte for byte. Formats that viewers do not rotate are written
    upright. A JPEG from a JPEG has the same quantization tables. The file appears only when it is complete.

    Args:
        path: The new file; its ending gives the format.
        samples: Of the shape and type of the source's.
        source: The image that the samples came from.

    Returns:
        What could not be kept, one message each.

    Raises:
        InputError: DPX or OpenEXR from another format.
        OSError: The file cannot be written.
    """
    kind = WRITTEN_KINDS[path.suffix.lower()]
    with complete_or_nothing(path) as partial:
        if kind == source.kind and source.path is not None and np.array_equal(samples, source.samples):
            shutil.copyfile(source.path, partial)
            return ()
        if kind in FILM_SCANS:
            if kind != source.kind:
                raise InputError(f"{path}: {kind} is written only from {kind}; give --image-format png or tif")
            return tuple(
                f"{path.name}: {kind} cannot hold {what}" for what in write_film_scan(partial, samples, source)
            )
        alpha, orientation = source.alpha, source.orientation
        lost = ["its transparency"] if alpha is not None and kind in OPAQUE else []
        alpha = None if kind in OPAQUE else alpha
        if source.deep and kind not in DEEP:
            lost.append("more than 8 bit a sample")
            samples, alpha = (_to_8_bit(samples), None if alpha is None else _to_8_bit(alpha))
        if orientation != 1 and kind != source.kind and kind not in TURNED_BY_TAG:
            samples, alpha = upright(samples, orientation), None if alpha is None else upright(alpha, orientation)
            orientation = 1
        _save(partial, kind, samples, alpha, source, _exif(source, orientation))
        return tuple(f"{path.name}: {kind} cannot hold {what}" for what in lost)


def _opened(path: Path) -> Image.Image:
    if path.suffix.lower() in HEIF_ENDINGS:
        if not _has_heif():
            raise InputError(f"{path}: {remedy(path)}")
        pillow_heif = importlib.import_module("pillow_heif")
        pillow_heif.register_heif_opener()
    return Image.open(path)


def _has_heif() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None


def _film_scan_kind(path: Path) -> str | None:
    if path.suffix.lower() not in (".dpx", ".exr"):
        return None
    with open(path, "rb") as file:
        start = file.read(4)
    kind = {b"SDPX": "DPX", b"XPDS": "DPX", b"\x76\x2f\x31\x01": "EXR"}.get(start)
    if kind is None:
        raise InputError(f"{path} is not a {path.suffix[1:].upper()} file despite its name; is it damaged?")
    return kind


def _unknown(path: Path) -> str:
    known = remedy(path)
    return f"{path} is not an image that can be read; {known or 'is it damaged, or another kind of file?'}"


def upright(samples: np.ndarray, orientation: int) -> np.ndarray:
    """Samples rotated and mirrored by EXIF's orientation, ready to be shown without it."""
    if orientation > 4:
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return np.ascontiguousarray(samples)


def _read(path: Path, image: Image.Image) -> ImageFile:
    kind = image.format or ""
    if getattr(image, "n_frames", 1) > 1 and kind not in ("MPO", "HEIF"):
        raise InputError(f"{path} is an animation or holds several pictures: make a video or single images of it first")
    own = _read_by_ffmpeg(path, image) if kind in ("PPM", "JPEG2000") else None
    if own is not None:
        return own
    # Pillow shows only here, and only before it has read anything, that it will reduce 16 bit to 8.
    tiles = getattr(image, "tile", None)
    deep = tiles is not None and len(tiles) > 0 and ";16" in str(tiles[0].args)
    tags = image.getexif()
    exif = _describing(tags) if kind == "TIFF" else image.info.get("exif", b"")
    orientation = int(tags.get(ExifTags.Base.Orientation, 1))
    orientation = orientation if 1 <= orientation <= 8 else 1
    profile, details = image.info.get("icc_profile") or b"", _details(image)
    samples, alpha = _without_alpha(_samples_of(path, image, orientation, deep=deep))
    # Pillow turns TIFF and HEIF upright by itself.
    orientation = 1 if kind in ("TIFF", "HEIF") else orientation
    # Phones' JPEG files with a second picture count as a format of their own.
    kind = "JPEG" if kind == "MPO" else kind
    return ImageFile(path, kind, samples, alpha, orientation, exif, profile, details=details)


def _samples_of(path: Path, image: Image.Image, orientation: int, *, deep: bool) -> np.ndarray:
    """Samples with transparency as the last channel, uint8 or uint16."""
    mode = MODES.get(image.mode)
    if mode is None:
        raise InputError(f"{path} has colours of the kind {image.mode}; convert it to RGB or grey first")
    if image.has_transparency_data and mode in ("L", "RGB"):
        mode = "LA" if mode == "L" else "RGBA"
    if deep and mode in ("RGB", "RGBA"):
        samples = _read_deep(path)
        return upright(samples, orientation) if image.format == "TIFF" else samples
    bits = image.info.get("bit_depth", 8) if image.format == "HEIF" else 8
    if bits > 8:
        heif = importlib.import_module("pillow_heif").open_heif(path, convert_hdr_to_8bit=False)
        return spread(np.asarray(heif) >> (16 - bits), bits)
    samples = np.asarray(image if mode == image.mode == "I;16" else image.convert(mode))
    return samples.astype(np.uint16 if mode == "I;16" else np.uint8)


def _read_deep(path: Path) -> np.ndarray:
    with av.open(url(path)) as container:
        picture = next(container.decode(video=0))
    has_alpha = any(component.is_alpha for component in picture.format.components)
    return np.asarray(picture.reformat(format="rgba64le" if has_alpha else "rgb48le").to_ndarray())


def _read_by_ffmpeg(path: Path, image: Image.Image) -> ImageFile | None:
    """A Netpbm or JPEG 2000 file of more than 8 bit, of which Pillow would make 8; None for others."""
    kind, tiles = image.format or "", getattr(image, "tile", ())
    if kind == "PPM" and tiles and tiles[0].args[1] <= 255:
        return None
    with av.open(url(path), format="j2k_pipe" if kind == "JPEG2000" else None) as container:
        picture = next(container.decode(video=0))
    bits = picture.format.components[0].bits
    if bits <= 8:
        return None
    if picture.format.name.startswith(("yuv", "xyz")):
        picture = convert(picture, "gbrp16le", ColourInfo(range=FULL))
        bits = 16
    colours, alpha = arrays_of(picture)
    profile = image.info.get("icc_profile") or b""
    return ImageFile(path, kind, spread(colours, bits), None if alpha is None else spread(alpha, bits), profile=profile)


def _without_alpha(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if channels in (2, 4):
        colours = samples[..., 0] if channels == 2 else samples[..., :3]
        return np.ascontiguousarray(colours), np.ascontiguousarray(samples[..., -1])
    return np.ascontiguousarray(samples), None


def _details(image: Image.Image) -> dict[str, Any]:
    """How a file was encoded."""
    details: dict[str, Any] = {
        key: image.info[key] for key in ("dpi", "xmp", "comment", "progressive") if key in image.info
    }
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        sampling = JpegImagePlugin.get_sampling(image)
        details |= {"qtables": image.quantization, "subsampling": sampling if sampling >= 0 else 0}
    if image.info.get("compression") in LOSSLESS_TIFF:
        details["compression"] = image.info["compression"]
    return details


def _describing(tags: Image.Exif) -> bytes:
    kept = Image.Exif()
    for tag in DESCRIBING:
        if tag in tags:
            kept[tag] = tags[tag]
    return kept.tobytes() if len(kept) else b""


def _exif(source: ImageFile, orientation: int) -> bytes:
    if orientation == source.orientation or not source.exif:
        return source.exif
    tags = Image.Exif()
    tags.load(source.exif)
    tags[ExifTags.Base.Orientation] = orientation
    return tags.tobytes()


def _to_8_bit(samples: np.ndarray) -> np.ndarray:
    return ((samples.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _save(path: Path, kind: str, samples: np.ndarray, alpha: np.ndarray | None, source: ImageFile, exif: bytes) -> None:
    if alpha is not None:
        samples = np.dstack([samples, alpha])
    if samples.dtype == np.uint16 and samples.ndim == 3:
        (_save_deep_png if kind == "PNG" else _save_deep_tiff)(path, samples, source, exif)
        return
    options = _options(kind, source)
    if exif and kind != "BMP":
        options["exif"] = exif
    if source.profile and kind != "BMP":
        options["icc_profile"] = source.profile
    Image.fromarray(samples).save(path, format=kind, **options)


def _options(kind: str, source: ImageFile) -> dict[str, Any]:
    details = source.details
    options = {key: details[key] for key in ("dpi",) if key in details}
    if kind in ("JPEG", "WEBP") and "xmp" in details:
        options["xmp"] = details["xmp"]
    if kind == "JPEG":
        own = ("qtables", "subsampling", "comment", "progressive") if "qtables" in details else ()
        return options | ({key: details[key] for key in own if key in details} or {"quality": 95, "subsampling": 0})
    if kind == "WEBP":
        return options | ({"quality": 95} if source.kind == "JPEG" else {"lossless": True, "exact": True})
    if kind == "TIFF":
        return options | {"compression": details.get("compression", "tiff_adobe_deflate")}
    return options


def _save_deep_png(path: Path, samples: np.ndarray, source: ImageFile, exif: bytes) -> None:
    order = [2, 1, 0, 3] if samples.shape[2] == 4 else [2, 1, 0]
    extras = {cv2.IMAGE_METADATA_EXIF: exif.removeprefix(EXIF_HEADER), cv2.IMAGE_METADATA_ICCP: source.profile}
    extras = {kind: content for kind, content in extras.items() if content}
    done, data = cv2.imencodeWithMetadata(
        ".png",
        np.ascontiguousarray(samples[..., order]),
        list(extras),
        [np.frombuffer(content, np.uint8) for content in extras.values()],
    )
    if not done:
        raise OSError(f"{path} could not be encoded")
    path.write_bytes(data.tobytes())


def _save_deep_tiff(path: Path, samples: np.ndarray, source: ImageFile, exif: bytes) -> None:
    described = Image.Exif()
    if exif:
        described.load(exif)
    tags = [(int(tag), 2, 0, str(described[tag]), True) for tag in DESCRIBING if tag in described]
    tifffile.imwrite(
        path,
        samples,
        photometric="rgb",
        extrasamples=["unassalpha"] if samples.shape[2] == 4 else None,
        compression="zlib",
        iccprofile=source.profile or None,
        extratags=tags,
        metadata=None,
    )
