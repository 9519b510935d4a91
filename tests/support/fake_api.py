"""Stands where `dynface_video.api` is: the command line is tested without models and videos."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from dynface_video.config import load_settings
from dynface_video.jobs.album import PictureAccount
from dynface_video.jobs.preview import PreviewResult
from dynface_video.passes.people import PersonSummary, Sighting
from dynface_video.results import ListedPerson, RestorePlan

Command = Callable[..., tuple[int, str, str]]
"""Gives a command; returns the exit code, standard output and standard error."""


@dataclass
class FakeApi:
    """Takes the calls; `error` is raised by them."""

    error: BaseException | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    pictures: tuple[PictureAccount, ...] = ()
    missing: str = ""

    def restore_video(self, source: Path, target: Path, *, progress: Callable[..., None], **options: Any) -> Any:
        self.calls.append({"source": source, "target": target, **options})
        overrides = {
            name: value for name, value in options.items() if name not in ("config", "overwrite", "resume", "analysis")
        }
        load_settings(overrides.pop("preset"), options["config"], overrides)
        sys.stdout.write("a library that chatters on standard output\n")
        for stage in ("analyze", "restore", "assemble"):
            progress(stage, 0, 50)
            progress(stage, 50, 50)
        if self.error is not None:
            raise self.error
        result = {
            "output": str(target), "frames": 50, "faces": 48, "tracks": 1, "skipped_faces": 2, "unet_evaluations": 480,
            "drawn_faces": 12,
            "seconds": {"analyze": 1.25, "restore": 2.5, "assemble": 0.125}, "warnings": list(self.warnings),
            "skip_reasons": {"too short": 1, "too small": 2}, "models": [], "record": None,
            "missing": self.missing,
        }  # fmt: skip
        return SimpleNamespace(
            **result | {"warnings": self.warnings, "pictures": self.pictures}, as_dict=lambda: result
        )

    def plan_video(self, source: Path, target: Path, **options: Any) -> RestorePlan:
        self.calls.append({"source": source, "target": target, **options})
        return RestorePlan(target, 50, (64, 48), ("libx264", "yuv420p"), 1000, 2000, None)

    def analyze_video(self, source: Path, *, progress: Callable[..., None], **options: Any) -> Any:
        self.calls.append({"source": source, **options})
        progress("analyze", 50, 50)
        if self.error is not None:
            raise self.error
        track = SimpleNamespace(number=3, start=2, stop=50, size=96.04)
        levels = np.array([[0.02, 0.04], [0.01, 0.015], [0.0, 0.0]])
        return SimpleNamespace(
            frame_count=50,
            shots=[SimpleNamespace(start=0, stop=50)],
            tracks=[SimpleNamespace(track=track, levels=levels, grey=True, restore=True, person=1)],
            skipped_face_count=2,
            skip_reasons=Counter({"too blurred": 2}),
            warnings=self.warnings,
            save=lambda path: path.write_text("{}"),
        )

    def preview_video(
        self, source: Path, target: Path, span: str, *, progress: Callable[..., None], **options: Any
    ) -> Any:
        self.calls.append({"source": source, "target": target, "span": span, **options})
        progress("restore", 50, 50)
        return PreviewResult(target, 50, 48, (2,), Fraction(30))

    def compare_videos(self, *paths: Path, progress: Callable[..., None], **options: Any) -> int:
        self.calls.append({"paths": paths, **options})
        return 6

    def list_people(self, source: Path, *, progress: Callable[..., None], **options: Any) -> Any:
        self.calls.append({"source": source, **options})
        progress("analyze", 50, 50)
        best = Sighting(12, 0, np.zeros((5, 2), np.float32))
        times = tuple((Fraction(10 * i), Fraction(10 * i + 2)) for i in range(4))
        summary = PersonSummary(1, (0, 3), ((2, 50),), times, 48, 96.04, 0.0123, 210.4, best, True)
        found = SimpleNamespace(frame_count=50, skip_reasons=Counter({"too small": 2}), warnings=self.warnings)
        return found, [ListedPerson(summary, 6.9)]
