"""Train a network: `train.py all --help` for all of the preset on one GPU, `train.py --help` for a single one."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["all"]:
        from training.gpu import run

        run.main(sys.argv[2:])
    else:
        from training import command

        command.main()
