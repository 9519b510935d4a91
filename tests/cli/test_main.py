from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dynface_video
from dynface_video.config import load_settings
from dynface_video.errors import SelectionError
from dynface_video.jobs.album import PictureAccount
from dynface_video.results import BatchResult
from fake_api import Command, FakeApi

ROOT = Path(dynface_video.__file__).parents[1]


def test_standard_output_is_one_json_object_and_nothing_else(api: FakeApi, command: Command) -> None:
    api.warnings = ("a damaged packet at 3.2 s",)
    code, out, err = command("restore", "in.mkv", "-o", "out.mkv", "--json")
    answer = json.loads(out)
    assert code == 0
    assert {"frames", "faces", "tracks", "unet_evaluations", "seconds", "output"} <= answer.keys()
    assert (answer["output"], answer["seconds"]["restore"]) == ("out.mkv", 2.5)
    assert "warning: a damaged packet at 3.2 s" in err
    assert "chatters" in err


def test_without_json_a_person_gets_a_short_summary(api: FakeApi, command: Command) -> None:
    code, out, _ = command("restore", "in.mkv", "-o", "out.mkv")
    assert code == 0
    assert "out.mkv: 50 frames, 1 face restored (48 crops, 12 with detail drawn by the prior)" in out
    assert "; 3 faces skipped: 2 too small, 1 too short" in out and "restore 2.5 s" in out
    assert len(out.splitlines()) == 3
    assert out.splitlines()[-1] == (
        "limits that skipped faces: --min-size (too small), detection.minimum_length (too short); "
        "dynface-video settings explains them"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--strength", "2"], "error: strength is 2.0; it must be at least 0 and at most 1"),
        (["--faces", "some"], "error: faces is 'some'; it must be all, largest or numbers such as 1,3"),
        (["--device", "cuda:1", "--workers", "2"], "or 1 worker on cuda:1"),
        (["--preset", "huge"], "error: unknown preset 'huge'"),
        (["--config", "absent.yaml"], "error: the configuration absent.yaml cannot be read"),
        (["--steps", "many"], "--steps"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_unusable_options_end_with_2_and_are_named(
    api: FakeApi, command: Command, flags: list[str], message: str
) -> None:
    code, out, err = command("restore", "in.mkv", "-o", "out.mkv", *flags)
    assert (code, out) == (2, "")
    assert message in err


def test_several_errors_are_told_at_once_and_before_the_networks_libraries_load(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("minimum_size: 30\ndetection: {interval: 0}\n")
    program = (
        "import sys\nfrom dynface_video.cli.main import main\n"
        "try: main(['restore', 'in.mkv', '-o', 'out.mkv', '--config', 'mine.yaml', '--strength', '2'])\n"
        "finally: print(*{name.split('.')[0] for name in sys.modules})"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: 3 settings cannot be used:",
        "  mine.yaml: detection.interval is 0; it must be at least 1",
        "  mine.yaml: unknown setting 'minimum_size'; did you mean detection.minimum_size?",
        "  strength is 2.0; it must be at least 0 and at most 1",
    ]
    assert not {"torch", "av", "cv2", "numpy", "ray", "scipy", "diffusers"} & set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("dynface-video re", {"restore", "report"}),
        ("dynface-video restore a.mp4 --prese", {"--preset"}),
        ("dynface-video restore a.mp4 --preset ar", {"archive"}),
        ("dynface-video restore a.mp4 --grayscale o", {"on", "off"}),
    ],
)
def test_a_shell_completes_commands_options_and_their_words(words: str, completed: set[str]) -> None:
    program = "import sys; sys.argv = ['dynface-video']; from dynface_video.cli.main import main; main()"
    environment = os.environ | {
        "_DYNFACE_VIDEO_COMPLETE": "complete_bash", "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert set(done.stdout.split()) == completed


def test_printed_settings_are_a_configuration(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("settings", "--preset", "archive")
    (tmp_path / "printed.yaml").write_text(out)
    assert code == 0 and load_settings("mini", tmp_path / "printed.yaml") == load_settings("archive")


def test_a_dry_run_plans_and_restores_nothing(api: FakeApi, command: Command) -> None:
    code, out, _ = command("restore", "in.mkv", "-o", "out.mkv", "--dry-run", "--codec", "libx264")
    assert code == 0 and out.startswith("out.mkv: about 50 frames, 64x48, libx264 yuv420p\n")
    assert json.loads(command("restore", "in.mkv", "-o", "out.mkv", "--dry-run", "--json")[1])["disk"] == 1000
    assert [("resume" in call, call.get("codec")) for call in api.calls] == [(False, "libx264"), (False, None)]


def test_an_album_with_a_picture_that_cannot_be_read_names_it_and_ends_with_3(api: FakeApi, command: Command) -> None:
    readable = PictureAccount("a.jpg", "a.jpg", "no_face", unchanged=True)
    api.pictures = (readable, PictureAccount("b.jpg", None, "unreadable", reason="damaged"))
    code, out, _ = command("restore", "album", "-o", "restored")
    assert code == 3 and "  b.jpg: unreadable, not in the output" in out.splitlines()
    assert command("restore", "album", "-o", "restored", "--json")[0] == 3
    api.pictures = (readable, readable)
    assert command("restore", "album", "-o", "restored")[0] == 0


def test_a_source_that_is_cut_off_ends_with_3_and_the_output_is_named(api: FakeApi, command: Command) -> None:
    api.missing = "1.6 s of video is missing"
    code, out, _ = command("restore", "in.mkv", "-o", "out.mkv")
    assert code == 3 and out.startswith("out.mkv: 50 frames")
    assert "the source is cut off or damaged: 1.6 s of video is missing; the rest is restored" in out.splitlines()
    code, out, _ = command("restore", "in.mkv", "-o", "out.mkv", "--json")
    assert code == 3 and json.loads(out)["missing"] == api.missing


def test_an_output_must_be_named(api: FakeApi, command: Command) -> None:
    code, _, err = command("restore", "in.mkv")
    assert code == 2 and "--output" in err


def test_analyze_describes_and_writes(api: FakeApi, command: Command, tmp_path: Path) -> None:
    target = tmp_path / "analysis.json"
    code, out, _ = command("analyze", "in.mkv", "-o", str(target), "--faces", "largest")
    assert code == 0 and target.exists()
    assert "50 frames, 1 shot, 1 track of 1 person" in out
    assert "track 3, person 1: frames 2 to 49, 96 px, blur level 1.25%, grey" in out
    assert f"2 faces skipped: 2 too blurred\nthe whole analysis is in {target}\nnext, " in out
    assert out.endswith(f"dynface-video restore INPUT -o OUTPUT --analysis {target}\n")
    assert api.calls[0]["faces"] == "largest"

    assert "analysis is in" not in command("analyze", "in.mkv")[1]
    code, out, err = command("analyze", "in.mkv", "-o", str(target), "--json")
    assert (code, out) == (2, "") and "--overwrite" in err
    code, out, _ = command("analyze", "in.mkv", "-o", str(target), "--json", "--overwrite")
    assert code == 0 and json.loads(out)["tracks"][0]["size"] == 96.0


def test_an_analysis_survives_a_wrong_choice(api: FakeApi, command: Command, tmp_path: Path) -> None:
    target, error = tmp_path / "analysis.json", SelectionError("person 7 is not in the video")
    api.error = error
    code, out, err = command("analyze", "in.mkv", "-o", str(target), "--faces", "7")
    assert (code, out) == (2, "") and "person 7" in err and not target.exists()
    error.found = SimpleNamespace(save=lambda path: path.write_text("{}"), warnings=("a damaged packet at 3.2 s",))  # type: ignore[assignment]
    assert "the analysis is in" not in command("analyze", "in.mkv", "--faces", "7")[2]
    code, out, err = command("analyze", "in.mkv", "-o", str(target), "--faces", "7")
    assert (code, out) == (2, "") and f"person 7 is not in the video; the analysis is in {target}" in err
    assert "warning: a damaged packet" in err and target.read_text() == "{}"


def test_the_demo_goes_to_its_folder(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def run_demo(out: Path, **options: Any) -> Any:
        seen.append((out, options["overwrite"], options["preset"]))
        return SimpleNamespace(table=lambda: "what was gained", as_dict=lambda: {"frames": 75}, warnings=())

    monkeypatch.setattr("dynface_video.cli.demo.run_demo", run_demo)
    assert command("demo")[:2] == (0, "what was gained\n")
    assert json.loads(command("demo", "--out", "elsewhere", "--overwrite", "--json")[1]) == {"frames": 75}
    assert seen == [(Path("dynface_demo"), False, "mini"), (Path("elsewhere"), True, "mini")]


def test_the_demo_keeps_what_is_there(command: Command, tmp_path: Path) -> None:
    (tmp_path / "restored.mp4").write_bytes(b"precious")
    code, out, err = command("demo", "--out", str(tmp_path))
    assert (code, out) == (2, "") and "--overwrite" in err


@pytest.mark.parametrize("command_words", [["--help"], ["restore", "--help"]])
def test_help_loads_nothing_heavy(command_words: list[str]) -> None:
    # What makes help slow is what it imports; a clock would measure the machine's other work.
    program = (
        "import sys\nfrom dynface_video.cli.main import main\n"
        f"try: main({command_words!r})\n"
        "except SystemExit: print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ("--strength" if "restore" in command_words else "demo") in done.stdout
    assert not {"torch", "av", "cv2", "numpy", "ray", "scipy", "diffusers"} & set(done.stderr.split())


def test_the_version_is_the_packages(command: Command) -> None:
    assert command("--version")[:2] == (0, f"dynface-video {dynface_video.__version__}\n")


def test_the_archive_job_is_a_batch_on_the_cluster(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[dict[str, Any]] = []

    def restore_batch(sources: list[str], folder: str, **options: Any) -> Any:
        calls.append({"sources": sources, "folder": folder, **options})
        return BatchResult((), Path("out/batch.jsonl"))

    monkeypatch.setitem(sys.modules, "dynface_video.api", SimpleNamespace(restore_batch=restore_batch))
    monkeypatch.setattr(dynface_video, "api", sys.modules["dynface_video.api"], raising=False)
    monkeypatch.setattr(sys, "argv", ["restore_archive.py", "films", "more.csv", "-o", "out", "--json"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "pipelines" / "restore_archive.py"), run_name="__main__")
    assert not ended.value.code and json.loads(capsys.readouterr().out)["videos"] == []
    assert (calls[0]["sources"], calls[0]["folder"], calls[0]["address"]) == (["films", "more.csv"], "out", "auto")


def test_the_cluster_job_restores_on_the_cluster(
    api: FakeApi, command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["restore_video.py", "in.mkv", "-o", "out.mkv", "--workers", "3", "--json"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "pipelines" / "restore_video.py"), run_name="__main__")
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["frames"] == 50
    assert (api.calls[0]["workers"], api.calls[0]["address"]) == (3, "auto")
