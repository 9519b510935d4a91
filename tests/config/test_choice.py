"""Who, when and how strongly, as users write it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from dynface_video.config import load_settings
from dynface_video.config.choice import Rule, parse_exclusions, parse_people, parse_spans, parse_strengths
from dynface_video.config.times import TimeSpan
from dynface_video.errors import InputError

SPAN = TimeSpan(Fraction(10), Fraction(15))


def test_people_spans_and_rules_are_read() -> None:
    assert parse_people("1, 3") == (1, 3)
    assert parse_spans("00:10-00:15,20-") == (SPAN, TimeSpan(Fraction(20), None))
    assert parse_exclusions("2,3@10-15,all@10-15") == (
        Rule((2,), restore=False), Rule((3,), SPAN, restore=False), Rule((), SPAN, restore=False),
    )  # fmt: skip
    assert parse_strengths("1=0.4,2=0@10-15,all=1") == (
        Rule((1,), strength=0.4), Rule((2,), SPAN, strength=0.0), Rule((), strength=1.0),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"faces": "1,,2"}, "nothing between two commas"),
        ({"faces": "0"}, "'0' is not a person's number"),
        ({"exclude": "all"}, "would restore nobody"),
        ({"exclude": "2@"}, "not a span"),
        ({"between": "00:10"}, "'00:10' is not a span of time; write START-STOP"),
        ({"strengths": "0.4"}, "not PERSON=STRENGTH"),
        ({"strengths": "1=1.4"}, r"the strength '1\.4' is not a number from 0 to 1"),
        ({"strengths": "1=nan"}, "the strength 'nan' is not a number from 0 to 1"),
    ],
)
def test_what_cannot_be_read_is_named_with_the_option(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_settings("mini", None, overrides)
    assert next(iter(overrides)) in str(caught.value)


def test_lists_and_numbers_of_yaml_are_taken(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("selection: {faces: [1, 3], exclude: 2, between: [0:10-0:20]}\n")
    selection = load_settings("mini", tmp_path / "a.yaml").selection
    assert (selection.numbers, selection.exclude, selection.between) == ((1, 3), "2", "0:10-0:20")


def test_by_default_everybody_is_restored_all_the_time() -> None:
    selection = load_settings("mini").selection
    assert selection.numbers is None and not (selection.exclusions or selection.spans or selection.strength_rules)
