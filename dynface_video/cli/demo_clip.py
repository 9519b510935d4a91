"""The demo's clip: a camera moves over a real photograph to a small melody; then bad optics and a real codec.

The photograph is NASA's portrait of Eileen Collins (public domain) that scikit-image ships. Because the camera is ours,
the face's place in every frame is known exactly, and so is the clean clip.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from av.video.stream import VideoStream

FRAME_RATE = 25
FRAMES = 75
WIDTH, HEIGHT = 352, 288
SAMPLE_RATE = 44100
PHOTOGRAPH_LANDMARKS = ((203.4, 103.6), (247.5, 104.4), (224.1, 127.7), (204.0, 143.1), (242.9, 143.7))
"""Five points of the face in the photograph (x, y), as YuNet finds them."""

MELODY = (523.25, 659.25, 783.99, 1046.50, 783.99, 659.25, 587.33, 523.25)
BT601 = 6
LIMITED_RANGE = 1


@dataclass(frozen=True)
class DemoDamage:
    """What the clip goes through. blur: Gaussian, pixels; shrink: factor; noise: levels of 255; crf: of H.264."""

    blur: float = 1.5
    shrink: float = 2.0
    noise: float = 7.0
    crf: int = 28


def photograph() -> np.ndarray:
    """The portrait, (512, 512, 3) uint8 RGB; read from the installed scikit-image, no network."""
    from skimage.data import astronaut

    return np.asarray(astronaut())


def camera(index: int) -> np.ndarray:
    """Where the camera looks in a frame: (2, 3) float64, photograph pixels (x, y) to frame pixels.

    Slow pan and zoom, a slight roll, and the tremble of a hand.
    """
    time = index / (FRAMES - 1)
    eased = (1 - np.cos(np.pi * time)) / 2
    zoom = 0.76 + 0.19 * eased
    roll = np.deg2rad(2.5 * np.sin(2 * np.pi * time))
    tremble = 0.6 * np.array([np.sin(0.9 * index), np.sin(1.3 * index + 1)])
    centre = np.array([268.0, 204.0]) * (1 - eased) + np.array([226.0, 172.0]) * eased
    c, s = zoom * np.cos(roll), zoom * np.sin(roll)
    linear = np.array([[c, -s], [s, c]])
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    return np.column_stack([linear, middle - linear @ centre + tremble])


def landmarks(index: int) -> np.ndarray:
    """The face's five points in a frame, (5, 2) float64 (x, y)."""
    transform = camera(index)
    return np.asarray(np.array(PHOTOGRAPH_LANDMARKS) @ transform[:, :2].T + transform[:, 2])


def clean_frame(picture: np.ndarray, index: int) -> np.ndarray:
    """The camera's view of the photograph, (288, 352, 3) uint8 RGB."""
    transform = camera(index)
    zoom = float(np.sqrt(np.linalg.det(transform[:, :2])))
    # The view is smaller than the photograph: what it cannot hold must go first, or it flickers as it moves.
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.5 * float(np.sqrt(max(zoom**-2 - 1, 0.04))))
    return cv2.warpAffine(smooth, transform, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)


def damaged_frame(frame: np.ndarray, index: int, damage: DemoDamage, seed: int) -> np.ndarray:
    """Blur, shrink, fresh noise, enlarge; (H, W, 3) uint8 in and out. The codec comes after, in `write_clip`."""
    height, width = frame.shape[:2]
    blurred = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), damage.blur)
    size = (round(width / damage.shrink), round(height / damage.shrink))
    small = cv2.resize(blurred, size, interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng([seed, index]).standard_normal(small.shape, dtype=np.float32)
    noisy = np.clip(small + noise * np.float32(damage.noise), 0, 255)
    enlarged = cv2.resize(noisy, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.rint(np.clip(enlarged, 0, 255)).astype(np.uint8)


def melody() -> np.ndarray:
    """The sound track, (1, N) float32 in [-1, 1] at 44.1 kHz, as long as the clip."""
    samples = FRAMES * SAMPLE_RATE // FRAME_RATE
    note = samples // len(MELODY)
    time = np.arange(note) / SAMPLE_RATE
    envelope = np.minimum(time / 0.01, 1) * np.exp(-4 * time)
    tones = [envelope * (np.sin(2 * np.pi * f * time) + 0.3 * np.sin(4 * np.pi * f * time)) for f in MELODY]
    sound = np.concatenate([*tones, np.zeros(samples - note * len(MELODY))])
    return (0.5 * sound[None]).astype(np.float32)


def write_clip(path: Path, frames: Iterable[np.ndarray], *, crf: int, sound: np.ndarray | None) -> None:
    """Encode (H, W, 3) uint8 RGB frames of even size as H.264 at 25 frames a second, with AAC where there is sound."""
    import av

    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE)
        audio = container.add_stream("aac", rate=SAMPLE_RATE) if sound is not None else None
        if audio is not None:
            audio.layout = "mono"
        for number, rgb in enumerate(frames):
            if number == 0:
                _set_up(video, rgb, crf)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame = frame.reformat(format="yuv420p", dst_colorspace=BT601, dst_color_range=LIMITED_RANGE)
            frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None and sound is not None:
            tone = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
            tone.sample_rate, tone.pts = SAMPLE_RATE, 0
            container.mux(audio.encode(tone))
            container.mux(audio.encode(None))


def _set_up(video: VideoStream, rgb: np.ndarray, crf: int) -> None:
    video.height, video.width = rgb.shape[:2]
    video.pix_fmt = "yuv420p"
    video.options = {"crf": str(crf), "preset": "veryfast"}
    context = video.codec_context
    # The picture is converted with these; without them in the file a player guesses by the picture's size.
    context.colorspace = context.color_primaries = context.color_trc = BT601
    context.color_range = LIMITED_RANGE
    context.thread_count = 1
