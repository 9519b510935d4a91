from __future__ import annotations

import re

import pytest

from dynface_video.cli.panels import FIRST, PANELS
from dynface_video.config import OPTIONS
from fake_api import Command, FakeApi


def _panels(said: str) -> dict[str, list[str]]:
    """The first flag of each option, by heading."""
    panels: dict[str, list[str]] = {}
    for line in said.splitlines():
        if re.match(r"\S.*:$", line):
            panels[line.removesuffix(":")] = own = []
        elif flag := re.match(r"  (?:-\w, )?(--[\w-]+)", line):
            own.append(flag[1])
    return panels


@pytest.mark.parametrize("name", ["restore", "batch", "analyze", "faces"])
def test_options_stand_under_the_heading_of_their_section(api: FakeApi, command: Command, name: str) -> None:
    panels = _panels(command(name, "--help")[1])
    commands = {"faces": "analyze"}.get(name, name)
    for option in OPTIONS.values():
        if commands in option.option.commands:
            heading = FIRST if option.option.common else PANELS[option.section]
            assert option.flags[0] in panels[heading]


def test_what_most_people_want_comes_first(api: FakeApi, command: Command) -> None:
    panels = _panels(command("restore", "--help")[1])
    assert list(panels)[1:] == [FIRST, *PANELS.values()]
    assert panels[FIRST][:3] == ["--output", "--faces", "--strength"]
    assert {"--preview", "--preset", "--device", "--json", "--help"} <= set(panels[FIRST])
    assert {"--start", "--end", "--between"} <= set(panels[PANELS["selection"]])
