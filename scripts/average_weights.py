"""Average the weights of two exported networks of the same shape, one of which was trained from the other.

python scripts/average_weights.py dynface_video/models/mini/restoration runs/rm_export --share 0.5 --out runs/rm_mean

Such a mean keeps most of what each is good at (Wortsman et al., "Robust fine-tuning of zero-shot models", 2022).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from dynface_video.pretrained import WEIGHTS


def averaged(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor], share: float) -> dict[str, torch.Tensor]:
    """The first network moved by `share` of the way to the second; raises ValueError where they differ in shape."""
    shapes = [{name: tuple(value.shape) for name, value in weights.items()} for weights in (first, second)]
    if shapes[0] != shapes[1]:
        raise ValueError("these two networks have different shapes")
    return {name: torch.lerp(value.float(), second[name].float(), share).to(value.dtype)
            for name, value in first.items()}  # fmt: skip


def main() -> None:
    """Parse the command line, average, and write a folder like that of the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path, help="folder of an exported network")
    parser.add_argument("second", type=Path, help="folder of another")
    parser.add_argument("--share", type=float, default=0.5, help="of the second, 0 to 1")
    parser.add_argument("--out", type=Path, required=True, help="folder of the mean")
    options = parser.parse_args()
    weights = averaged(*(load_file(folder / WEIGHTS) for folder in (options.first, options.second)), options.share)
    shutil.copytree(options.first, options.out, dirs_exist_ok=True)
    save_file(weights, options.out / WEIGHTS, metadata={"format": "pt"})


if __name__ == "__main__":
    main()
