"""`scripts/train.py all`: the networks that restore, in turn, in a stated time, on one GPU.

python scripts/train.py all --minutes 9 --out runs/gpu                         # the data set of DYNFACE_DATA
python scripts/train.py all --minutes 9 --data packs --out "$OUT"              # packs/part1 and packs/part2
python scripts/train.py all --minutes 0.5 --device cpu --largest-batch 4 --out runs/dry   # dry run of the same path

OUT gets models/<network> as each is finished, a log and a checkpoint for each task; the same command goes on where a
run was stopped. Loading the data comes on top of the minutes: about half a minute the first time. It needs torch,
opencv, safetensors, diffusers, pydantic and PyYAML, and nothing that reads videos.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from dynface_video.device import resolve_device
from dynface_video.errors import DynfaceError
from teachers.weights import teacher_folder
from training.discriminator import Adversarial
from training.gpu.degraded_crops import DegradedCrops
from training.gpu.device_data import DeviceFaces
from training.gpu.local_tasks import FineRestorationTask, LocalRestorationTask
from training.gpu.preset import PresetNetworks
from training.gpu.schedule import shares_of_time
from training.gpu.tasks import AdjusterTask, BlurLevelTask, PriorTask, RestorationTask, SamplerTask
from training.gpu.timed_loop import DeviceTask, LoopOptions, train_for
from training.local_restoration import LOCAL_LOSS
from training.losses import FaceLosses
from training.restoration import FACES_LOSS
from training.sampler import SAMPLER_LOSS

logger = logging.getLogger(__name__)

SHARES = {
    "prior": 60.0,
    "restoration": 140.0,
    "blur_level": 15.0,
    "sampler": 70.0,
    "local_restoration": 120.0,
    "fine_restoration": 185.0,
    "adjuster": 30.0,
}
"""Of the time, in the order of the tasks: each network after those whose results it learns from."""
PRESET_TASKS = ("restoration", "blur_level", "sampler", "local_restoration", "fine_restoration")
"""What the preset uses; its prior is a denoiser already."""
UNJUDGED: dict[str, Callable[[PresetNetworks, DegradedCrops], DeviceTask]] = {
    task.name: task for task in (PriorTask, BlurLevelTask)
}
JUDGED: dict[str, Callable[[PresetNetworks, DegradedCrops, FaceLosses], DeviceTask]] = {
    task.name: task for task in (RestorationTask, SamplerTask, LocalRestorationTask, FineRestorationTask, AdjusterTask)
}
"""Tasks whose losses do not read the teachers, and tasks whose losses do."""
LOSS_WEIGHTS = {"restoration": FACES_LOSS, "local_restoration": LOCAL_LOSS, "fine_restoration": LOCAL_LOSS}
"""Of the parts of the losses, other than the sampler's."""
PACKED_TEACHERS = Path("part2", "teachers")


@dataclass(frozen=True)
class RunOptions:
    """What is trained, for how long, and where.

    data: packs for a GPU, or the data set; cache: of decoded crops; minutes: of training; tasks: of `SHARES`
    """

    data: Path
    cache: Path
    out: Path
    minutes: float
    device: torch.device
    preset: str = "mini"
    tasks: Sequence[str] = PRESET_TASKS
    loop: LoopOptions = field(default_factory=LoopOptions)


def train_all(options: RunOptions) -> PresetNetworks:
    """Train the tasks in turn, each on the networks that those before it made, and write the networks.

    Raises:
        InputError: Training crops are missing.
        ModelError: The preset's or the teachers' weights are missing.
    """
    device = options.device
    # Convolutions may use TF32; matrix products may not: resampling, DCT and JPEG are made of them. To try out kernels
    # for each shape took 8 to 22 seconds a task (H200), more than it could give back in minutes.
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(options.loop.seed)
    crops = DegradedCrops(*(DeviceFaces.load(options.data, side, options.cache, device) for side in (256, 512)))
    networks = PresetNetworks.load(options.preset, device)
    seconds = shares_of_time({name: SHARES[name] for name in options.tasks}, 60 * options.minutes)
    for name, share in seconds.items():
        logger.info("%s: %.0f s", name, share)
        task = make_task(name, networks, crops, options.data)
        average = train_for(task, share, options.loop, options.out, device)
        trained = average.generator if isinstance(average, Adversarial) else average
        setattr(networks, task.network, trained)
        networks.save(task.network, options.out / "models")
    return networks


def make_task(name: str, networks: PresetNetworks, crops: DegradedCrops, data: Path) -> DeviceTask:
    """The task of a name of `SHARES`."""
    if name in UNJUDGED:
        return UNJUDGED[name](networks, crops)
    packed = data / PACKED_TEACHERS
    folder = packed if packed.is_dir() else teacher_folder(data)
    weights = LOSS_WEIGHTS.get(name, SAMPLER_LOSS)
    return JUDGED[name](networks, crops, FaceLosses.from_folder(folder, weights, device=crops.device))


def main(arguments: Sequence[str]) -> None:
    """Parse the command line after `all`, and train."""
    parser = argparse.ArgumentParser(
        "train.py all", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, required=True, help="of training, all networks together")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("DYNFACE_DATA", "../shared/data")))
    parser.add_argument("--cache", type=Path, default=Path("runs/cache"), help="decoded crops are kept here")
    parser.add_argument("--out", type=Path, required=True, help="folder of models, logs and checkpoints")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--preset", default="mini", help="whose networks training begins with")
    parser.add_argument("--tasks", nargs="+", choices=SHARES, default=PRESET_TASKS,
                        help="these, in their order; those that the preset uses unless stated")  # fmt: skip
    parser.add_argument("--largest-batch", type=int, help="limit of all batches, for a dry run")
    parser.add_argument("--save-seconds", type=float, default=60.0, help="between checkpoints")
    parser.add_argument("--float32", action="store_true", help="no bfloat16, for processors that lack it")
    parser.add_argument("--compile", action="store_true", help="torch.compile the losses")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    loop = LoopOptions(
        seed=options.seed,
        save_seconds=options.save_seconds,
        bfloat16=not options.float32,
        compiled=options.compile,
        largest_batch=options.largest_batch,
    )
    ordered = [name for name in SHARES if name in options.tasks]
    try:
        device = resolve_device(options.device)
        data, cache, out = options.data, options.cache, options.out
        train_all(RunOptions(data, cache, out, options.minutes, device, options.preset, ordered, loop))
    except DynfaceError as error:
        parser.exit(error.exit_code, f"error: {error}\n")
