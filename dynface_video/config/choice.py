"""Which faces are restored, when and how strongly, as users write it: `1,3`, `2@00:20-00:30`, `1=0.4@00:10-00:15`."""

from __future__ import annotations

from dataclasses import dataclass

from dynface_video.config.times import TimeSpan, parse_span

EVERYBODY = "all"
NUMBER = "people are numbered from 1, see dynface-video faces"


@dataclass(frozen=True)
class Rule:
    """What is done with some people for some time; a later rule takes precedence over an earlier one.

    Attributes:
        people: Their numbers; empty for all.
        span: When; None for the whole video.
        restore: False leaves them as in the source.
        strength: In [0, 1]; None keeps the configured strength.
    """

    people: tuple[int, ...] = ()
    span: TimeSpan | None = None
    restore: bool = True
    strength: float | None = None


def parse_people(text: str) -> tuple[int, ...]:
    """Numbers of people, separated by commas; raises ValueError for anything else."""
    return tuple(_person(part) for part in _parts(text))


def parse_spans(text: str) -> tuple[TimeSpan, ...]:
    """Spans of time, separated by commas; raises ValueError for anything else."""
    return tuple(parse_span(part) for part in _parts(text))


def parse_exclusions(text: str) -> tuple[Rule, ...]:
    """Rules that leave people as they are: `PERSON[@START-STOP]`, separated by commas, `all` for everybody.

    Raises:
        ValueError: Anything else.
    """
    rules = []
    for part in _parts(text):
        person, _, span = part.partition("@")
        if person == EVERYBODY and not span:
            raise ValueError("excluding all would restore nobody; name people, or a time: all@START-STOP")
        rules.append(Rule(_people(person), parse_span(span) if "@" in part else None, restore=False))
    return tuple(rules)


def parse_strengths(text: str) -> tuple[Rule, ...]:
    """Rules of strength: `PERSON=STRENGTH[@START-STOP]`, separated by commas, `all` for everybody.

    Raises:
        ValueError: Anything else.
    """
    rules = []
    for part in _parts(text):
        person, sign, rest = part.partition("=")
        value, _, span = rest.partition("@")
        if not sign:
            raise ValueError(f"{part!r} is not PERSON=STRENGTH, such as 1=0.4 or 1=0.4@00:10-00:15")
        rules.append(
            Rule(_people(person), parse_span(span) if "@" in rest else None, strength=parse_strength(value.strip()))
        )
    return tuple(rules)


def parse_strength(text: str) -> float:
    """A strength; raises ValueError for anything but a number from 0 to 1."""
    try:
        strength = float(text)
    except ValueError:
        strength = -1.0
    if not 0 <= strength <= 1:
        raise ValueError(f"the strength {text!r} is not a number from 0 to 1")
    return strength


def _parts(text: str) -> list[str]:
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"{text!r} has nothing between two commas, or at an end")
    return parts


def _people(text: str) -> tuple[int, ...]:
    return () if text.strip() == EVERYBODY else (_person(text),)


def _person(text: str) -> int:
    text = text.strip()
    if not text.isdecimal() or int(text) == 0:
        raise ValueError(f"{text!r} is not a person's number; {NUMBER}")
    return int(text)
