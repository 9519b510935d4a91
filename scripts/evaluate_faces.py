"""Evaluate how faces are found and followed; one JSON line a result.

python scripts/evaluate_faces.py --detectors retinaface yunet --damage clean medium   # clips, against YuNet
python scripts/evaluate_faces.py --detectors retinaface --by                                  # by size and turn
python scripts/evaluate_faces.py --detectors retinaface --curve                               # by minimum score
python scripts/evaluate_faces.py --scenes             # the same on held-out scenes that no network was trained on
python scripts/evaluate_faces.py --landmarks          # the landmark network on held-out aligned crops
python scripts/evaluate_faces.py --tracks             # following faces in made clips whose truth is known
python scripts/evaluate_faces.py --clips              # following faces in real clips, against YuNet in every frame
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import torch

from dynface_video.config import DetectionSettings
from dynface_video.faces.detection.boxes import overlaps
from dynface_video.faces.detection.detector import Detection, FaceDetector, FaceLocator
from dynface_video.faces.detection.factory import make_detector
from dynface_video.faces.detection.retinaface import RetinaFaceDetector
from dynface_video.faces.detection.yunet import YuNetDetector
from dynface_video.faces.landmark_locator import LandmarkLocator
from dynface_video.faces.landmarks import Square, box_from_landmarks, face_square
from dynface_video.media.io.probe import probe
from dynface_video.media.io.read import read_frames
from dynface_video.media.pixels.display import to_display
from dynface_video.media.timing.shots import ShotDetector
from dynface_video.tracking.observation import FaceTrack, Observation
from dynface_video.tracking.orientation import TurningTracker, turned, turned_back
from dynface_video.tracking.post_processing import post_process_tracks
from dynface_video.tracking.track_filter import turn_of
from evaluation.face_scenes import KINDS, Head, degraded_clip, degraded_frame, make_scene
from evaluation.track_measures import TrackScores, jitter, landmark_error, lies_on, score_tracks
from training.data import FaceSet, load_faces
from training.degradation import STRENGTHS, degrade, evaluation_degradation
from training.labels import steady_landmarks
from training.landmarks import jitter_square
from training.scenes import load_scenes

TURNS = ((0, 20), (20, 40), (40, 91))
CERTAIN, POSSIBLE = 0.8, 0.4
SAME = 0.4
EVERY = 3
"""Interval, in frames, at which the reference detector runs on a clip."""


@dataclass
class Tally:
    """Counts of one detector over many frames; faces outside `sizes` (height) or `turns` (degrees) are ignored."""

    sizes: tuple[float, float] = (40.0, np.inf)
    turns: tuple[float, float] = (0.0, 91.0)
    faces: int = 0
    found: int = 0
    covered: int = 0
    reported: int = 0
    wrong: int = 0
    seconds: float = 0.0
    frames: int = 0
    errors: list[float] = field(default_factory=list)

    def asks_for(self, face: Detection) -> bool:
        """Whether a face of the reference counts."""
        tall, turn = float(face.box[3] - face.box[1]), float(turn_of(face.landmarks))
        return self.sizes[0] <= tall < self.sizes[1] and self.turns[0] <= turn < self.turns[1]

    def add(self, detections: list[Detection], reference: list[Detection]) -> None:
        """Count one frame."""
        sure = [r for r in reference if r.score >= CERTAIN and self.asks_for(r)]
        boxes = np.array([d.box for d in detections]).reshape(-1, 4)
        if sure:
            shared = overlaps(np.array([r.box for r in sure]), boxes) if len(boxes) else np.zeros((len(sure), 1))
            hit = shared.max(axis=1) >= SAME
            self.faces, self.found = self.faces + len(sure), self.found + int(hit.sum())
            on = lies_on(np.array([d.landmarks for d in detections]), np.array([r.landmarks for r in sure]))
            self.covered += int(on.sum())
            for face, place in zip(np.flatnonzero(hit), shared[hit].argmax(axis=1), strict=True):
                self.errors.append(landmark_error(detections[place].landmarks, sure[face].landmarks))
        counted = np.array([d.box for d in detections if self.asks_for(d)]).reshape(-1, 4)
        known = np.array([r.box for r in reference]).reshape(-1, 4)
        right = overlaps(counted, known).max(axis=1, initial=0) >= SAME
        self.reported, self.wrong = self.reported + len(counted), self.wrong + int((~right).sum())

    def row(self) -> dict[str, float | int]:
        """The figures; the landmark error is the median share of the eye distance, in percent.

        A face is found by a box that overlaps its own by `SAME`, covered by landmarks whose middle lies on it: five
        points of a profile lie so close together that the box around them is small.
        """
        return {
            "faces": self.faces,
            "recall": round(self.found / max(self.faces, 1), 3),
            "coverage": round(self.covered / max(self.faces, 1), 3),
            "precision": round(1 - self.wrong / max(self.reported, 1), 3),
            "landmark_error": round(100 * float(np.median(self.errors or [np.nan])), 2),
            "ms_a_frame": round(1000 * self.seconds / max(self.frames, 1), 1),
        }


def sample_frames(path: Path, count: int, *, every: bool = False) -> Iterator[np.ndarray]:
    """`count` frames of a clip in display coordinates: the first ones, or spread over the first fifty."""
    info = probe(path)
    wanted = set(range(count) if every else np.linspace(0, 49, count).astype(int).tolist())
    for frame in read_frames(info):
        if frame.index in wanted:
            yield to_display(frame.rgb(), info.display)
        if frame.index >= max(wanted):
            return


def damaged(picture: np.ndarray, strength: str, rng: np.random.Generator) -> np.ndarray:
    """A frame under the field's degradation."""
    return picture if strength == "clean" else degraded_frame(picture, evaluation_degradation(strength, rng), rng)


def teacher(options: argparse.Namespace) -> YuNetDetector:
    """YuNet at full resolution: the reference."""
    path = options.data / "detectors" / "yunet_n_640_640.onnx"
    return YuNetDetector(path, working_size=4096, minimum_size=8, minimum_score=POSSIBLE)


def pictures(options: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, list[Detection]]]:
    """(name, picture, faces of the reference) of the clips, or of the held-out scenes."""
    if options.scenes:
        for scene in load_scenes(options.data / "faces_train"):
            if scene.held_out:
                found = zip(scene.boxes, scene.landmarks, strict=True)
                yield "scenes", scene.picture, [Detection(b, p, np.ones(5, np.float32), 1.0) for b, p in found]
        return
    reference = teacher(options)
    for path in clips(options):
        turn = upright(next(sample_frames(path, 1)), reference)
        for picture in sample_frames(path, options.frames):
            standing = turned(picture, turn)
            yield path.name, standing, reference.detect(standing)


def upright(picture: np.ndarray, reference: FaceDetector) -> int:
    """Quarter turns that stand a picture's faces upright; as displayed, unless the reference sees twice as much."""
    seen = [sum(face.score for face in reference.detect(turned(picture, turn))) for turn in range(4)]
    return int(np.argmax(seen)) if max(seen) > 2 * seen[0] else 0


def clips(options: argparse.Namespace) -> list[Path]:
    """The clips, by name."""
    return sorted(p for p in (options.data / "videos").iterdir() if p.suffix in {".mp4", ".mkv", ".mpg"})


def buckets(options: argparse.Namespace) -> dict[str, dict[str, tuple[float, float]]]:
    """What is counted apart: everything, and by size and turn when asked."""
    whole = {"all": {"sizes": (options.smallest, np.inf)}}
    if not options.by:
        return whole
    sizes = {f"{low}-{high} px": {"sizes": (low, high)} for low, high in ((20, 40), (40, 80), (80, 160), (160, 999))}
    turned = {f"turned {a}-{b}": {"turns": (a, b), "sizes": (options.smallest, np.inf)} for a, b in TURNS}
    return whole | sizes | turned


def compare(options: argparse.Namespace) -> None:
    """One line a detector, degradation and bucket, over all pictures; with -v also one a clip."""
    detectors = {name: make(name, options) for name in options.detectors}
    tallies: dict[tuple[str, ...], Tally] = {}
    for number, (source, picture, truth) in enumerate(pictures(options)):
        for strength in options.damage:
            seen = damaged(picture, strength, np.random.default_rng((number, len(strength))))
            for name, detector in detectors.items():
                began = time.process_time()
                found = detector.detect(seen)
                spent = time.process_time() - began
                keys = [(name, strength, bucket) for bucket in buckets(options)]
                keys += [(name, strength, "all", source)] if options.verbose else []
                for key in keys:
                    tally = tallies.setdefault(key, Tally(**buckets(options)[key[2]]))
                    tally.seconds, tally.frames = tally.seconds + spent, tally.frames + 1
                    tally.add(found, truth)
    for key, tally in sorted(tallies.items()):
        labels = dict(zip(("detector", "damage", "faces of", "clip"), key, strict=False))
        print(json.dumps(labels | tally.row()), flush=True)


def curve(options: argparse.Namespace) -> None:
    """Recall and precision of RetinaFace, alone and confirmed by the landmark network, by minimum score."""
    for name in ("retinaface_alone", "retinaface"):
        detector = make(name, options, score=0.02)
        found = []
        for number, (_, picture, truth) in enumerate(pictures(options)):
            for strength in options.damage:
                seen = damaged(picture, strength, np.random.default_rng((number, len(strength))))
                found.append((strength, detector.detect(seen), truth))
        for strength in options.damage:
            for score in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95):
                tally = Tally((options.smallest, np.inf))
                for damage, faces, truth in found:
                    if damage == strength:
                        tally.add([face for face in faces if face.score >= score], truth)
                row = {k: v for k, v in tally.row().items() if k in ("recall", "precision")}
                print(json.dumps({"detector": name, "damage": strength, "score": score} | row), flush=True)


def make(name: str, options: argparse.Namespace, *, score: float | None = None) -> FaceDetector:
    """The detector of that name, all at the same working size; by default as sure as the preset asks for."""
    size = {"working_size": options.working_size, "minimum_size": 15}
    if name == "yunet":
        path = options.data / "detectors" / "yunet_n_640_640.onnx"
        return YuNetDetector(path, minimum_score=0.7, **size)
    if name == "retinaface_alone":
        return RetinaFaceDetector.from_pretrained(options.models / "detector", minimum_score=score or 0.5, **size)
    settings = DetectionSettings.model_validate(
        {"detector": name, "minimum_score": score or options.score, "working_size": options.working_size}
    )
    locator = LandmarkLocator.from_pretrained(options.models / "landmarks")
    return make_detector(
        settings.model_copy(update={"minimum_size": 20.0}), models=options.models, locator=cast(FaceLocator, locator)
    )


def observe(
    frames: Iterable[np.ndarray], cuts: Sequence[int], settings: DetectionSettings, options: argparse.Namespace
) -> tuple[list[Observation], float]:
    """Observations of a clip, and the processor seconds that finding and following took."""
    locator = cast(FaceLocator, LandmarkLocator.from_pretrained(options.models / "landmarks"))
    tracker = TurningTracker(make_detector(settings, models=options.models, locator=locator), locator, settings)
    observations, spent = [], 0.0
    for index, frame in enumerate(frames):
        began = time.process_time()
        observations += tracker.step(index, frame, cut=index in cuts)
        spent += time.process_time() - began
    return observations, spent


def evaluate_tracks(options: argparse.Namespace) -> None:
    """Coverage, switches, fragments, landmark error in made clips of held-out heads; jitter of a still face."""
    faces = load_faces(options.data / "faces_train", ("modern_256", "archive_256"), options.cache)
    scenes = [s for s in load_scenes(options.data / "faces_train") if s.held_out]
    backgrounds = [s.picture for s in scenes if not len(s.boxes)]
    truth, settings = many_views(faces, options), DetectionSettings(working_size=options.working_size)
    whole = (faces.corners.min(axis=1) <= 30).all(axis=1) & (faces.corners.max(axis=1) >= 226).all(axis=1)
    heads = [Head(faces.images[i], points.astype(np.float64)) for i, points in truth.items() if whole[i]]
    for damage in options.damage:
        for kind in KINDS:
            scores, jitters = [], []
            for seed in range(options.clips_of_a_kind):
                rng = np.random.default_rng((seed, KINDS.index(kind), len(damage)))
                scene = make_scene(kind, heads, backgrounds, rng)
                seen = degraded_clip(scene.frames, damage, rng)
                observations, _ = observe(seen, scene.cuts, settings, options)
                tracks, _ = post_process_tracks(observations, scene.cuts, settings=settings)
                scores.append(score_tracks(tracks, scene.truth, scene.visible, scene.cuts))
                jitters += [jitter(track.landmarks) for track in tracks if kind == "still"]
            print(json.dumps(_summary(kind, damage, scores, jitters)), flush=True)


def _summary(kind: str, damage: str, scores: list[TrackScores], jitters: list[float]) -> dict[str, str | float]:
    row: dict[str, str | float] = {
        "clips": kind,
        "damage": damage,
        "coverage": round(float(np.mean([s.coverage for s in scores])), 3),
        "worst": round(float(np.min([s.coverage for s in scores])), 3),
        "switches": sum(s.switches for s in scores),
        "fragments": sum(s.fragments for s in scores),
        "wrong": sum(s.wrong for s in scores),
        "doubles": sum(s.doubles for s in scores),
        "landmark_error": round(100 * float(np.nanmedian([s.error for s in scores])), 2),
    }
    return row | ({"jitter": round(float(np.mean(jitters)), 3)} if jitters else {})


def evaluate_clips(options: argparse.Namespace) -> None:
    """What the analysis puts out, frame by frame, against the reference: one line a clip, then one over all.

    The last is over all without those that are turned so far that they are skipped.
    """
    reference, settings = teacher(options), DetectionSettings(working_size=options.working_size)
    for damage in options.damage:
        sizes = options.smallest, np.inf
        totals = {"all": Tally(sizes), "all to be restored": Tally(sizes, (0.0, settings.maximum_yaw))}
        for number, path in enumerate(clips(options)):
            frames = np.stack(list(sample_frames(path, options.frames, every=True)))
            turn = upright(frames[0], reference)
            seen, shots = degraded_clip(frames, damage, np.random.default_rng((number, len(damage)))), ShotDetector()
            cuts = [index for index, frame in enumerate(seen) if shots.feed(index, frame)]
            observations, spent = observe(seen, cuts, settings, options)
            tracks, _ = post_process_tracks(observations, cuts, settings=settings)
            own = Tally(sizes)
            for tally in (own, *totals.values()):
                tally.seconds, tally.frames = tally.seconds + spent, tally.frames + len(frames)
            for index in range(0, len(frames), EVERY):
                truth, found = (
                    reference.detect(turned(frames[index], turn)),
                    tracked(tracks, index, frames[index], turn),
                )
                for tally in (own, *totals.values()):
                    tally.add(found, truth)
            print(json.dumps({"clip": path.name, "damage": damage, "tracks": len(tracks)} | own.row()), flush=True)
        for name, tally in totals.items():
            print(json.dumps({"clip": name, "damage": damage} | tally.row()), flush=True)


def tracked(tracks: Sequence[FaceTrack], index: int, frame: np.ndarray, turn: int) -> list[Detection]:
    """The faces restored in a frame (H, W, 3), in pixels of the frame turned by so many quarters."""
    standing, faces = turned(frame, turn).shape[:2], []
    for track in tracks:
        if track.start <= index < track.stop and track.shown_at(index - track.start) > 0:
            points = turned_back(track.landmarks[index - track.start], standing, -turn % 4)
            faces.append(Detection(box_from_landmarks(points), points, np.ones(5, np.float32), 1.0))
    return faces


def evaluate_landmarks(options: argparse.Namespace) -> None:
    """Errors on held-out aligned crops through wrong boxes, by degradation; truth: many views by YuNet."""
    sets = ("modern_256", "archive_256")
    faces = load_faces(options.data / "faces_train", sets, options.cache)
    truth = many_views(faces, options)
    for looks in (1, 2):
        locator = LandmarkLocator.from_pretrained(options.models / "landmarks", passes=looks)
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
                inside.append(float((np.abs(found.points[0] - points) <= found.std[0][:, None]).mean()))
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
    part = FaceSet(
        *(getattr(faces, f)[held_out] for f in ("images", "corners", "landmarks", "detail", "scale", "held_out"))
    )
    path = options.data / "detectors" / "yunet_n_640_640.onnx"
    points = steady_landmarks(part, path, options.cache / f"held_out_{options.every}.npy", views=24)
    return dict(zip(held_out.tolist(), points, strict=True))


def main() -> None:
    """Parse the command line; compare detectors or measure landmarks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DYNFACE_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"))
    parser.add_argument("--models", type=Path, default=Path("dynface_video/models/mini"))
    names = ["retinaface", "retinaface_alone", "yunet"]
    parser.add_argument("--detectors", nargs="+", choices=names, default=["retinaface"])
    parser.add_argument("--damage", nargs="+", choices=["clean", *STRENGTHS], default=["clean"])
    parser.add_argument(
        "--frames", type=int, default=4, help="frames looked at in each clip; --clips: the first so many"
    )
    parser.add_argument("--working-size", type=int, default=960)
    parser.add_argument("--score", type=float, default=0.5, help="faces below are not reported")
    parser.add_argument("--smallest", type=float, default=40.0, help="height in pixels of the faces asked for")
    parser.add_argument("--every", type=int, default=2, help="landmarks, tracks: every so many held-out crops")
    parser.add_argument("--clips-of-a-kind", type=int, default=6, help="tracks: made clips of each kind")
    for mode in ("by", "curve", "scenes", "landmarks", "tracks", "clips"):
        parser.add_argument(f"--{mode}", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    modes = {"landmarks": evaluate_landmarks, "tracks": evaluate_tracks, "clips": evaluate_clips, "curve": curve}
    chosen = [run for name, run in modes.items() if getattr(options, name)]
    for run in chosen or [compare]:
        run(options)


if __name__ == "__main__":
    main()
