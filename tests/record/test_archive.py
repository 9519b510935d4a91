"""A record as a file: read back as written, refused when damaged or of a later version."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from dynface_video.errors import InputError
from dynface_video.record.archive import Record, add_result, read_result, record_path
from made_records import made_analysis, made_record, made_result, made_skipped, made_track


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    analysis = made_analysis([made_track(0, 0, 30), made_track(1, 5, 20)], 30, 2, made_skipped(2, 30))
    return made_record(analysis, tmp_path_factory.mktemp("record"), finished=False)


def test_a_record_is_read_back_as_written(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path / "a.record.zip")
    loaded = Record.load(tmp_path / "a.record.zip")
    for name in ("facts", "measures", "stills", "skipped", "shots", "excerpts", "media", "result"):
        assert getattr(loaded, name) == getattr(record, name)
    assert loaded.analysis.shots == record.analysis.shots and loaded.result is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.record.zip"]


def test_the_same_record_is_the_same_file(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path / "a.zip")
    record.save(tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_result_is_added_later(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path / "a.zip")
    add_result(tmp_path / "a.zip", made_result(record.analysis))
    assert Record.load(tmp_path / "a.zip").result == made_result(record.analysis)
    assert read_result(tmp_path / "a.zip") == made_result(record.analysis)


def test_without_a_result_it_is_empty(record: Record, tmp_path: Path) -> None:
    record.save(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"no archive")
    assert [read_result(tmp_path / f"{name}.zip") for name in "abc"] == [{}, {}, {}]


def test_other_files_and_later_formats_are_refused(record: Record, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"a\.zip is not the record of a restoration"):
        Record.load(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("record.json", json.dumps({"format": 99, "version": "9.0"}))
    with pytest.raises(InputError, match=r"written by a later version \(9\.0\)"):
        Record.load(tmp_path / "b.zip")


def test_the_record_is_beside_the_output_under_a_name_that_fits() -> None:
    assert record_path(Path("films/a.mkv")) == Path("films/a.mkv.record.zip")
    long = record_path(Path("films") / ("x" * 250 + ".mkv"))
    assert len(long.name) == 255 and long.name.endswith(".record.zip") and long.parent == Path("films")
