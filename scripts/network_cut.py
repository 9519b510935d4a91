"""Cut the network between two machines in the middle of a job; nothing may be lost. Needs root and `ip netns`.

python scripts/network_cut.py

Two network namespaces of this machine stand for two machines, joined by a link. A Ray node runs in each; a job begins
on both (with the stand-ins of `fault_injection.py`), the link is taken down when a few segments are done, and the job
must end on what is left, with the undisturbed output byte for byte.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fault_injection import SEGMENT_FRAMES, make_clip

HERE, THERE = "dynface-here", "dynface-there"
ADDRESSES = {HERE: "10.77.0.1", THERE: "10.77.0.2"}
PORT = 6399
SCRIPT = Path(__file__).with_name("fault_injection.py")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


@contextmanager
def linked_namespaces() -> Iterator[None]:
    """Two namespaces with a link between them."""
    with ExitStack() as stack:
        for name in ADDRESSES:
            _ip("netns", "add", name)
            stack.callback(_ip, "netns", "del", name)
        _ip("link", "add", "here", "netns", HERE, "type", "veth", "peer", "name", "there", "netns", THERE)
        for name, address in ADDRESSES.items():
            device = name.rpartition("-")[2]
            _ip("-n", name, "address", "add", f"{address}/24", "dev", device)
            _ip("-n", name, "link", "set", device, "up")
            _ip("-n", name, "link", "set", "lo", "up")
        yield


@contextmanager
def node(name: str, arguments: Sequence[str], log: Path) -> Iterator[None]:
    """A Ray node in a namespace."""
    ray = [str(Path(sys.executable).with_name("ray")), "start", *arguments, "--num-cpus", "1", "--block"]
    options = [f"--node-ip-address={ADDRESSES[name]}", "--object-store-memory", "100000000", "--disable-usage-stats"]
    with open(log, "ab") as output:
        process = subprocess.Popen(["ip", "netns", "exec", name, *ray, *options], stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def main() -> int:
    """Parse the command line and run; 0 when nothing was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds that a segment takes at least")
    parser.add_argument("--after", type=int, default=6, help="segments done before the link is cut")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, linked_namespaces(), ExitStack() as stack:
        root = Path(folder)
        support, notes = SCRIPT.parents[1] / "tests" / "support", root / "computed.txt"
        os.environ |= {
            "FAULT_NOTES": str(notes),
            "FAULT_SUPPORT": str(support),
            "FAULT_PAUSE": str(options.pause),
            "PYTHONPATH": str(SCRIPT.parents[1]),
            "OMP_NUM_THREADS": "1",
            # The nodes and the driver of this cluster share a token of their own, whatever Ray was told here.
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }
        os.environ.pop("RAY_ADDRESS", None)
        make_clip(root / "clip.mp4")
        expected = _run(root, "undisturbed", []).read_bytes()
        notes.write_text("")
        log = root / "nodes.log"
        stack.enter_context(node(HERE, ["--head", f"--port={PORT}", "--include-dashboard=false"], log))
        time.sleep(8)
        stack.enter_context(node(THERE, [f"--address={ADDRESSES[HERE]}:{PORT}"], log))
        time.sleep(8)
        began = time.monotonic()
        cut = root / "cut.txt"
        target = _run(root, "cut", [f"{ADDRESSES[HERE]}:{PORT}"], cut_after=options.after, noted=cut)
        computed = Counter(notes.read_text().split())
        left = [path.name for path in target.parent.iterdir() if path.name not in ("out.mp4", "out.yaml", "out.err")]
        same = target.read_bytes() == expected
        said = target.with_suffix(".err").read_text()
        print(f"the link was cut after {cut.read_text()} segments; the job took {time.monotonic() - began:.0f} s")
        print(f"same bytes: {same}; left behind: {left or 'nothing'}; segments {len(computed)}")
        print(f"computed twice, here and beyond the cut: {sum(count - 1 for count in computed.values())}")
        print(f"workers given up: {said.count('tried again')}")
    return 0 if same and not left else 1


def _run(root: Path, name: str, address: list[str], *, cut_after: int = 0, noted: Path | None = None) -> Path:
    target = root / name / "out.mp4"
    target.parent.mkdir()
    target.with_suffix(".yaml").write_text(f"output:\n  segment_frames: {SEGMENT_FRAMES}\n")
    command = [sys.executable, str(SCRIPT), "--drive", str(root / "clip.mp4"), str(target), *address]
    if address:
        command = ["ip", "netns", "exec", HERE, *command]
    with open(target.with_suffix(".err"), "ab") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log)
    while driver.poll() is None:
        done = len(list((target.parent / "out.mp4.job" / "segments").glob("[0-9]*.json")))
        if noted is not None and not noted.exists() and done >= cut_after:
            _ip("-n", HERE, "link", "set", "here", "down")
            noted.write_text(str(done))
        time.sleep(0.1)
    if driver.returncode:
        raise SystemExit(f"the job ended with {driver.returncode}: {target.with_suffix('.err').read_text()[-3000:]}")
    return target


if __name__ == "__main__":
    sys.exit(main())
