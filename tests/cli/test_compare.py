"""`compare`, and the previews of `restore`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dynface_video.cli import compare
from dynface_video.media.output import comparison
from fake_api import Command, FakeApi


def test_a_preview_reaches_the_library_with_its_strengths(api: FakeApi, command: Command) -> None:
    code, out, err = command(
        "restore", "in.mkv", "-o", "p.mp4", "--preview", "5s@00:30", "--strength", "0.3,0.6", "--strength", "2=0.1"
    )
    assert code == 0, err
    (call,) = api.calls
    assert (call["span"], call["versions"], call["compare"]) == ("5s@00:30", (0.3, 0.6), None)
    assert call["strengths"] == "2=0.1" and "strength" not in call
    assert out == "p.mp4: 50 frames, 48 crops restored, person 2\n"


def test_a_preview_at_one_strength_is_an_ordinary_override(api: FakeApi, command: Command) -> None:
    _, out, _ = command(
        "restore", "in.mkv", "-o", "p.mp4", "--preview", "5", "--strength", "0.3", "--compare", "split", "--json"
    )
    assert api.calls[0]["strength"] == 0.3 and api.calls[0]["versions"] == () and api.calls[0]["compare"] == "split"
    assert json.loads(out) == {"output": "p.mp4", "frames": 50, "faces": 48, "people": [2], "start": 30.0}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--strength", "0.3,0.6"], "strength is '0.3,0.6'"),
        (["--compare", "side"], "--compare belongs to --preview"),
        (["--preview", "1@0", "--dry-run"], "--dry-run and --restart cannot be used with --preview"),
        (["--preview", "1@0", "--restart"], "--dry-run and --restart cannot be used with --preview"),
        (["--preview", "5", "--compare", "beside"], "it must be side, split or flip"),
        (["--preview", "5", "--strength", "0.3,2"], "the strength '2' is not a number from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(api: FakeApi, command: Command, flags: list[str], message: str) -> None:
    code, _, err = command("restore", "in.mkv", "-o", "p.mp4", *flags)
    assert code == 2 and message in err and not api.calls


def test_two_videos_are_compared(api: FakeApi, command: Command, tmp_path: Path) -> None:
    code, out, err = command("compare", "a.mkv", "b.mkv", "-o", tmp_path / "c.png")
    assert code == 0, err
    assert api.calls[0]["paths"] == (Path("a.mkv"), Path("b.mkv"), tmp_path / "c.png")
    assert api.calls[0]["mode"] == "side" and out.endswith("c.png: 6 moments of a.mkv and b.mkv\n")


def test_the_modes_are_those_of_the_library() -> None:
    assert compare.MODES == comparison.MODES
