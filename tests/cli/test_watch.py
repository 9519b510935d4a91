from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dynface_video.cli.watch import INTERVAL, SETTLED, FolderWatch, watch


def put(path: Path, size: int, changed: float) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(bytes(size))
    os.utime(path, (changed, changed))


def test_a_file_is_taken_once_when_it_no_longer_grows(tmp_path: Path) -> None:
    now = 1000.0
    watched, film = FolderWatch([tmp_path], clock=lambda: now), tmp_path / "below" / "film.mkv"
    put(film, 10, changed=now)
    assert watched.take() == set()
    put(film, 20, changed=now)
    now += SETTLED
    assert watched.take() == set()
    assert watched.take() == {str(film)}
    assert watched.take() == set()


def test_a_file_that_changed_a_moment_ago_waits(tmp_path: Path) -> None:
    now = 1000.0
    watched, film = FolderWatch([tmp_path], clock=lambda: now), tmp_path / "film.mkv"
    put(film, 10, changed=now)
    put(tmp_path / "empty.mkv", 0, changed=0)
    put(tmp_path / "note.txt", 5, changed=0)
    put(tmp_path / ".part" / "film.mkv", 5, changed=0)
    assert watched.take() == watched.take() == set()
    now += SETTLED
    assert watched.take() == {str(film)}


def test_a_file_that_is_replaced_is_taken_again(tmp_path: Path) -> None:
    watched, film = FolderWatch([tmp_path], clock=lambda: 1000.0), tmp_path / "film.mkv"
    for size in (10, 30):
        put(film, size, changed=500.0 + size)
        assert watched.take() == set()
        assert watched.take() == {str(film)}


def test_videos_are_restored_as_they_appear_until_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds: list[set[str]] = []
    slept: list[float] = []
    names = ("first.mkv", "second.mkv")

    def restore(select: Callable[[str], bool], replace: bool = False) -> bool:
        assert not replace
        rounds.append({name for name in names if select(str(tmp_path / name))})
        return len(rounds) < 2

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        put(tmp_path / names[len(rounds)], 10, changed=0.0)

    monkeypatch.setattr(time, "sleep", sleep)
    watch(FolderWatch([tmp_path], clock=lambda: 1000.0), restore)
    assert rounds == [{"first.mkv"}, {"second.mkv"}]
    assert set(slept) == {INTERVAL}


def test_a_video_whose_copy_had_only_paused_is_restored_again_and_its_output_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[tuple[set[str], bool]] = []
    film, other = tmp_path / "film.mkv", tmp_path / "other.mkv"

    def restore(select: Callable[[str], bool], replace: bool = False) -> bool:
        rounds.append(({path.name for path in (film, other) if select(str(path))}, replace))
        return len(rounds) < 3

    def sleep(seconds: float) -> None:
        if len(rounds) == 1:
            put(other, 10, changed=0.0)
        put(film, 20 if rounds else 10, changed=0.0)

    monkeypatch.setattr(time, "sleep", sleep)
    watch(FolderWatch([tmp_path], clock=lambda: 1000.0), restore)
    assert rounds == [({"film.mkv"}, False), ({"other.mkv"}, False), ({"film.mkv"}, True)]
