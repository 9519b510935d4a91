"""The picture of the people of a video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dynface_video.errors import InputError
from dynface_video.passes.face_sheet import TILE, Portrait, draw_sheet, times_in_short, write_picture
from dynface_video.passes.people import PersonSummary, Sighting


def person(number: int, spans: int = 1) -> PersonSummary:
    times = tuple((Fraction(10 * i), Fraction(10 * i + 5)) for i in range(spans))
    best = Sighting(3, 0, np.zeros((5, 2), np.float32))
    return PersonSummary(number, (0,), ((0, 5),), times, 125, 80.0, 0.02, 300.0, best, True)


def test_every_face_is_on_the_sheet_beside_its_number() -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    portraits = [Portrait(person(i + 1), np.full((TILE, TILE, 3), c, np.uint8)) for i, c in enumerate(colours)]
    sheet = np.asarray(draw_sheet(portraits))
    shown = [np.argwhere((sheet == c).all(axis=2)) for c in colours]
    for own in shown:
        # All of the tile but the number's badge.
        assert 0.9 * TILE**2 < len(own) < TILE**2
    assert shown[0][:, 1].mean() < shown[1][:, 1].mean()


def test_more_times_than_fit_are_counted() -> None:
    assert times_in_short(person(1, 1), 2) == "00:00-00:05"
    assert times_in_short(person(1, 5), 2) == "00:00-00:05, 00:10-00:15 +3"


def test_a_picture_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    write_picture(tmp_path / "sheet.png", Image.new("RGB", (20, 10)))
    assert Image.open(tmp_path / "sheet.png").size == (20, 10)
    with pytest.raises(InputError, match=r"\.xyz is not a picture format"):
        write_picture(tmp_path / "sheet.xyz", Image.new("RGB", (20, 10)))
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"]
