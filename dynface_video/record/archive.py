"""A record as a file: a ZIP archive beside the output, `OUTPUT.record.zip`.

    record.json      what was done with what; the measures; which picture shows what
    result.json      digest of the output, totals, times and warnings; only of a finished restoration
    analysis.json    the first pass's result
    pictures/*.jpg   stills before and after, skipped faces, a picture of each shot
    excerpts/*.mp4   source above, output below

Members that are compressed already are stored. The format is versioned (`FORMAT` in record.json); a reader refuses what
is newer.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dynface_video.errors import InputError, JobError
from dynface_video.media.io.files import complete_or_nothing, named_beside
from dynface_video.passes.analysis import Analysis
from dynface_video.passes.choosing import resolve
from dynface_video.record.measure import RunMeasures

FORMAT = 1
SUFFIX = ".record.zip"
RECORD, RESULT, ANALYSIS = "record.json", "result.json", "analysis.json"


@dataclass(frozen=True, eq=False)
class Record:
    """What is known about a restoration.

    Attributes:
        facts: JSON values: version, created, settings, models, source, encoding, restored_frames.
        analysis: Of the first pass, with the choice as it was made.
        measures: Of runs of frames.
        stills: Entries with person, track, frame, and the member names of the pictures, before and after.
        skipped: Entries with the position in `Analysis.skipped_faces`, frame and picture.
        shots: Entries with the shot's position, frame and picture.
        excerpts: Entries with person (None for the whole picture), start, stop, width, height, seconds and video.
        media: The pictures and videos by member name.
        result: JSON values: output, finished, and what `jobs.task.Totals` holds; None while it is not finished.
        starting_steps: Of the tracks, by number, whose steps are not those of the analysis because their strength is
            another, (S, T) each.
    """

    facts: dict[str, Any]
    analysis: Analysis
    measures: tuple[RunMeasures, ...] = ()
    stills: tuple[dict[str, Any], ...] = ()
    skipped: tuple[dict[str, Any], ...] = ()
    shots: tuple[dict[str, Any], ...] = ()
    excerpts: tuple[dict[str, Any], ...] = ()
    media: Mapping[str, bytes] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    starting_steps: Mapping[int, np.ndarray] = field(default_factory=dict)

    @cached_property
    def plan(self) -> Analysis:
        """The analysis with what was done to every frame: restored or not, shown how much, from which step."""
        plan = resolve(self.analysis)
        steps = self.starting_steps
        tracks = (replace(one, starting_steps=steps.get(one.track.number, one.starting_steps)) for one in plan.tracks)
        return replace(plan, tracks=tuple(tracks))

    def save(self, path: Path) -> None:
        """Write the archive, which appears only when it is complete; raises OSError if it cannot be written."""
        document = {
            "format": FORMAT,
            **self.facts,
            "starting_steps": {str(number): steps.tolist() for number, steps in self.starting_steps.items()},
            "measures": [one.to_json() for one in self.measures],
            "stills": list(self.stills),
            "skipped": list(self.skipped),
            "shots": list(self.shots),
            "excerpts": list(self.excerpts),
        }
        with complete_or_nothing(path, shared=True) as partial, zipfile.ZipFile(partial, "w") as archive:
            _write(archive, RECORD, json.dumps(document, indent=1).encode(), zipfile.ZIP_DEFLATED)
            _write(archive, ANALYSIS, self._analysis_text(), zipfile.ZIP_DEFLATED)
            for name, content in self.media.items():
                _write(archive, name, content, zipfile.ZIP_STORED)

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read what `save` wrote.

        Raises:
            InputError: It is missing, damaged, or of a later version.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                raw = json.loads(archive.read(RECORD))
                if raw.pop("format") > FORMAT:
                    raise InputError(f"{path} was written by a later version ({raw.get('version')}); update this one")
                with tempfile.TemporaryDirectory() as folder:
                    archive.extract(ANALYSIS, folder)
                    analysis = Analysis.load(Path(folder) / ANALYSIS)
                names = set(archive.namelist())
                media = {name: archive.read(name) for name in sorted(names - {RECORD, RESULT, ANALYSIS})}
                result = json.loads(archive.read(RESULT)) if RESULT in names else None
            lists = {name: tuple(raw.pop(name)) for name in ("stills", "skipped", "shots", "excerpts")}
            steps = {int(number): np.array(rows, np.int64) for number, rows in raw.pop("starting_steps").items()}
            measures = tuple(RunMeasures.from_json(one) for one in raw.pop("measures"))
        except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError, JobError) as error:
            raise InputError(f"{path} is not the record of a restoration ({error})") from error
        return cls(raw, analysis, measures, media=media, result=result, starting_steps=steps, **lists)

    def _analysis_text(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            self.analysis.save(Path(folder) / ANALYSIS)
            return (Path(folder) / ANALYSIS).read_bytes()


def changed_steps(analysis: Analysis, plan: Analysis) -> dict[int, np.ndarray]:
    """The starting steps, by track, in which a plan differs from the analysis it was made from."""
    pairs = zip(analysis.tracks, plan.tracks, strict=True)
    return {
        one.track.number: planned.starting_steps
        for one, planned in pairs
        if not np.array_equal(one.starting_steps, planned.starting_steps)
    }


def add_result(path: Path, result: dict[str, Any]) -> None:
    """Add the result to a record that has none.

    Args:
        path: Of the archive.
        result: As of `Record`.

    Raises:
        OSError: It cannot be written.
    """
    with zipfile.ZipFile(path, "a") as archive:
        _write(archive, RESULT, json.dumps(result, indent=1).encode(), zipfile.ZIP_DEFLATED)


def read_result(path: Path) -> dict[str, Any]:
    """The result alone of a record, without its pictures; empty if it has none or cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = json.loads(archive.read(RESULT))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def record_path(output: Path) -> Path:
    """Where the record of an output, a file or folder, is: `OUTPUT.record.zip` beside it (`named_beside`)."""
    return named_beside(output, SUFFIX)


def _write(archive: zipfile.ZipFile, name: str, content: bytes, compression: int) -> None:
    # A fixed date: the same record is the same file.
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.external_attr = 0o644 << 16
    archive.writestr(member, content, compression)
