from __future__ import annotations

import re
from pathlib import Path

import pytest

import dynface_video
from dynface_video.config import OPTIONS
from fake_api import Command, FakeApi

ROOT = Path(dynface_video.__file__).parents[1]


def test_every_option_reaches_the_library(api: FakeApi, command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("restoration: {trust: 0.02}")
    options = {
        "preset": "archive", "config": tmp_path / "mine.yaml", "strength": 0.7, "num_inference_steps": 8,
        "faces": "largest", "seed": 5, "workers": 2, "device": "cpu", "codec": "libx265", "crf": 21,
        "encoder_preset": "slow", "pix_fmt": "yuv422p", "interlaced": "keep", "grayscale": "off", "images": "stills",
        "fps": "24000/1001", "image_format": "tif", "grain": 0.5, "address": "head:6379",
    }  # fmt: skip
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    code, _, err = command(
        "restore", "in.mkv", "-o", "out.mkv", *flags, "--mezzanine", "--copy-untouched", "--overwrite", "--restart"
    )
    assert code == 0, err
    expected = options | {
        "mezzanine": True,
        "copy_untouched": True,
        "source": Path("in.mkv"),
        "target": Path("out.mkv"),
        "overwrite": True,
        "analysis": None,
        "resume": False,
    }
    assert api.calls == [expected]


def test_what_is_not_given_is_left_to_the_preset(api: FakeApi, command: Command) -> None:
    command("restore", "in.mkv", "-o", "out.mkv")
    (call,) = api.calls
    given = {name: value for name, value in call.items() if value not in (None, False)}
    assert given == {"source": Path("in.mkv"), "target": Path("out.mkv"), "preset": "mini", "resume": True}


@pytest.mark.parametrize(
    ("flags", "given"),
    [
        (["--strength", "0.3"], {"strength": 0.3}),
        (
            ["--strength", "2=0.1", "--strength", "0.5", "--strength", "3=0@1-2"],
            {"strength": 0.5, "strengths": "2=0.1,3=0@1-2"},
        ),
        (["--strengths", "1=1", "--strength", "2=0"], {"strengths": "2=0,1=1"}),
        (["--between", "1-2", "--between", "5-"], {"between": "1-2,5-"}),
        (["--start", "0:10", "--end", "0:25"], {"between": "0:10-0:25"}),
        (["--start", "0:10"], {"between": "0:10-"}),
        (["--faces", "1", "--faces", "3", "--exclude", "2@1-2"], {"faces": "1,3", "exclude": "2@1-2"}),
    ],
)
def test_a_choice_may_be_given_in_parts(
    api: FakeApi, command: Command, flags: list[str], given: dict[str, object]
) -> None:
    code, _, err = command("restore", "in.mkv", "-o", "out.mkv", *flags)
    assert code == 0, err
    names = ("strength", "strengths", "between", "faces", "exclude")
    assert {name: api.calls[0][name] for name in names if name in api.calls[0]} == given


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--strength", "much"], "strength is 'much'"),
        (["--start", "5", "--end", "2"], "'5-2' ends before it begins"),
        (["--start", "5", "--between", "1-2"], "give one of them"),
        (["--between", "1:99-2"], "more than 59 seconds"),
    ],
)
def test_a_choice_that_cannot_be_read_is_named_at_once(
    api: FakeApi, command: Command, flags: list[str], message: str
) -> None:
    code, _, err = command("restore", "in.mkv", "-o", "out.mkv", *flags)
    assert code == 2 and message in err and not api.calls


@pytest.mark.parametrize("flag", ["--mezzanine", "--no-mezzanine"])
def test_a_flag_can_be_turned_off_again(api: FakeApi, command: Command, flag: str) -> None:
    command("restore", "in.mkv", "-o", "out.mkv", flag)
    assert api.calls[0]["mezzanine"] is (flag == "--mezzanine")


def test_steps_is_short_for_num_inference_steps(api: FakeApi, command: Command) -> None:
    command("restore", "in.mkv", "-o", "out.mkv", "--steps", "4")
    assert api.calls[0]["num_inference_steps"] == 4


def test_the_help_of_each_command_has_the_options_that_settings_declare(command: Command) -> None:
    for name in ("restore", "batch", "analyze"):
        said = " ".join(command(name, "--help")[1].split())
        for option in OPTIONS.values():
            assert (re.search(rf"{option.flags[0]}\b", said) is not None) == (name in option.option.commands), (
                name,
                option.name,
            )
    assert "0 stays closest to the input, 1 invents most detail. [default: 0.6]" in " ".join(
        command("restore", "--help")[1].split()
    )


@pytest.mark.parametrize(
    "words", [[], ["restore"], ["batch"], ["analyze"], ["faces"], ["compare"], ["status"], ["demo"], ["settings"]]
)
def test_every_help_ends_with_examples(command: Command, words: list[str]) -> None:
    examples = command(*words, "--help")[1].split("Examples:\n")[1].splitlines()
    assert examples and all(line.strip().startswith(" ".join(["dynface-video", *words])) for line in examples)
