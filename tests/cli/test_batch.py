from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dynface_video
from dynface_video.cli.main import main
from dynface_video.jobs.batch import BatchRow
from dynface_video.jobs.task import Totals
from dynface_video.results import BatchResult

Restore = Callable[..., BatchResult]


@pytest.fixture
def restore_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[Restore], None]:
    """Puts a function in the place of `dynface_video.api.restore_batch`."""

    def put(restore: Restore) -> None:
        fake = SimpleNamespace(restore_batch=restore)
        monkeypatch.setitem(sys.modules, "dynface_video.api", fake)
        monkeypatch.setattr(dynface_video, "api", fake, raising=False)

    return put


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    return int(end.value.code or 0)


def rows(*statuses: str) -> tuple[BatchRow, ...]:
    totals = Totals(frames=50, faces=48, tracks=2, seconds={"restore": 2.5}, warnings=["a damaged packet"])
    return tuple(
        BatchRow(f"{number}.avi", f"out/{number}.avi.mkv", status, totals, "no video" if status == "failed" else None)
        for number, status in enumerate(statuses)
    )


@pytest.mark.parametrize(
    ("statuses", "interrupted_by", "code"),
    [
        (["done", "skipped"], None, 0),
        (["failed", "failed"], None, 1),
        (["done", "failed"], None, 3),
        (["done", "unfinished", "waiting"], 2, 130),
        (["done", "waiting"], 15, 143),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    statuses: list[str], interrupted_by: int | None, code: int, restore_with: Callable[[Restore], None]
) -> None:
    restore_with(lambda *arguments, **options: BatchResult(rows(*statuses), Path("batch.jsonl"), interrupted_by))
    assert ended("batch", "films", "-o", "out") == code


def test_a_source_that_is_cut_off_is_named_and_ends_with_3(
    restore_with: Callable[[Restore], None], capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = BatchRow("0.avi", "out/0.avi.mkv", "done", Totals(frames=50, missing="1.6 s of video is missing"))
    restore_with(lambda *arguments, **options: BatchResult((damaged, *rows("done")), Path("batch.jsonl")))
    assert ended("batch", "films", "-o", "out") == 3
    said = "0.avi: the source is cut off or damaged: 1.6 s of video is missing; the rest is restored"
    assert capsys.readouterr().out.splitlines()[3:] == [said, "2 done; every segment is in batch.jsonl"]


def test_the_table_names_every_video_and_counts(
    restore_with: Callable[[Restore], None], capsys: pytest.CaptureFixture[str]
) -> None:
    restore_with(lambda *arguments, **options: BatchResult(rows("done", "failed"), Path("batch.jsonl")))
    ended("batch", "films", "-o", "out")
    said = capsys.readouterr()
    assert [line.split() for line in said.out.splitlines()[:3]] == [
        ["status", "frames", "faces", "seconds", "output"],
        ["done", "50", "2", "2.5", "out/0.avi.mkv"],
        ["failed", "50", "2", "2.5", "out/1.avi.mkv"],
    ]
    assert said.out.splitlines()[3] == "1 done, 1 failed; every segment is in batch.jsonl"
    assert "warning: 0.avi: a damaged packet" in said.err and "error: 1.avi: no video" in said.err


def test_a_watched_folder_is_restored_until_stopped(
    restore_with: Callable[[Restore], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls: list[dict[str, Any]] = []

    def appear(seconds: float) -> None:
        path = tmp_path / f"{len(calls)}.mkv"
        path.write_bytes(b"film")
        os.utime(path, (0, 0))

    def restore(sources: list[str], folder: str, **options: Any) -> BatchResult:
        calls.append(options)
        assert options["select"](str(tmp_path / f"{len(calls) - 1}.mkv"))
        assert not options["select"](str(tmp_path / f"{len(calls)}.mkv"))
        return BatchResult(rows("done"), Path("batch.jsonl"), None if len(calls) < 3 else 2)

    monkeypatch.setattr(time, "sleep", appear)
    restore_with(restore)
    assert ended("batch", str(tmp_path), "-o", "out", "--watch", "--json", "--strength", "0.3") == 130
    assert [json.loads(line)["done"] for line in capsys.readouterr().out.splitlines()] == [1, 1, 1]
    assert [call["strength"] for call in calls] == [0.3] * 3


def test_only_a_folder_can_be_watched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("batch", str(tmp_path), "list.csv", "-o", "out", "--watch") == 2
    assert "list.csv is not a local folder, which --watch needs" in capsys.readouterr().err
