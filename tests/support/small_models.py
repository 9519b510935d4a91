"""A small restorer, a small prior of 512 pixels, and a model set that uses them: the true code at little work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from dynface_video.diffusion.schedule import NoiseSchedule
from dynface_video.diffusion.starting_step import StartingStepTable
from dynface_video.models.blur_level import BlurLevelEstimator
from dynface_video.models.conversion.folder import convert_prior
from dynface_video.stage_loading import INDEX
from plain_unet import Shape, random_state

SMALL = Shape(512, 8, (1,) * 6, (1,) * 6, (), head=8, groups=4)
STAGE: dict[str, Any] = {
    "resolution": 512,
    "restoration": {"model": "difface-swinir"},
    "blur_estimator": "blur_level",
    "prior": {"model": "difface-prior"},
    "starting_steps": "starting_steps.json",
    "num_inference_steps": 2,
    "temporal_radius": 1,
}


def make_small_models(folder: Path) -> Path:
    """Write `restorer.pth`, `prior/`, and `own/`, a model set like ffhq512 that leaves both to the registry."""
    from spandrel.architectures.NAFNet import NAFNet

    torch.manual_seed(0)
    nafnet = NAFNet(width=4, enc_blk_nums=[1], middle_blk_num=1, dec_blk_nums=[1])
    torch.save({"params": nafnet.state_dict()}, folder / "restorer.pth")
    torch.save(random_state(SMALL), folder / "prior.pth")
    (folder / "prior.json").write_text(json.dumps(SMALL.config()))
    convert_prior(folder / "prior.pth", folder / "prior", config=folder / "prior.json")
    own = folder / "own"
    own.mkdir()
    (own / INDEX).write_text(json.dumps({"stages": [STAGE]}))
    BlurLevelEstimator(resolution=512, unshuffle=16, channels=(8, 8)).save_pretrained(str(own / "blur_level"))
    table = StartingStepTable((0.001, 0.05), (100, 900), 0.01, 512, NoiseSchedule(), "0")
    table.save(own / "starting_steps.json")
    return folder
