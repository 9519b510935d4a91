"""A process that carries out requests of projects: `python -m dynface_video.ui.work OPTIONS`.

It reads the folders of projects, a JSON string a line, and answers each with a line when its request is done. The
networks stay loaded from one request to the next.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynface_video.config.times import TimeSpan
from dynface_video.errors import DynfaceError, JobMismatchError
from dynface_video.jobs.lock import job_lock
from dynface_video.media.io.files import complete_or_nothing, write_atomically
from dynface_video.ui.project import COMPARE, FIND, PREVIEW, WORK, Project, Request

if TYPE_CHECKING:
    from dynface_video.passes.model_cache import ModelCache

logger = logging.getLogger(__name__)

WIDEST = 1280
"""Most pixels across one of the two pictures of a clip."""
REPORT_INTERVAL = 0.5
"""Seconds between two reports of progress."""
LOOK_INTERVAL = 0.3
"""Seconds between two checks whether the request is to be stopped."""


@dataclass
class ProgressFile:
    """Writes the progress of a request to a file, for the page. path: the file"""

    path: Path
    _written: float = field(default=0.0, init=False)

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take a report."""
        if time.monotonic() - self._written < REPORT_INTERVAL and done != total:
            return
        self._written = time.monotonic()
        with suppress(OSError):
            self.path.write_text(json.dumps({"stage": stage, "done": done, "total": total}))


def work_on(project: Project, options: dict[str, Any], networks: ModelCache) -> bool:
    """Carry out a project's request. It stays in the queue if it is interrupted.

    Args:
        project: The project.
        options: Arguments of the functions of `dynface_video.api`: preset, config, device.
        networks: Of this process.

    Returns:
        Whether the process is fit for another request: not when threads of this one may go on, or its memory may be
        exhausted.

    Raises:
        InputError: Another process is working on the project.
    """
    with job_lock(project.folder / WORK):
        request = project.request
        if request is None or request.stop:
            return True
        report = ProgressFile(project.progress_path)
        report("begin", 0, None)
        failure, fit = "", True
        try:
            with _stopping(project):
                _carry_out(project, request, options | {"progress": report, "networks": networks})
        except KeyboardInterrupt:
            return False
        except DynfaceError as error:
            failure = str(error)
        except Exception as error:  # of any kind: the page shows it
            traceback.print_exc()
            failure, fit = f"unexpected {type(error).__name__}: {error}", False
        finally:
            project.progress_path.unlink(missing_ok=True)
        project.end(failure)
        return fit


def _carry_out(project: Project, request: Request, options: dict[str, Any]) -> None:
    if request.action == FIND:
        _find_people(project, options)
    elif request.action == PREVIEW:
        _preview(project, request, options)
    elif request.action == COMPARE:
        _compare(project, request, options)
    else:
        _restore(project, options)


def _find_people(project: Project, options: dict[str, Any]) -> None:
    from PIL import Image

    from dynface_video import api
    from dynface_video.config import load_settings
    from dynface_video.jobs.source import probe_source
    from dynface_video.passes.face_sheet import read_portraits

    found = api.analyze_video(project.source, **options)
    settings = load_settings(**_arguments(options))
    project.portrait(0).parent.mkdir(exist_ok=True)
    for portrait in read_portraits(probe_source(project.source, settings), found):
        with complete_or_nothing(project.portrait(portrait.person.number)) as partial:
            Image.fromarray(portrait.picture).save(partial, "PNG")
    # The analysis comes last: with it the people count as found.
    partial = project.analysis.with_suffix(".partial")
    found.save(partial)
    without = {name: value for name, value in options.items() if name != "networks"}
    _, people = api.list_people(project.source, analysis=partial, **without)
    project.save_people([person.as_dict() for person in people], found.strength)
    partial.replace(project.analysis)


def _restore(project: Project, options: dict[str, Any]) -> None:
    from dynface_video import api

    chosen = project.folder / "chosen.json"
    _write_choice(project, chosen)

    def restore(resume: bool) -> None:
        api.restore_video(project.source, project.output, analysis=chosen, overwrite=True, resume=resume, **options)

    try:
        restore(resume=True)
    except JobMismatchError:
        # Another choice than that of the unfinished job.
        restore(resume=False)


def _preview(project: Project, request: Request, options: dict[str, Any]) -> None:
    from dynface_video.config import load_settings
    from dynface_video.jobs.preview import PreviewRequest, make_preview
    from dynface_video.jobs.source import probe_source
    from dynface_video.threads import network_threads

    chosen = project.folder / "chosen.json"
    _write_choice(project, chosen)
    settings = load_settings(**_arguments(options))
    wanted = PreviewRequest(_span(request), compare="side", analysis=chosen, width=WIDEST)
    with network_threads(settings.execution.threads):
        info, report = probe_source(project.source, settings), options["progress"]
        make_preview(info, project.preview, settings, wanted, report, options["networks"])


def _compare(project: Project, request: Request, options: dict[str, Any]) -> None:
    from dynface_video.config import load_settings
    from dynface_video.jobs.compare import ComparisonRequest, make_comparison

    wanted = ComparisonRequest(span=_span(request), width=WIDEST)
    sources = project.source, project.output
    make_comparison(sources, project.comparison, load_settings(**_arguments(options)), wanted, options["progress"])


def _span(request: Request) -> TimeSpan:
    # The decimal that was written, not the binary fraction next to it: a frame may lie exactly there.
    start = Fraction(str(request.start))
    return TimeSpan(start, start + Fraction(str(request.seconds)))


def _arguments(options: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `load_settings` from those of the functions of `dynface_video.api`."""
    others = ("preset", "config", "progress", "networks")
    overrides = {name: value for name, value in options.items() if name not in others}
    return {"preset": options["preset"], "config": options["config"], "overrides": overrides}


def _write_choice(project: Project, path: Path) -> None:
    """Write the analysis with the people that were chosen, and the strength for each."""
    analysis, choice = json.loads(project.analysis.read_text()), project.choice
    for person in analysis["people"]:
        person["restore"], person["strength"] = person["number"] in choice, choice.get(person["number"])
    write_atomically(path, json.dumps(analysis))


@contextmanager
def _stopping(project: Project) -> Iterator[None]:
    """Inside the block, a request that is to be stopped interrupts the main thread, as Ctrl-C does."""
    ended = threading.Event()

    def look() -> None:
        before = ""
        while not ended.wait(LOOK_INTERVAL):
            request = project.request
            wanted = request.stop if request is not None else ""
            if wanted != before:
                # The first signal stops after the segment under way, the second at once.
                for _ in range(2 if wanted == "now" and not before else 1):
                    _interrupt()
                    time.sleep(LOOK_INTERVAL)
            before = wanted

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _interrupt() -> None:
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.SIGINT)
    else:
        signal.raise_signal(signal.SIGINT)


def serve(options: dict[str, Any]) -> None:
    """Carry out the requests of the projects that standard input names, until it ends; answers on standard output."""
    from dynface_video.passes.model_cache import ModelCache

    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # A library's words on standard output would count as answers.
    os.dup2(2, 1)
    networks, fit = ModelCache(), True
    while fit and (line := sys.stdin.readline()):
        project = Project(Path(json.loads(line)))
        with open(project.log, "ab") as log:
            # Of native libraries, too.
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        fit = work_on(project, options, networks)
        if fit:
            answers.write("done\n")


def main(arguments: list[str]) -> None:
    """Carry out requests; options as a JSON object."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    # A server that ends tells it by SIGTERM; Ctrl-C in its terminal does not come here.
    signal.signal(signal.SIGTERM, lambda number, frame: signal.default_int_handler(number, frame))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        serve(json.loads(arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
