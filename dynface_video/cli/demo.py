"""`dynface-video demo`: make a clip, damage it, restore it, and measure the gain and the time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from dynface_video.cli.demo_clip import (
    FRAMES,
    DemoDamage,
    clean_frame,
    damaged_frame,
    landmarks,
    melody,
    photograph,
    write_clip,
)
from dynface_video.cli.summary import crops_drawn
from dynface_video.errors import OVERWRITE, InputError
from dynface_video.metrics.fidelity import log_spectrum_distance, psnr, ssim

if TYPE_CHECKING:
    from dynface_video.jobs.task import Progress
    from dynface_video.results import RestoreResult

FACE_SIZE = 128
SEED = 0
SHOWN_CRF = 16
LABEL = 24


@dataclass(frozen=True)
class FaceFidelity:
    """Means over the clip, on the aligned face at 128 pixels, against the clean clip."""

    psnr: float
    ssim: float
    log_spectrum_distance: float


@dataclass(frozen=True)
class DemoResult:
    """What the demo wrote, the fidelity of the face before and after, wall times by stage in seconds, and warnings."""

    degraded_path: Path
    restored_path: Path
    side_by_side_path: Path
    frames: int
    faces: int
    drawn_faces: int
    unet_evaluations: int
    degraded: FaceFidelity
    restored: FaceFidelity
    seconds: dict[str, float]
    warnings: tuple[str, ...]

    def table(self) -> str:
        """The result as text."""
        lines = [f"{'face against the clean clip':<30}{'PSNR, dB':>10}{'SSIM':>10}{'log-spectrum distance':>24}"]
        for name, face in (("degraded", self.degraded), ("restored", self.restored)):
            lines.append(f"{name:<30}{face.psnr:>10.2f}{face.ssim:>10.3f}{face.log_spectrum_distance:>24.3f}")
        lines += ["", f"{'stage':<30}{'seconds':>10}"]
        lines += [f"{stage:<30}{seconds:>10.1f}" for stage, seconds in self.seconds.items()]
        lines.append(f"{'all':<30}{sum(self.seconds.values()):>10.1f}")
        lines += ["", f"{self.frames} frames, {crops_drawn(self.faces, self.drawn_faces)}"]
        lines += [str(path) for path in (self.degraded_path, self.restored_path, self.side_by_side_path)]
        lines.append("next: play the last of them, then try your own: dynface-video restore VIDEO -o RESTORED")
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON data."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}


def run_demo(
    out: Path,
    *,
    progress: Progress | None = None,
    preset: str = "mini",
    device: str = "auto",
    overwrite: bool = False,
) -> DemoResult:
    """Write degraded.mp4, restored.mp4 and side_by_side.mp4.

    Args:
        out: Folder for the three, created if it does not exist.
        progress: As of `restore_video`.
        preset: Models and settings.
        device: Of the networks, see `dynface_video.device`.
        overwrite: Replace existing files.

    Returns:
        What was written and measured.

    Raises:
        InputError: One of the three exists and `overwrite` is false, or the folder cannot be written.
    """
    degraded, restored, side_by_side = (out / f"{name}.mp4" for name in ("degraded", "restored", "side_by_side"))
    existing = [str(path) for path in (degraded, restored, side_by_side) if path.exists()]
    if existing and not overwrite:
        raise InputError(f"{', '.join(existing)} already exist; choose another folder (--output) or {OVERWRITE}")
    _make_folder(out)

    from dynface_video.api import restore_video

    seconds: dict[str, float] = {}

    began = time.perf_counter()
    clean = make_clips(degraded)
    seconds["making the clip"] = time.perf_counter() - began

    # The job of an interrupted demo may be of another version, and resuming it would save little.
    result: RestoreResult = restore_video(
        degraded, restored, preset=preset, progress=progress, overwrite=overwrite, resume=False, device=device
    )
    seconds |= result.seconds

    began = time.perf_counter()
    before, after = (face_fidelity(read_pictures(path), clean) for path in (degraded, restored))
    write_side_by_side(side_by_side, clean, degraded, restored)
    seconds["measuring and comparing"] = time.perf_counter() - began
    return DemoResult(
        degraded_path=degraded,
        restored_path=restored,
        side_by_side_path=side_by_side,
        frames=result.frames,
        faces=result.faces,
        drawn_faces=result.drawn_faces,
        unet_evaluations=result.unet_evaluations,
        degraded=before,
        restored=after,
        seconds=seconds,
        warnings=tuple(result.warnings),
    )


def make_clips(degraded: Path, damage: DemoDamage | None = None) -> list[np.ndarray]:
    """Write the damaged clip with its sound track; returns the clean frames, (H, W, 3) uint8 RGB each."""
    damage = damage or DemoDamage()
    picture = photograph()
    clean = [clean_frame(picture, index) for index in range(FRAMES)]
    damaged = (damaged_frame(frame, index, damage, SEED) for index, frame in enumerate(clean))
    write_clip(degraded, damaged, crf=damage.crf, sound=melody())
    return clean


def read_pictures(path: Path) -> Iterator[np.ndarray]:
    """Every frame of a clip, (H, W, 3) uint8 RGB."""
    from dynface_video.media.io.probe import probe
    from dynface_video.media.io.read import read_frames

    return (frame.rgb() for frame in read_frames(probe(path)))


def face_fidelity(pictures: Iterable[np.ndarray], clean: Iterable[np.ndarray]) -> FaceFidelity:
    """How close the faces of a clip's frames are to those of the clean clip, both (H, W, 3) uint8 RGB.

    The face is where the demo's camera put it: neither clip's own detection decides what is measured.
    """
    scores = []
    for index, (picture, truth) in enumerate(zip(pictures, clean, strict=True)):
        face, true_face = _face(picture, index), _face(truth, index)
        scores.append((psnr(face, true_face), ssim(face, true_face), log_spectrum_distance(face, true_face)))
    return FaceFidelity(*(float(mean) for mean in np.mean(scores, axis=0)))


def write_side_by_side(path: Path, clean: Iterable[np.ndarray], degraded: Path, restored: Path) -> None:
    """One clip with the three beside each other, labelled, and the melody."""
    rows = zip(clean, read_pictures(degraded), read_pictures(restored), strict=True)
    write_clip(path, (_labelled(row) for row in rows), crf=SHOWN_CRF, sound=melody())


def _face(picture: np.ndarray, index: int) -> np.ndarray:
    from dynface_video.faces.align import align_transform, extract_crop

    return extract_crop(picture, align_transform(landmarks(index), FACE_SIZE), FACE_SIZE)


def _labelled(row: tuple[np.ndarray, ...]) -> np.ndarray:
    panels = []
    for text, picture in zip(("clean", "degraded", "restored"), row, strict=True):
        label = np.full((LABEL, picture.shape[1], 3), 20, np.uint8)
        cv2.putText(label, text, (6, LABEL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
        panels.append(np.concatenate([label, picture]))
    return np.concatenate(panels, axis=1)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {out} cannot be created ({error.strerror}); choose another with --out") from error
    if not os.access(out, os.W_OK):
        raise InputError(f"the folder {out} cannot be written to; choose another with --out")
