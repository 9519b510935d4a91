"""The commands for many videos: `batch`, and `status` for their state, from another shell."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynface_video.cli.console import PARTLY_FAILED, SIGNALLED, columns, complain, print_answer, reporting
from dynface_video.cli.options import Config, Json, Preset, Restart, Verbose, setting_options
from dynface_video.cli.summary import count
from dynface_video.cli.watch import FolderWatch, watch
from dynface_video.config import Overrides, load_settings
from dynface_video.config.option import BATCH
from dynface_video.errors import INCOMPLETE, InputError

if TYPE_CHECKING:
    from rich.console import Console

    from dynface_video.results import BatchResult

NAMED = 20
"""Finished outputs that `status` names one by one."""


@setting_options(BATCH)
def batch(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Videos, folders of videos, and lists of videos with options of their own (.csv, .jsonl).",
            show_default=False,
        ),
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="The folder for the outputs.")],
    *,
    overrides: Overrides,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace existing outputs instead of skipping them.")
    ] = False,
    restart: Restart = False,
    watching: Annotated[
        bool, typer.Option("--watch", help="Keep watching the folders and restore new videos until stopped.")
    ] = False,
    preset: Preset = "mini",
    config: Config = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Restore many videos with one pool of workers and print a table of the results.

    Existing outputs are skipped and unfinished jobs are resumed, so the same command continues after any interruption.
    Exit codes: 0 all done, 1 all failed, 2 unusable options, 3 part of it failed, or part of a source could not be read
    (the rest is restored), 130 interrupted, 143 stopped by SIGTERM.
    """
    codes = [0]

    def restore(select: Callable[[str], bool] | None, replace: bool = False) -> bool:
        changed = {"overwrite": True, "resume": False} if replace else {}
        result = _restore(console, sources, output, select, common | changed)
        with redirect_stdout(standard_output):
            print_answer(result.as_dict(), _table(result), as_json)
        codes.append(_exit_code(result))
        return result.interrupted_by is None

    standard_output = sys.stdout
    with reporting(verbose, lambda: "interrupted") as console:
        load_settings(preset, config, overrides)
        common: dict[str, Any] = {
            "preset": preset, "config": config, "overwrite": overwrite, "resume": not restart, **overrides,
        }  # fmt: skip
        if watching:
            folders = _folders(sources)
            complain(f"watching {', '.join(sources)}; Ctrl-C stops")
            watch(FolderWatch(folders), restore)
        else:
            restore(None)
    if codes[-1]:
        raise typer.Exit(codes[-1])


def _restore(
    console: Console, sources: list[str], output: str, select: Callable[[str], bool] | None, options: dict[str, Any]
) -> BatchResult:
    from dynface_video import api
    from dynface_video.cli.progress import progress_display

    with progress_display(console) as report:
        result = api.restore_batch(sources, output, progress=report, on_plan=complain, select=select, **options)
    for row in result.videos:
        for warning in row.totals.warnings:
            complain(f"warning: {row.source}: {warning}")
        if row.error is not None:
            complain(f"error: {row.source}: {row.error}")
    if result.interrupted_by is not None:
        complain("interrupted; finished work is kept: give the same command to resume")
    return result


def _folders(sources: list[str]) -> list[Path]:
    for source in sources:
        if not Path(source).is_dir():
            raise InputError(f"{source} is not a local folder, which --watch needs")
    return [Path(source) for source in sources]


def status(
    job: Annotated[
        Path,
        typer.Argument(
            metavar="[PATH]",
            help="A job's directory, its output, or the folder of a batch; this folder if none is named.",
            show_default=False,
        ),
    ] = Path(),
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Print the progress of a job, or of a batch and all its jobs, also while they run."""
    with reporting(verbose, lambda: "interrupted"):
        from dynface_video.jobs.status import read_status

        found = read_status(job)
        lines = _said(found)
    print_answer(found, lines, as_json)


def _exit_code(result: BatchResult) -> int:
    if result.interrupted_by is not None:
        return SIGNALLED + result.interrupted_by
    bad = sum(result.count(status) for status in ("failed", "unfinished", "waiting"))
    if bad == 0:
        return PARTLY_FAILED if any(row.totals.missing for row in result.videos) else 0
    return 1 if bad == len(result.videos) else PARTLY_FAILED


def _table(result: BatchResult) -> list[str]:
    head = ("status", "frames", "faces", "seconds", "output")
    rows = [
        (
            row.status,
            str(row.totals.frames or "-"),
            str(row.totals.tracks if row.totals.frames else "-"),
            f"{sum(row.totals.seconds.values()):.1f}" if row.totals.seconds else "-",
            row.output,
        )
        for row in result.videos
    ]
    counts = ", ".join(
        f"{n} {name}" for name in ("done", "skipped", "failed", "unfinished", "waiting") if (n := result.count(name))
    )
    again = any(result.count(status) for status in ("failed", "unfinished", "waiting"))
    then = ["next: give the same command again; it skips finished videos"] if again else []
    incomplete = [
        f"{row.source}: {INCOMPLETE.format(row.totals.missing)}" for row in result.videos if row.totals.missing
    ]
    return [*columns([head, *rows]), *incomplete, f"{counts}; every segment is in {result.log}", *then]


def _said(found: dict[str, Any]) -> list[str]:
    lines = [line for job in found["jobs"] for line in _described(job)]
    if found["finished"]:
        return _finished(found["finished"])
    if found["batch"] is None:
        return lines
    # Failures of videos that have a job's directory are described with the job.
    described = {job["error"] for job in found["jobs"]}
    failed = [one for one in found["batch"]["failures"] if one["error"] not in described]
    return [_overview(found["batch"]), *(f"  {one['source']}: {one['error']}" for one in failed), *lines]


def _finished(outputs: list[dict[str, Any]]) -> list[str]:
    from dynface_video.cli.progress import duration
    from dynface_video.jobs.estimate import format_bytes

    lines = []
    for one in outputs[-NAMED:]:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["time"]))
        ago = duration(max(0.0, time.time() - one["time"]))
        lines.append(f"{one['output']}: finished, written {at} ({ago} ago), {format_bytes(one['bytes'])}")
    more = [f"and {len(outputs) - NAMED} more"] if len(outputs) > NAMED else []
    return [*lines, *more, "no unfinished job"]


def _overview(batch: dict[str, Any]) -> str:
    from dynface_video.cli.progress import duration

    names = ("done", "running", "failed", "unfinished", "waiting")
    line = f"{batch['videos']} videos: {', '.join(f'{batch[name]} {name}' for name in names if batch[name])}"
    if batch["seconds_left"] is not None:
        line += f"; about {duration(batch['seconds_left'])} left"
    elif not batch["running"] and batch["unfinished"] + batch["waiting"]:
        line += "; not running: give the same command again to resume"
    return line


def _described(job: dict[str, Any]) -> list[str]:
    from dynface_video.cli.progress import duration, speed

    state = "running" if job["running"] else "not running"
    of = f" of {job['frames']}" if job["frames"] else ""
    parts = [f"{job['stage']}: {job['frames_done']}{of} frames"]
    if job["frames_per_second"]:
        parts.append(speed(job["frames_per_second"]))
    if job["seconds_left"] is not None:
        parts.append(f"about {duration(job['seconds_left'])} left")
    lines = [f"{job['output']} ({state}): {', '.join(parts)}, {count(job['segments_done'], 'segment')} done"]
    if not job["running"] and not job["error"]:
        lines[0] += "; give the same command again to resume"
    lines += [
        f"  frames {one['start']} to {one['stop'] - 1}: {one['reason']} (attempt {one['attempt']})"
        for one in job["failures"]
    ]
    return [*lines, *([f"  {job['error']}"] if job["error"] else [])]
