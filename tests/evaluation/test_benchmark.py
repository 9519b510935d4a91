from __future__ import annotations

from dynface_video.pipeline import FacePipeline
from loading import load_script


def test_the_benchmark_gives_ratios_to_rm() -> None:
    script = load_script("benchmark")
    table = script._parts_table(script._parts(FacePipeline.from_pretrained("mini", device="cpu"), 2), rounds=1, count=2)
    assert "| RM | 1.00 |" in table
    for part in (
        "full, strength 0.6",
        "motion of a pair, there and back",
        "wiener",
        "averaged with 16 neighbours twice",
        "RM at 256",
    ):
        assert part in table
