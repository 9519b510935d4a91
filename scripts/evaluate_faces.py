"""Compare face detectors on clips with YuNet at full resolution as the reference: recall, precision, landmarks, time.

python scripts/evaluate_faces.py --detectors cascade retinaface yunet --frames 4 --damage clean medium
python scripts/evaluate_faces.py --landmarks          # the landmark network on held-out aligned crops
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch

from dynface_video.faces.detect import (
    CascadeDetector,
    Detection,
    FaceDetector,
    FaceLocator,
    YuNetDetector,
    overlap_of,
)
from dynface_video.faces.landmarks import LandmarkLocator, Square, face_square
from dynface_video.faces.retinaface import RetinaFaceDetector
from dynface_video.media.display import to_display
from dynface_video.media.probe import probe
from dynface_video.media.read import read_frames
from dynface_video.training.data import FaceSet, load_faces
from dynface_video.training.degradation import STRENGTHS, degrade, evaluation_degradation
from dynface_video.training.labels import steady_landmarks
from dynface_video.training.landmarks import jitter_square

CERTAIN, POSSIBLE = 0.8, 0.4
SAME = 0.4


@dataclass
class Tally:
    """Counts of one detector over many frames."""

    faces: int = 0
    found: int = 0
    reported: int = 0
    wrong: int = 0
    seconds: float = 0.0
    frames: int = 0
    errors: list[float] = field(default_factory=list)

    def add(self, detections: list[Detection], reference: list[Detection], smallest: float) -> None:
        """Count one frame; only faces of `smallest` height and more are asked for."""
        sure = [r for r in reference if r.score >= CERTAIN and r.box[3] - r.box[1] >= smallest]
        boxes = np.array([d.box for d in detections]).reshape(-1, 4)
        if sure:
            shared = overlap_of(np.array([r.box for r in sure]), boxes) if len(boxes) else np.zeros((len(sure), 1))
            hit = shared.max(axis=1) >= SAME
            self.faces, self.found = self.faces + len(sure), self.found + int(hit.sum())
            for face, place in zip(np.flatnonzero(hit), shared[hit].argmax(axis=1), strict=True):
                self.errors.append(landmark_error(detections[place].landmarks, sure[face].landmarks))
        large = boxes[boxes[:, 3] - boxes[:, 1] >= smallest]
        known = np.array([r.box for r in reference]).reshape(-1, 4)
        right = (
            overlap_of(large, known).max(axis=1) >= SAME if len(large) and len(known) else np.zeros(len(large), bool)
        )
        self.reported, self.wrong = self.reported + len(large), self.wrong + int((~right).sum())

    def row(self) -> dict[str, float | int]:
        """The figures; the landmark error is the median share of the eye distance, in percent."""
        return {
            "faces": self.faces,
            "recall": round(self.found / max(self.faces, 1), 3),
            "precision": round(1 - self.wrong / max(self.reported, 1), 3),
            "landmark_error": round(100 * float(np.median(self.errors or [np.nan])), 2),
            "ms_a_frame": round(1000 * self.seconds / max(self.frames, 1), 1),
        }


def landmark_error(points: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance of five points as a share of the eye distance (of a fifth of the face in a profile, if larger)."""
    eyes = float(np.linalg.norm(truth[1] - truth[0]))
    return float(np.linalg.norm(points - truth, axis=1).mean() / max(eyes, 0.2 * face_square(truth).side))


def sample_frames(path: Path, count: int) -> Iterator[np.ndarray]:
    """`count` frames spread over the first two seconds and more of a clip, in display coordinates."""
    info = probe(path)
    wanted = set(np.linspace(0, 49, count).astype(int).tolist())
    for frame in read_frames(info):
        if frame.index in wanted:
            yield to_display(frame.rgb(), info.display)
        if frame.index >= max(wanted):
            return


def damaged(picture: np.ndarray, strength: str, rng: np.random.Generator) -> np.ndarray:
    """A frame under the field's degradation, taken at a quarter of its length: a face is a small part of a frame."""
    if strength == "clean":
        return picture
    height, width = picture.shape[:2]
    drawn = evaluation_degradation(strength, rng)
    small = cv2.GaussianBlur(picture, (0, 0), max(0.3, drawn.blur_x / 4))
    scale = 1 / max(1.0, drawn.downscale / 4)
    small = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    noisy = np.clip(small + rng.normal(0, drawn.noise, small.shape), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, drawn.jpeg or 90])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return cv2.resize(decoded, (width, height), interpolation=cv2.INTER_CUBIC)


def compare(options: argparse.Namespace) -> None:
    """One JSON line a detector and degradation, over all clips; with -v also one a clip."""
    locator = LandmarkLocator.from_folder(options.models / "landmarks")
    teacher = options.data / "detectors" / "yunet_n_640_640.onnx"
    reference = YuNetDetector(teacher, working_size=4096, minimum_size=8, minimum_score=POSSIBLE)
    detectors = {name: make(name, options, locator, teacher) for name in options.detectors}
    tallies = {(name, strength): Tally() for name in detectors for strength in options.damage}
    for path in sorted(p for p in (options.data / "videos").iterdir() if p.suffix in {".mp4", ".mkv", ".mpg"}):
        clip = {key: Tally() for key in tallies}
        for number, picture in enumerate(sample_frames(path, options.frames)):
            truth = reference.detect(picture)
            for strength in options.damage:
                seen = damaged(picture, strength, np.random.default_rng((number, len(strength))))
                for name, detector in detectors.items():
                    began = time.process_time()
                    found = detector.detect(seen)
                    for tally in (clip[name, strength], tallies[name, strength]):
                        tally.seconds += time.process_time() - began
                        tally.frames += 1
                        tally.add(found, truth, options.smallest)
        if options.verbose:
            for (name, strength), tally in clip.items():
                print(json.dumps({"clip": path.name, "detector": name, "damage": strength} | tally.row()), flush=True)
    for (name, strength), tally in tallies.items():
        print(json.dumps({"detector": name, "damage": strength} | tally.row()), flush=True)


def make(name: str, options: argparse.Namespace, locator: LandmarkLocator, teacher: Path) -> FaceDetector:
    """The detector of that name, all at the same working size."""
    size = {"working_size": options.working_size, "minimum_size": 20}
    if name == "cascade":
        return CascadeDetector(cast(FaceLocator, locator), minimum_score=0.5, **size)
    if name == "yunet":
        return YuNetDetector(teacher, minimum_score=0.7, **size)
    return RetinaFaceDetector.from_folder(options.models / "detector", minimum_score=options.score, **size)


def evaluate_landmarks(options: argparse.Namespace) -> None:
    """Errors on held-out aligned crops through wrong boxes, by degradation; truth: many views by YuNet."""
    sets = ("modern_256", "archive_256")
    faces = load_faces(options.data / "faces_train", sets, options.cache)
    truth = many_views(faces, options)
    for looks in (1, 2):
        locator = LandmarkLocator.from_folder(options.models / "landmarks", looks=looks)
        for strength in ("clean", *STRENGTHS):
            rng, errors, inside, scores = np.random.default_rng(5), [], [], []
            for index, points in truth.items():
                picture = faces.images[index]
                if strength != "clean":
                    crop = degrade(picture.astype(np.float32) / 255, evaluation_degradation(strength, rng), rng)
                    picture = np.round(np.clip(crop, 0, 1) * 255).astype(np.uint8)
                square = face_square(points.astype(np.float64))
                box = jitter_square(Square(square.centre, square.side), rng)
                corners = np.concatenate([box.centre - box.side / 2, box.centre + box.side / 2])
                found = locator.locate(picture, corners[None])
                errors.append(landmark_error(found.points[0], points))
                inside.append(float((np.abs(found.points[0] - points) <= found.deviation[0][:, None]).mean()))
                scores.append(float(found.score[0]))
            row = {
                "looks": looks,
                "damage": strength,
                "faces": len(errors),
                "median": round(100 * float(np.median(errors)), 2),
                "p90": round(100 * float(np.percentile(errors, 90)), 2),
                "within": round(float(np.mean(inside)), 3),
                "seen": round(float(np.mean(np.array(scores) > 0.5)), 3),
            }
            print(json.dumps(row), flush=True)


def many_views(faces: FaceSet, options: argparse.Namespace) -> dict[int, np.ndarray]:
    """Landmarks of the held-out crops by the median of 24 views, without the label at hand among many."""
    held_out = np.flatnonzero(faces.held_out)[:: options.every]
    part = FaceSet(*(getattr(faces, f)[held_out] for f in ("images", "corners", "landmarks", "detail", "held_out")))
    teacher = options.data / "detectors" / "yunet_n_640_640.onnx"
    points = steady_landmarks(part, teacher, options.cache / f"held_out_{options.every}.npy", views=24)
    return dict(zip(held_out.tolist(), points, strict=True))


def main() -> None:
    """Parse the command line; compare detectors or measure landmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DYNFACE_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--models", type=Path, default=Path("dynface_video/models/mini"))
    parser.add_argument("--detectors", nargs="+", choices=["cascade", "retinaface", "yunet"], default=["cascade"])
    parser.add_argument("--damage", nargs="+", choices=["clean", *STRENGTHS], default=["clean"])
    parser.add_argument("--frames", type=int, default=4, help="frames looked at in each clip")
    parser.add_argument("--working-size", type=int, default=640)
    parser.add_argument("--score", type=float, default=0.5, help="retinaface: faces below are not reported")
    parser.add_argument("--smallest", type=float, default=40.0, help="height in pixels of the faces asked for")
    parser.add_argument("--landmarks", action="store_true")
    parser.add_argument("--every", type=int, default=2, help="landmarks: every so many held-out crops")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if options.landmarks:
        evaluate_landmarks(options)
    else:
        compare(options)


if __name__ == "__main__":
    main()
