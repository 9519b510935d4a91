"""Times and spans as users write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from dynface_video.config.times import TimeSpan, format_time, parse_span, parse_time


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("5s", 5), ("90.5", Fraction(181, 2)), ("01:30", 90), ("1:02:03.25", Fraction(14893, 4)), ("0", 0)],
)
def test_times_are_read_exactly(text: str, seconds: Fraction) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "1:2:3:4", "-3", "1:75", "ten", "1.5:00", "00:10-00:20"])
def test_what_is_no_time_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"time|seconds"):
        parse_time(text)


def test_spans_may_be_open_and_hold_their_start_but_not_their_end() -> None:
    span = parse_span("00:10-00:25")
    assert span == TimeSpan(Fraction(10), Fraction(25)) and str(span) == "00:10-00:25"
    assert [span.holds(Fraction(time)) for time in (9, 10, 24, 25)] == [False, True, True, False]
    assert parse_span("10-").holds(Fraction(10**6)) and parse_span("-10").holds(Fraction(0))


@pytest.mark.parametrize("text", ["00:10", "00:25-00:10", "5-5", "-", "1-2-3"])
def test_what_is_no_span_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"span|ends"):
        parse_span(text)


@pytest.mark.parametrize("text", ["00:00", "00:09.5", "01:30", "1:02:03.25"])
def test_a_time_is_written_as_it_is_read(text: str) -> None:
    assert format_time(parse_time(text)) == text
