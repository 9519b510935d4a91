"""Which videos a batch is made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynface_video.errors import InputError
from dynface_video.jobs.manifest import read_entries


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_folders_keep_their_shape_and_containers_that_lose_times_become_matroska(tmp_path: Path) -> None:
    for name in ("films/a.mp4", "films/1950/b.mpg", "films/.c.mp4", "films/x.mp4.job/d.mp4", "films/notes.txt"):
        write(tmp_path / name)
    entries = read_entries([str(tmp_path / "films")], "out")
    assert {entry.output for entry in entries} == {"out/a.mp4", "out/1950/b.mpg.mkv"}


def test_a_list_gives_each_video_its_own_options(tmp_path: Path) -> None:
    table = write(
        tmp_path / "list.csv",
        "source,output,strength,faces,mezzanine,preset\na.mkv,x.mkv,0.3,largest,true,\nb.mkv,,,,,archive\n",
    )
    first, second = read_entries([str(table)], "out")
    assert (first.source, first.output) == (str(tmp_path / "a.mkv"), "out/x.mkv")
    assert dict(first.overrides) == {"strength": 0.3, "faces": "largest", "mezzanine": True}
    assert (second.output, second.preset, dict(second.overrides)) == ("out/b.mkv", "archive", {})
    lines = write(tmp_path / "list.jsonl", '{"source": "s3://films/a.mov", "seed": 4}\n\n{"source": "/b.avi"}\n')
    first, second = read_entries([str(lines)], "s3://done/here/")
    assert (first.source, first.output, dict(first.overrides)) == (
        "s3://films/a.mov",
        "s3://done/here/a.mov",
        {"seed": 4},
    )
    assert (second.source, second.output) == ("/b.avi", "s3://done/here/b.avi.mkv")


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("source;output;strength;mezzanine\nMädchen, 1950.mkv;x.mkv;0,3;true\nb.mkv;;;\n;;;\n", "utf-8-sig"),
        ("sep=;\nsource;output;strength;mezzanine\nMädchen, 1950.mkv;x.mkv;0,3;true\nb.mkv;;;\n", "cp1252"),
        ("source\toutput\tstrength\tmezzanine\nMädchen, 1950.mkv\tx.mkv\t0,3\ttrue\nb.mkv\t\t\t\n", "utf-8"),
    ],
)
def test_a_european_spreadsheet_is_a_list_too(text: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode(encoding))
    first, second = read_entries([str(tmp_path / "list.csv")], "out")
    assert (first.source, first.output) == (str(tmp_path / "Mädchen, 1950.mkv"), "out/x.mkv")
    assert dict(first.overrides) == {"strength": 0.3, "mezzanine": True}
    assert (second.source, dict(second.overrides)) == (str(tmp_path / "b.mkv"), {})


def test_a_name_that_has_no_room_for_a_second_ending_gets_another_one() -> None:
    entries = read_entries([f"films/{'x' * length}.avi" for length in (247, 248)], "out")
    assert [entry.output for entry in entries] == [f"out/{'x' * 247}.avi.mkv", f"out/{'x' * 248}.mkv"]


def test_the_line_of_a_mistake_is_counted_from_the_top_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3"):
        read_entries([str(write(tmp_path / "a.csv", "sep=;\nsource;strenght\nx.mp4;1\n"))], "out")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "source,strenght\nx.mp4,1\n", r"line 2: 'strenght' is not an option of a single video"),
        ("a.csv", "source,workers\nx.mp4,1\n", r"'workers' is not an option of a single video"),
        ("a.csv", "source,output\n,y.mp4\n", "names no source"),
        ("a.jsonl", "{", "line 1 is not JSON"),
        ("a.jsonl", "[1]", "must be an object"),
        ("a.csv", "source\n", "no video in"),
    ],
)
def test_a_bad_list_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_entries([str(write(tmp_path / name, text))], "out")


def test_two_videos_do_not_become_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="would both become"):
        read_entries(["x/a.mp4", "y/a.mp4"], "out")
    assert len(read_entries(["x/a.mp4", "x/a.mp4"], "out")) == 1
