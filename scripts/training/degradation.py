"""Synthetic degradation: `y = JPEG_q((x * k) down r + noise) up r` and what old film and codecs add.

The field's protocol (CodeFormer, DifFace; docs/method.md 7) is stated at 512 pixels. `Degradation` is stated at 512 too
and scaled to the crop it is applied to, so that one description means the same picture at every resolution.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import cast

import cv2
import numpy as np

from dynface_video.faces.colour import LUMINANCE
from training.damage import damage_picture

REFERENCE = 512


@dataclass(frozen=True)
class Degradation:
    """What happens to a clean crop. Lengths are pixels at 512.

    blur_x, blur_y: standard deviations of the Gaussian along its axes; angle: of the first axis, radians
    downscale: r, the factor by which the crop is shrunk
    noise:     standard deviation, levels of 255, added at the small size
    grain:     share of that noise that is luminance only (film) rather than per channel
    jpeg:      quality 1-100 at the small size, or None
    codec:     (FFmpeg encoder, quantiser) of one intra frame at the small size, or None
    gamma, grey: exposure and whether colour is lost
    damage:    whether the film is scratched, dusty or stained (training.damage), seen at the small size
    """

    blur_x: float
    blur_y: float
    angle: float
    downscale: float
    noise: float
    grain: float = 0.0
    jpeg: int | None = None
    codec: tuple[str, int] | None = None
    gamma: float = 1.0
    grey: bool = False
    damage: bool = False


STRENGTHS: dict[str, dict[str, tuple[float, float]]] = {
    "mild": {"blur": (1.0, 4.0), "downscale": (2.0, 4.0), "noise": (4, 10), "jpeg": (60, 90)},
    "medium": {"blur": (3.0, 8.0), "downscale": (4.0, 10.0), "noise": (6, 15), "jpeg": (45, 75)},
    "severe": {"blur": (7.0, 15.0), "downscale": (8.0, 20.0), "noise": (8, 20), "jpeg": (30, 60)},
}
"""Three thirds of the protocol's range (sigma 0.1-15, r 0.8-32, noise 0-20, JPEG 30-100), for evaluation."""

LARGE_FACE_STRENGTHS: dict[str, Degradation] = {
    "mild": Degradation(blur_x=1.5, blur_y=1.5, angle=0.0, downscale=2.0, noise=4.0, jpeg=75),
    "medium": Degradation(blur_x=3.0, blur_y=3.0, angle=0.0, downscale=4.0, noise=8.0, jpeg=60),
    "severe": Degradation(blur_x=6.0, blur_y=6.0, angle=0.0, downscale=8.0, noise=12.0, jpeg=50),
}
"""One fixed degradation a strength, for evaluating faces of 512 pixels: ranges would hide what a network gains."""

MILD_SHARE = 0.35
"""Of the degradations of the local stages: blur, shrink and noise in the mildest quarter of the protocol's range."""
DAMAGED_SHARE = 0.2
NEARLY_SHARP_SHARE = 0.12
"""Share of the local stages' degradations that hardly change a crop: RM has to leave sharp faces as they are."""


def evaluation_degradation(strength: str, rng: np.random.Generator) -> Degradation:
    """A degradation of the field's protocol, of one of `STRENGTHS`."""
    spans = STRENGTHS[strength]
    blur = rng.uniform(*spans["blur"])
    ratio = rng.uniform(0.7, 1.4) if rng.random() < 0.5 else 1.0
    return Degradation(
        blur_x=blur,
        blur_y=blur * ratio,
        angle=rng.uniform(0, np.pi),
        downscale=float(np.exp(rng.uniform(*np.log(spans["downscale"])))),
        noise=rng.uniform(*spans["noise"]),
        jpeg=int(rng.uniform(*spans["jpeg"])),
    )


def training_degradation(rng: np.random.Generator) -> Degradation:
    """A degradation from the whole range that training covers: the protocol, real codecs, film grain, fading."""
    blur = float(np.exp(rng.uniform(np.log(0.4), np.log(16.0))))
    compression = rng.random()
    return Degradation(
        blur_x=blur,
        blur_y=blur * (float(np.exp(rng.normal(0, 0.35))) if rng.random() < 0.5 else 1.0),
        angle=rng.uniform(0, np.pi),
        downscale=float(np.exp(rng.uniform(np.log(0.8), np.log(26.0)))),
        noise=rng.uniform(0, 20) if rng.random() < 0.85 else 0.0,
        grain=rng.uniform(0, 1) if rng.random() < 0.4 else 0.0,
        jpeg=int(rng.uniform(28, 98)) if compression < 0.5 else None,
        codec=random_codec(rng) if compression > 0.7 else None,
        gamma=float(np.exp(rng.normal(0, 0.05))) if rng.random() < 0.2 else 1.0,
        grey=rng.random() < 0.1,
    )


def local_degradation(rng: np.random.Generator) -> Degradation:
    """A degradation for the stages that read their source at its own size.

    `training_degradation` without its changes of colour, which the pipeline treats apart, and with many more mild ones:
    a face that is nearly sharp has to stay what it is. Some of it is damaged film.
    """
    d = damaged_film(replace(training_degradation(rng), gamma=1.0, grey=False), rng)
    kind = rng.random()
    if kind < NEARLY_SHARP_SHARE:
        blur = rng.uniform(0.1, 0.9)
        quality = int(rng.uniform(80, 99)) if rng.random() < 0.7 else None
        return replace(d, blur_x=blur, blur_y=blur, downscale=float(rng.uniform(0.8, 1.2)), noise=rng.uniform(0, 3),
                       jpeg=quality, codec=None, damage=False)  # fmt: skip
    if kind >= NEARLY_SHARP_SHARE + MILD_SHARE:
        return d
    blur = float(np.exp(rng.uniform(np.log(0.3), np.log(3.0))))
    compression = rng.random()
    return replace(
        d,
        blur_x=blur,
        blur_y=blur * (float(np.exp(rng.normal(0, 0.2))) if rng.random() < 0.5 else 1.0),
        downscale=float(np.exp(rng.uniform(np.log(0.8), np.log(4.0)))),
        noise=rng.uniform(0, 8) if rng.random() < 0.7 else 0.0,
        jpeg=int(rng.uniform(55, 98)) if compression < 0.55 else None,
        codec=("libx264", int(rng.integers(14, 30))) if compression > 0.8 else None,
    )


def damaged_film(degradation: Degradation, rng: np.random.Generator) -> Degradation:
    """The degradation with scratches, dust and stains, `DAMAGED_SHARE` of the time."""
    return replace(degradation, damage=rng.random() < DAMAGED_SHARE)


def random_codec(rng: np.random.Generator) -> tuple[str, int]:
    """An encoder and a quantiser for it."""
    encoder = str(rng.choice(["libx264", "mpeg4", "mpeg2video"]))
    return encoder, int(rng.integers(22, 42) if encoder == "libx264" else rng.integers(3, 20))


def degrade(crop: np.ndarray, degradation: Degradation, rng: np.random.Generator) -> np.ndarray:
    """Degrade a clean crop.

    crop: (R, R, 3) float32 in [0, 1]; returns the same shape and range, 8-bit quantised where the chain is.
    """
    return enlarge(degrade_small(crop, degradation, rng), crop.shape[0])


def degrade_small(crop: np.ndarray, degradation: Degradation, rng: np.random.Generator) -> np.ndarray:
    """`degrade` before its enlargement: (R, R, 3) float32 in [0, 1] to (r, r, 3) uint8 with 8 <= r <= R."""
    size = crop.shape[0]
    d = at_scale(degradation, size / REFERENCE)
    small_size = max(8, round(size / max(d.downscale, 1.0)))
    small = cv2.resize(_blur(crop, d), (small_size, small_size), interpolation=cv2.INTER_AREA)
    small = np.clip(small, 0, 1) ** np.float32(d.gamma)
    if d.grey:
        small = np.repeat((small @ LUMINANCE)[..., None], 3, axis=2)
    if d.damage:
        small, _ = damage_picture(small, rng)
    small = np.clip(small + _noise(small.shape, d, rng), 0, 1)
    levels = np.round(small * 255).astype(np.uint8)
    if d.jpeg is not None:
        levels = _jpeg(levels, d.jpeg)
    if d.codec is not None:
        levels = codec_round_trip(levels, *d.codec)
    return levels


def enlarge(levels: np.ndarray, size: int, interpolation: int = cv2.INTER_CUBIC) -> np.ndarray:
    """Bring a small picture, (r, r, 3) uint8, to the crop's size: (size, size, 3) float32 in [0, 1]."""
    return cv2.resize(levels, (size, size), interpolation=interpolation).astype(np.float32) / 255


def at_scale(d: Degradation, scale: float) -> Degradation:
    """The degradation in pixels of a crop; scale: its side over `REFERENCE`."""
    # Below one output pixel a shrink leaves no trace in the crop but averages the noise that came before it.
    downscale = d.downscale * scale
    return replace(
        d,
        blur_x=d.blur_x * scale,
        blur_y=d.blur_y * scale,
        downscale=max(downscale, 1.0),
        noise=d.noise * min(1.0, max(downscale, 0.25)),
    )


def _blur(crop: np.ndarray, d: Degradation) -> np.ndarray:
    if max(d.blur_x, d.blur_y) < 0.2:
        return crop
    if d.blur_x == d.blur_y:
        return cv2.GaussianBlur(crop, (0, 0), d.blur_x, borderType=cv2.BORDER_REFLECT)
    radius = int(np.ceil(3 * max(d.blur_x, d.blur_y)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
    c, s = np.cos(d.angle), np.sin(d.angle)
    u, v = (c * x + s * y) / max(d.blur_x, 0.2), (c * y - s * x) / max(d.blur_y, 0.2)
    kernel = np.exp(-(u**2 + v**2) / 2)
    return cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)


def _noise(shape: tuple[int, ...], d: Degradation, rng: np.random.Generator) -> np.ndarray:
    colour = rng.standard_normal(shape, dtype=np.float32) * (1 - d.grain)
    film = rng.standard_normal((*shape[:2], 1), dtype=np.float32) * d.grain
    return (colour + film) * np.float32(d.noise / 255)


def _jpeg(levels: np.ndarray, quality: int) -> np.ndarray:
    _, data = cv2.imencode(".jpg", levels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[:, :, ::-1]


def codec_round_trip(levels: np.ndarray, encoder: str, quantiser: int) -> np.ndarray:
    """One intra frame through a real video encoder at a fixed quantiser; (H, W, 3) uint8 in and out."""
    return codec_clip(levels[None], encoder, quantiser, preset="ultrafast")[0]


def codec_clip(levels: np.ndarray, encoder: str, quantiser: int, *, preset: str = "veryfast") -> np.ndarray:
    """A clip, (T, H, W, 3) uint8, through a real video encoder at a fixed quantiser, with prediction between frames.

    preset: of libx264, by its own names
    """
    import av
    from av.video.stream import VideoStream

    height, width = levels.shape[1:3]
    padded = np.pad(levels, ((0, 0), (0, -height % 16), (0, -width % 16), (0, 0)), mode="edge")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="nut") as container:
        stream = cast(VideoStream, container.add_stream(encoder, rate=25))
        stream.width, stream.height, stream.pix_fmt = padded.shape[2], padded.shape[1], "yuv420p"
        if encoder == "libx264":
            stream.options = {"qp": str(quantiser), "preset": preset}
        else:
            stream.codec_context.qmin = stream.codec_context.qmax = quantiser
        stream.codec_context.thread_count = 1
        for number, picture in enumerate(padded):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as source:
        decoded = [frame.to_ndarray(format="rgb24") for frame in source.decode(video=0)]
    return np.stack(decoded)[:, :height, :width]
