"""`scripts/train.py`: train one embedded component, or export or score its averaged weights while it trains.

python scripts/train.py prior --out runs/prior --crops 200000
python scripts/train.py prior --out runs/prior --export dynface_video/models/mini/prior
python scripts/train.py landmarks --out runs/landmarks --crops 180000 --batch-size 64 --learning-rate 3e-3 \\
    --decay 75000 --ema 0.998 --validation-crops 1024
python scripts/train.py detector --out runs/detector --crops 60000 --learning-rate 2e-3 --decay 20000 --ema 0.998
python scripts/train.py damage_detector --out runs/damage_detector --crops 100000 --learning-rate 1e-3 --decay 40000 \\
    --ema 0.998 --bfloat16 --validation-crops 256
python scripts/train.py restoration_window --out runs/window --crops 24000 --restoration runs/single  # from that RM
python scripts/train.py sampler --out runs/sampler --crops 40000 --batch-size 8 --warmup 400 --ema 0.999 \\
    --betas 0.5 0.99 --bfloat16
python scripts/train.py local_restoration --out runs/local --crops 40000 --batch-size 8 --ema 0.998 \\
    --betas 0.5 0.99 --bfloat16 --validation-crops 8 --save-seconds 600   # RM of 256 pixels, from that of 128
python scripts/train.py fine_restoration --out runs/fine --crops 40000 --batch-size 8 --ema 0.998 \\
    --betas 0.5 0.99 --bfloat16 --validation-crops 8 --save-seconds 600   # RM of 512, needs the exported RM of 256
python scripts/train.py blur_level --out runs/blur_level --crops 40000    # needs the exported restoration model
python scripts/train.py adjuster --out runs/adjuster --crops 4000 --batch-size 8 --warmup 400 --ema 0.995 \\
    --betas 0.5 0.99 --bfloat16    # needs all other models of the preset
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from dynface_video import pretrained
from dynface_video.config import changed_settings, load_settings
from dynface_video.faces.detection.retinaface import RetinaFaceDetector
from dynface_video.jobs.plan import file_digest
from dynface_video.models.adjuster import GuidanceAdjuster
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.prior import GuidedPrior
from dynface_video.models.restoration import RestorationModel
from dynface_video.pipeline import FacePipeline
from teachers.identity import load_identity
from teachers.weights import teacher_folder
from training.adjuster import AdjusterTraining
from training.blur_level import BlurLevelTraining
from training.crowds import CrowdComposer
from training.damage_detector import DamageDetectorTraining
from training.data import FaceSet, load_faces
from training.detection import DetectorTraining
from training.discriminator import Adversarial
from training.identity import IdentityTraining, teacher_embeddings
from training.labels import steady_landmarks
from training.landmarks import LandmarkTraining
from training.local_restoration import LOCAL_LOSS, LocalFaces, LocalRestorationTraining
from training.loop import Component, LoopConfig, load_average, score, train
from training.losses import FaceLosses
from training.prior import PriorTraining
from training.restoration import FACES_LOSS, FacesTraining, RestorationTraining, WindowTraining
from training.sampler import FEW_EVALUATIONS, SAMPLER_LOSS, SampledFaces, SamplerTraining
from training.scenes import load_scenes, mistakes_of

COMPONENTS = (
    "prior", "restoration", "restoration_window", "restoration_faces", "local_restoration", "fine_restoration",
    "blur_level", "landmarks", "identity", "detector", "adjuster", "sampler", "damage_detector",
)  # fmt: skip
FUSION = 32
"""Channels of the network that weighs neighbouring crops."""
VIEWS = 16
"""Answers of the teacher that a training label is the median of."""
PROPOSED = 0.05
"""Score from which on what the detector sees and the teacher does not is a mistake to learn from."""
CROWD = 224
"""Side in pixels of the pictures that the detector is trained on."""


def make_component(name: str, faces: FaceSet, options: argparse.Namespace) -> Component:
    """The component of that name on these faces."""
    if name == "prior":
        return PriorTraining(faces, GuidedPrior())
    if name == "landmarks":
        scenes = load_scenes(options.data / "faces_train")
        detector = RetinaFaceDetector.from_pretrained(options.detector, minimum_score=PROPOSED)
        cache = options.cache / f"mistakes_{file_digest(options.detector / pretrained.WEIGHTS)[:12]}.json"
        mistakes = mistakes_of(detector.propose, scenes, cache)
        teacher = options.data / "detectors" / "yunet_n_640_640.onnx"
        points = steady_landmarks(faces, teacher, options.cache / f"landmarks_{VIEWS}.npy", views=VIEWS)
        faces = replace(faces, landmarks=points)
        return LandmarkTraining(faces, scenes, mistakes)
    if name == "damage_detector":
        # Archive photographs have damage of their own, which would be taken for none.
        root = options.data / "faces_train"
        portraits = load_faces(root, ("modern_256",), options.cache)
        return DamageDetectorTraining(portraits, load_faces(root, ("modern_512",), options.cache, native=512))
    if name == "identity":
        teacher = load_identity(teacher_folder(options.data))
        return IdentityTraining(faces, teacher_embeddings(faces, teacher, options.cache / "identities.npy"))
    if name == "detector":
        scenes = load_scenes(options.data / "faces_train")
        return DetectorTraining(CrowdComposer(faces, scenes, CROWD, smallest=14, largest=320), smallest=12)
    if name in ("sampler", "adjuster"):
        return make_sampler_training(name, options)
    restoration = RestorationTraining(faces, RestorationModel())
    if name == "restoration":
        return restoration
    model = pretrained.load_pretrained(RestorationModel, options.restoration)
    if name == "local_restoration":
        return make_local_training(model, options)
    if name == "fine_restoration":
        below = pretrained.load_pretrained(RestorationModel, options.local_restoration)
        return make_local_training(model, options, below=below)
    if name == "restoration_window":
        return WindowTraining(faces, model, FUSION)
    if name == "restoration_faces":
        losses = FaceLosses.from_folder(teacher_folder(options.data), FACES_LOSS)
        return FacesTraining(WindowTraining(faces, model, FUSION), losses)
    return BlurLevelTraining(restoration, WindowTraining(faces, model, FUSION), model, BlurLevelEstimator())


def make_local_training(
    coarse: RestorationModel, options: argparse.Namespace, *, below: RestorationModel | None = None
) -> LocalRestorationTraining:
    """RM of a stage above 128 pixels, on sharp modern faces.

    It begins as the exported network of `--initial`, whatever its size, or as `coarse`.

    Args:
        coarse: RM of the coarsest stage.
        options: Of the command line.
        below: RM of the stage of 256, for that of 512.
    """
    root, cache = options.data / "faces_train", options.cache
    portraits = load_faces(root, ("modern_256",), cache)
    large = load_faces(root, ("modern_512",), cache, native=512)
    losses = FaceLosses.from_folder(teacher_folder(options.data), LOCAL_LOSS)
    network = pretrained.load_pretrained(RestorationModel, options.initial) if options.initial else None
    return LocalRestorationTraining(LocalFaces(portraits, large), coarse, losses, network=network, below=below)


def make_sampler_training(name: str, options: argparse.Namespace) -> SamplerTraining | AdjusterTraining:
    """The prior or the guidance map in few guided evaluations, on sharp modern faces: archives would teach grain."""
    device = torch.device(options.device)
    faces = load_faces(options.data / "faces_train", ("modern_256",), options.cache)
    settings = load_settings("mini", None, {"device": options.device})
    # The preset may ask for the very map that is to be trained.
    pipeline = FacePipeline.from_settings(changed_settings(settings, {"restoration": {"guidance_map": "none"}}))
    stage = pipeline.stages[0]
    if options.prior and stage.sampler:
        prior = pretrained.load_pretrained(GuidedPrior, options.prior, device)
        stage = replace(stage, sampler=replace(stage.sampler, prior_source=prior))
    sampled = SampledFaces(RestorationTraining(faces, RestorationModel()), stage, FEW_EVALUATIONS)
    losses = FaceLosses.from_folder(teacher_folder(options.data), SAMPLER_LOSS, device=device)
    if name == "adjuster":
        return AdjusterTraining(sampled, losses, GuidanceAdjuster())
    drawn = sampled.sampler.prior
    assert isinstance(drawn, GuidedPrior)
    return SamplerTraining(sampled, losses, PriorTraining(faces, drawn))


def main() -> None:
    """Parse the command line; train or export."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "component",
        choices=COMPONENTS,
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DYNFACE_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="decoded crops are kept here")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint and the log")
    parser.add_argument("--export", type=Path, help="write the averaged weights of the last checkpoint and stop")
    parser.add_argument("--score", action="store_true", help="score the averaged weights and stop")
    parser.add_argument("--restoration", type=Path, default=Path("dynface_video/models/mini/restoration"),
                        help="blur_level: the exported RM whose trustworthiness is learned; "
                        "restoration_window: the one to begin as, of single crops or of windows")  # fmt: skip
    parser.add_argument("--local-restoration", type=Path, default=Path("dynface_video/models/mini/local_restoration"),
                        help="fine_restoration: the exported RM of 256 pixels whose faces it reads")  # fmt: skip
    parser.add_argument("--detector", type=Path, default=Path("dynface_video/models/mini/detector"),
                        help="landmarks: the exported detector whose mistakes are learned")  # fmt: skip
    parser.add_argument("--prior", type=Path, help="sampler, adjuster: an exported prior other than the preset's")
    parser.add_argument("--initial", type=Path, help="exported weights of the same component to begin with")
    parser.add_argument("--crops", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    parser.add_argument(
        "--warmup", type=int, default=2_000, help="the learning rate rises over the first so many crops"
    )
    parser.add_argument("--decay", type=int, default=0, help="the last so many crops lower the learning rate to zero")
    parser.add_argument("--ema", type=float, default=0.9995, help="decay of the averaged weights by step")
    parser.add_argument("--betas", type=float, nargs=2, default=(0.9, 0.999), help="of Adam")
    parser.add_argument("--validation-crops", type=int, default=96)
    parser.add_argument("--save-seconds", type=float, default=180.0, help="between checkpoints, each with a validation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bfloat16", action="store_true", help="autocast; for GPUs and processors that have it")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)

    faces = load_faces(options.data / "faces_train", ("modern_256", "archive_256"), options.cache)
    component = make_component(options.component, faces, options)
    if options.export:
        average = load_average(component, options.out)
        network = average.generator if isinstance(average, Adversarial) else average
        pretrained.save_pretrained(network, options.export)
        return
    config = LoopConfig(
        crops=options.crops,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        warmup=options.warmup,
        decay=options.decay,
        seed=options.seed,
        bfloat16=options.bfloat16,
        ema=options.ema,
        betas=tuple(options.betas),
        validation_crops=options.validation_crops,
        save_seconds=options.save_seconds,
    )
    if options.score:
        for name, value in score(component, config, options.out, torch.device(options.device)).items():
            print(f"{name}\t{value:.4f}")
        return
    initial = None
    if options.initial:
        weights = load_file(options.initial / pretrained.WEIGHTS)
        initial = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    train(component, config, options.out, torch.device(options.device), initial)
