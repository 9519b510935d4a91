from __future__ import annotations

import json
import os
import re
import runpy
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import dynface_video
from dynface_video.cli.main import main
from dynface_video.config import OPTIONS, load_settings
from dynface_video.errors import InputError, JobError, ModelError

ROOT = Path(dynface_video.__file__).parents[1]


@dataclass
class FakeApi:
    """Stands where `dynface_video.api` is: the command line is tested without models and videos."""

    error: BaseException | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()

    def restore_video(self, source: Path, target: Path, *, progress: Callable[..., None], **options: Any) -> Any:
        self.calls.append({"source": source, "target": target, **options})
        overrides = {name: value for name, value in options.items() if name not in ("config", "overwrite", "resume")}
        load_settings(overrides.pop("preset"), options["config"], overrides)
        sys.stdout.write("a library that chatters on standard output\n")
        for stage in ("analyze", "restore", "assemble"):
            progress(stage, 0, 50)
            progress(stage, 50, 50)
        if self.error is not None:
            raise self.error
        result = {
            "output": str(target), "frames": 50, "faces": 48, "tracks": 1, "skipped_faces": 2, "unet_evaluations": 480,
            "seconds": {"analyze": 1.25, "restore": 2.5, "assemble": 0.125}, "warnings": list(self.warnings),
            "skip_reasons": {"too short": 1, "too small": 2},
        }  # fmt: skip
        return SimpleNamespace(**result | {"warnings": self.warnings}, as_dict=lambda: result)

    def analyze_video(self, source: Path, *, progress: Callable[..., None], **options: Any) -> Any:
        self.calls.append({"source": source, **options})
        progress("analyze", 50, 50)
        track = SimpleNamespace(number=3, start=2, stop=50, size=96.04)
        levels = SimpleNamespace(mean=lambda: 1.5)
        return SimpleNamespace(
            frame_count=50,
            shots=[SimpleNamespace(start=0, stop=50)],
            tracks=[SimpleNamespace(track=track, levels=levels, grey=True, restore=True)],
            skipped_face_count=2,
            skip_reasons=Counter({"too blurred to be known": 2}),
            warnings=self.warnings,
            save=lambda path: path.write_text("{}"),
        )


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()
    module = ModuleType("dynface_video.api")
    module.restore_video, module.analyze_video = fake.restore_video, fake.analyze_video  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "dynface_video.api", module)
    monkeypatch.setattr(dynface_video, "api", module, raising=False)
    return fake


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Give a command; returns the exit code, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


Command = Callable[..., tuple[int, str, str]]


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
    assert "out.mkv: 50 frames, 48 faces of 1 track restored with 480 network evaluations" in out
    assert "; 3 faces skipped: 2 too small, 1 too short" in out and "restore 2.5 s" in out
    assert len(out.splitlines()) == 2


def test_every_option_reaches_the_library(api: FakeApi, command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("restoration: {trust: 0.02}")
    options = {
        "preset": "archive", "config": tmp_path / "mine.yaml", "strength": 0.7, "num_inference_steps": 8,
        "faces": "largest", "seed": 5, "workers": 2, "device": "cpu", "codec": "libx265", "crf": 21,
        "encoder_preset": "slow", "pix_fmt": "yuv422p", "interlaced": "keep", "grayscale": "off", "images": "stills",
        "fps": "24000/1001", "image_format": "tif", "grain": 0.5, "address": "head:6379",
    }  # fmt: skip
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    code, _, err = command(
        "restore", "in.mkv", "-o", "out.mkv", *flags, "--mezzanine", "--copy-untouched", "--overwrite", "--restart"
    )
    assert code == 0, err
    expected = options | {
        "mezzanine": True,
        "copy_untouched": True,
        "source": Path("in.mkv"),
        "target": Path("out.mkv"),
        "overwrite": True,
        "resume": False,
    }
    assert api.calls == [expected]


def test_what_is_not_given_is_left_to_the_preset(api: FakeApi, command: Command) -> None:
    command("restore", "in.mkv", "-o", "out.mkv")
    (call,) = api.calls
    given = {name: value for name, value in call.items() if value not in (None, False)}
    assert given == {"source": Path("in.mkv"), "target": Path("out.mkv"), "preset": "mini", "resume": True}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("in.mkv does not exist; check its name"), 2),
        (ModelError("the weights are missing"), 1),
        (JobError("the disk is full"), 1),
        (RuntimeError("CUDA error: something\nlong"), 1),
    ],
)
def test_errors_are_one_line_and_an_exit_code(api: FakeApi, command: Command, error: Exception, code: int) -> None:
    api.error = error
    ended, out, err = command("restore", "in.mkv", "-o", "out.mkv", "--json")
    assert (ended, out) == (code, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert str(error).split("\n")[0] in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [JobError("the disk is full"), RuntimeError("odd")])
def test_verbose_shows_where_an_error_came_from(api: FakeApi, command: Command, error: Exception) -> None:
    api.error = error
    _, _, err = command("restore", "in.mkv", "-o", "out.mkv", "-v")
    assert "Traceback" in err and Path(__file__).name in err
    assert err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--strength", "2"], "error: strength is 2.0; it must be at least 0 and at most 1"),
        (["--faces", "some"], "error: faces is 'some'; it must be 'all' or 'largest'"),
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


@pytest.mark.parametrize("flag", ["--mezzanine", "--no-mezzanine"])
def test_a_flag_can_be_turned_off_again(api: FakeApi, command: Command, flag: str) -> None:
    command("restore", "in.mkv", "-o", "out.mkv", flag)
    assert api.calls[0]["mezzanine"] is (flag == "--mezzanine")


def test_steps_is_short_for_num_inference_steps(api: FakeApi, command: Command) -> None:
    command("restore", "in.mkv", "-o", "out.mkv", "--steps", "4")
    assert api.calls[0]["num_inference_steps"] == 4


def test_the_help_of_each_command_has_the_options_that_settings_declare(command: Command) -> None:
    for name in ("restore", "batch", "analyze"):
        said = " ".join(command(name, "--help")[1].split())
        for option in OPTIONS.values():
            assert (re.search(rf"{option.flags[0]}\b", said) is not None) == (name in option.option.commands), (
                name,
                option.name,
            )
    assert "0 stays closest to the input, 1 invents most detail. [default: 0.6]" in " ".join(
        command("restore", "--help")[1].split()
    )


@pytest.mark.parametrize("words", [[], ["restore"], ["batch"], ["analyze"], ["status"], ["demo"], ["settings"]])
def test_every_help_ends_with_examples(command: Command, words: list[str]) -> None:
    examples = command(*words, "--help")[1].split("Examples:\n")[1].splitlines()
    assert examples and all(line.strip().startswith(" ".join(["dynface-video", *words])) for line in examples)


def test_a_shell_completes_commands() -> None:
    program = "import sys; sys.argv = ['dynface-video']; from dynface_video.cli.main import main; main()"
    environment = os.environ | {
        "_DYNFACE_VIDEO_COMPLETE": "complete_bash", "COMP_WORDS": "dynface-video re", "COMP_CWORD": "1",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["restore"]


def test_printed_settings_are_a_configuration(command: Command, tmp_path: Path) -> None:
    code, out, _ = command("settings", "--preset", "archive")
    (tmp_path / "printed.yaml").write_text(out)
    assert code == 0 and load_settings("mini", tmp_path / "printed.yaml") == load_settings("archive")


def test_an_output_must_be_named(api: FakeApi, command: Command) -> None:
    code, _, err = command("restore", "in.mkv")
    assert code == 2 and "--output" in err


def test_an_interruption_says_how_to_resume(api: FakeApi, command: Command, tmp_path: Path) -> None:
    api.error = KeyboardInterrupt()
    target = tmp_path / "out.mkv"
    code, _, err = command("restore", "in.mkv", "-o", str(target))
    assert code == 130 and err.endswith("interrupted before anything was done\n")

    (tmp_path / "out.mkv.job").mkdir()
    code, out, err = command("restore", "in.mkv", "-o", str(target))
    assert (code, out) == (130, "")
    assert f"{target}.job: give the same command without --restart to resume" in err.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as a signal")
def test_a_real_interrupt_ends_with_130(tmp_path: Path) -> None:
    program = (
        "import signal, sys, time, types, dynface_video\n"
        # A shell's background job is started with interrupts ignored; the tests may run in one.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def restore_video(*a, progress, **k):\n"
        "    progress('analyze', 1, 9)\n"
        "    time.sleep(60)\n"
        "sys.modules['dynface_video.api'] = types.SimpleNamespace(restore_video=restore_video)\n"
        "from dynface_video.cli.main import main\n"
        "main(['restore', 'in.mkv', '-o', 'out.mkv'])\n"
    )
    (tmp_path / "out.mkv.job").mkdir()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        assert "analyze: 1 of 9 frames" in running.stderr.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert "out.mkv.job" in err and "Traceback" not in err


def test_analyze_describes_and_writes(api: FakeApi, command: Command, tmp_path: Path) -> None:
    target = tmp_path / "analysis.json"
    code, out, _ = command("analyze", "in.mkv", "-o", str(target), "--faces", "largest")
    assert code == 0 and target.exists()
    assert "50 frames, 1 shot, 1 face track" in out
    assert "track 3: frames 2 to 49, 96 px, blur level 1.50, grey" in out
    assert out.endswith(f"2 faces skipped: 2 too blurred to be known\nthe whole analysis is in {target}\n")
    assert api.calls[0]["faces"] == "largest"

    assert "analysis is in" not in command("analyze", "in.mkv")[1]
    code, out, err = command("analyze", "in.mkv", "-o", str(target), "--json")
    assert (code, out) == (2, "") and "--overwrite" in err
    code, out, _ = command("analyze", "in.mkv", "-o", str(target), "--json", "--overwrite")
    assert code == 0 and json.loads(out)["tracks"][0]["size"] == 96.0


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
        return SimpleNamespace(videos=(), interrupted_by=None, count=lambda status: 0, as_dict=lambda: {"videos": []})

    monkeypatch.setitem(sys.modules, "dynface_video.api", SimpleNamespace(restore_batch=restore_batch))
    monkeypatch.setattr(dynface_video, "api", sys.modules["dynface_video.api"], raising=False)
    monkeypatch.setattr(sys, "argv", ["restore_archive.py", "films", "more.csv", "-o", "out", "--json"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "pipelines" / "restore_archive.py"), run_name="__main__")
    assert not ended.value.code and json.loads(capsys.readouterr().out) == {"videos": []}
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
