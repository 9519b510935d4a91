"""A few kills by a seed, on a cluster of several nodes on this machine; `scripts/fault_injection.py` does many."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "fault_injection.py"


def test_killed_drivers_workers_and_nodes_lose_nothing() -> None:
    pytest.importorskip("ray")
    command = [sys.executable, str(SCRIPT), "--kills", "6", "--kills-a-job", "6", "--seed", "3", "--json"]
    done = subprocess.run([*command, "--pause", "0.3"], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    tally = json.loads(done.stdout.splitlines()[-1])
    assert sum(tally["kills"].values()) == 6
    assert (tally["recomputed"], tally["complaints"]) == (0, [])
