"""The commands `models ...`: which public networks are on this machine, and how they get there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dynface_video.cli.console import columns, complain, print_answer, reporting
from dynface_video.cli.model_making import convert, fit
from dynface_video.cli.options import Json, Verbose, examples
from dynface_video.errors import InputError, ModelError

if TYPE_CHECKING:
    from rich.console import Console

    from dynface_video.models.registry import ModelFile
    from dynface_video.models.registry.transfer import Progress

RECORDED, UNKNOWN = "digest recorded at the first download", "no declared digest: it is recorded at the first download"

models = typer.Typer(
    name="models",
    help="List, fetch and verify public networks.",
    epilog=examples(
        "dynface-video models list",
        "dynface-video models fetch gfpgan-1.4",
        "dynface-video models fetch ffhq512 --accept-license",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)


def _known_names(incomplete: str) -> list[str]:
    """Names that a shell completes; without those of a catalogue that cannot be read."""
    from dynface_video.models.registry.catalogue import SETS, built_in, catalogue

    try:
        names = [*catalogue(), *SETS]
    except InputError:
        names = [*built_in(), *SETS]
    return [name for name in names if name.startswith(incomplete)]


Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME...",
        help="Names of files or sets, as `models list` shows them.",
        show_default=False,
        autocompletion=_known_names,
    ),
]
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="Name of a file, as `models list` shows it.", autocompletion=_known_names),
]


@models.command("list")
def list_models(as_json: Json = False, verbose: Verbose = False) -> None:
    """Print the catalogue: each file, whether it is on this machine, its size, licence and purpose."""
    with reporting(verbose, _nothing_changed):
        from dynface_video.models.registry import catalogue, home
        from dynface_video.models.registry.catalogue import SETS

        files = list(catalogue().values())
        rows = [_row(file) for file in files]
        answer = {"home": str(home()), "models": rows, "sets": {name: list(SETS[name]) for name in SETS}}
        sets = [f"{name}: {', '.join(SETS[name])}" for name in SETS]
        lines = [*_table(rows), "", *sets, f"files are kept in {home() / 'models'}"]
    print_answer(answer, lines, as_json)


@models.command(
    epilog=examples(
        "dynface-video models fetch gfpgan-1.4",
        "dynface-video models fetch codeformer --accept-license",
        "dynface-video models fetch ffhq512 --accept-license --mirror /media/stick/models",
    )
)
def fetch(
    names: Names,
    accept_license: Annotated[
        bool,
        typer.Option(
            "--accept-license", help="Accept the licences of these files that forbid commercial use; asked once."
        ),
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL", help="Folder or URL to try first. [default: the variable DYNFACE_MODEL_MIRROR]"
        ),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Fetch files, resume what was interrupted, and verify them. Files that are present and valid are kept.

    A file appears under its name only when it is complete and has the right digest. With HF_HUB_OFFLINE=1 only a
    mirror folder and file:// sources are used.
    """
    rows = []
    with reporting(verbose, lambda: "interrupted; give the same command to resume") as console:
        from dynface_video.models import registry

        files = _members(names)
        # Of all of them before the first is downloaded.
        registry.require_licences(files, accepting=accept_license)
        for file in files:
            with _progress(console, file) as progress:
                done = registry.fetch(file.name, mirror=mirror, progress=progress)
            for line in _terms(file):
                complain(line)
            rows.append(_row(file) | {"fetched": bool(done.source)})
            if not as_json:
                complain(f"{file.name}: {_what_was_done(done)}")
    print_answer(rows, [row["path"] for row in rows], as_json)


@models.command()
def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME...]", help="Names of files or sets; default: all that are present."),
    ] = None,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Read files again and compare their SHA-256 with the declared one, or with that of the first download."""
    rows, damaged = [], False
    with reporting(verbose, _nothing_changed):
        from dynface_video.models import registry

        files = (
            _members(names) if names else [f for f in registry.catalogue().values() if registry.local_path(f).exists()]
        )
        for file in files:
            try:
                record = registry.verify(file)
                rows.append({"name": file.name, "sha256": record.sha256, "declared": record.declared})
            except ModelError as error:
                damaged = True
                complain(f"error: {error}")
                rows.append({"name": file.name, "error": str(error)})
        lines = [_verified(row) for row in rows if "error" not in row] or ["no file was verified"]
    print_answer(rows, lines, as_json)
    if damaged:
        raise typer.Exit(ModelError.exit_code)


@models.command()
def path(name: Name, verbose: Verbose = False) -> None:
    """Print the path of a verified file, for scripts. If it is missing, the error names the command to fetch it."""
    with reporting(verbose, _nothing_changed):
        from dynface_video.models import registry

        found = registry.resolve(name)
    typer.echo(str(found))


@models.command()
def remove(names: Names, verbose: Verbose = False) -> None:
    """Delete files, their records and unfinished downloads from this machine."""
    with reporting(verbose, lambda: "interrupted"):
        from dynface_video.models import registry

        lines = []
        for file in _members(names):
            removed = registry.remove(file.name)
            lines.append(f"removed {removed}" if removed else f"{file.name} was not on this machine")
    typer.echo("\n".join(lines))


models.command(
    epilog=examples(
        "dynface-video models convert iddpm_ffhq512_ema500000.pth -o prior/",
        "dynface-video models convert mine.pth -o prior/ --config mine.json",
    )
)(convert)
models.command(
    epilog=examples(
        "dynface-video models fit --restorer gfpgan-1.4 --faces crops/ -o fitted/",
        "dynface-video models fit --adjuster --faces crops/ -o fitted/ --device cuda",
    )
)(fit)


def _nothing_changed() -> str:
    return "interrupted; nothing was changed"


def _members(names: list[str]) -> list[ModelFile]:
    from dynface_video.models.registry import members

    return list({file.name: file for name in names for file in members(name)}.values())


def _row(file: ModelFile) -> dict[str, Any]:
    from dynface_video.models.registry import licence_of, local_path, state
    from dynface_video.models.registry.cache import read_record

    record = read_record(file)
    return {
        "name": file.name,
        "state": state(file).value,
        "kind": file.kind,
        "purpose": file.purpose,
        "licence": file.licence,
        "commercial_use": licence_of(file.licence).commercial_use,
        "size": file.size or (record.size if record else None),
        "sha256": file.sha256 or (record.sha256 if record else None),
        "digest": "declared" if file.sha256 else RECORDED if record else UNKNOWN,
        "sources": list(file.sources),
        "path": str(local_path(file)),
        "note": file.note,
    }


def _table(rows: list[dict[str, Any]]) -> list[str]:
    cells = [("name", "state", "size", "licence", "purpose")]
    for row in rows:
        licence = row["licence"] + ("" if row["commercial_use"] else " (no commercial use)")
        digest = "" if row["digest"] == "declared" else f"; {row['digest']}"
        cells.append((row["name"], row["state"], _megabytes(row["size"]), licence, row["purpose"] + digest))
    return columns(cells)


def _megabytes(size: int | None) -> str:
    return "-" if size is None else f"{size / 1e6:.1f} MB"


def _terms(file: ModelFile) -> list[str]:
    from dynface_video.models.registry import licence_of

    licence = licence_of(file.licence)
    terms = [] if licence.commercial_use else [f"{file.name}: {licence.summary()}"]
    return [*terms, f"{file.name}: {file.note}"] if file.note else terms


def _what_was_done(done: Any) -> str:
    if not done.source:
        return f"is present and verified, SHA-256 {done.sha256}"
    digest = "as declared" if done.declared else "recorded, as none is declared: compare it with another machine's"
    return f"fetched from {done.source}; SHA-256 {done.sha256} ({digest})"


def _verified(row: dict[str, Any]) -> str:
    return f"{row['name']}: {row['sha256']} ({'declared' if row['declared'] else 'of the first download'})"


@contextmanager
def _progress(console: Console, file: ModelFile) -> Iterator[Progress]:
    """A bar of bytes on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bars:
        task = bars.add_task(file.name, total=file.size)
        yield lambda done, total: bars.update(task, completed=done, total=total)
