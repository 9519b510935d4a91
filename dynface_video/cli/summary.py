"""Results of the commands as text, and the analysis as JSON data.

A face is one over a span of time, restored as a track or skipped; a crop is a face in one frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dynface_video.errors import INCOMPLETE

if TYPE_CHECKING:
    import numpy as np

    from dynface_video.jobs.album import PictureAccount
    from dynface_video.passes.analysis import Analysis
    from dynface_video.results import RestorePlan, RestoreResult


REMEDIES = {
    "too small": "--min-size",
    "too short": "detection.minimum_length",
    "too dark": "detection.minimum_brightness",
    "too blurred": "detection.maximum_uncertainty",
    "too uncertain": "--detect-threshold",
    "out of focus": "detection.skip_blurred_background",
    "seen from the side": "--max-yaw",
}
"""What changes the limit behind a reason for which faces are skipped: an option, or a setting for `--config`."""
NAMED_PICTURES = 20
"""Up to so many pictures have a line each; of more, only those in which a face, or all of it, is not restored."""


def restore_summary(result: RestoreResult) -> list[str]:
    """The lines that `restore` ends with."""
    if len(result.pictures) > 1:
        return album_summary(result)
    work = f" ({crops_drawn(result.faces, result.drawn_faces)})" if result.faces else ""
    done = f"{result.output}: {count(result.frames, 'frame')}, {count(result.tracks, 'face')} restored{work}"
    if result.skip_reasons:
        done += f"; {skipped(result.skip_reasons)}"
    return [
        done,
        *([INCOMPLETE.format(result.missing)] if result.missing else []),
        *map(_picture_line, result.pictures),
        *models_used(result.models),
        _times(result),
        *next_steps(result.skip_reasons),
        *([] if result.record is None else [f"what was done to whom: dynface-video report {result.output}"]),
    ]


def crops_drawn(faces: int, drawn: int) -> str:
    """How many crops were restored, such as "48 crops, 12 with detail drawn by the prior"."""
    return f"{count(faces, 'crop')}, {drawn or 'none'} with detail drawn by the prior"


def next_steps(skip_reasons: Mapping[str, int]) -> list[str]:
    """A line with the options that would restore skipped faces; empty if no option would."""
    limits = [f"{remedy} ({reason})" for reason, remedy in REMEDIES.items() if skip_reasons.get(reason)]
    return [f"limits that skipped faces: {', '.join(limits)}; dynface-video settings explains them"] if limits else []


def album_summary(result: RestoreResult) -> list[str]:
    """The lines that `restore` prints at the end for several pictures: one for each, then the totals."""
    whole = [one for one in result.pictures if one.status == "restored" and not one.skip_reasons]
    named = [one for one in result.pictures if len(result.pictures) <= NAMED_PICTURES or one not in whole]
    statuses = Counter(one.status for one in result.pictures)
    parts = [f"{statuses[status]} {words}" for status, words in PICTURE_STATUSES.items() if statuses[status]]
    unchanged = sum(one.unchanged for one in result.pictures)
    lines = [f"  {_picture_line(one)}" for one in named]
    lines.append(f"{result.output}: {count(len(result.pictures), 'picture')}: {', '.join(parts)}")
    if unchanged:
        lines[-1] += f"; {unchanged} of them unchanged, byte for byte"
    return [*lines, *models_used(result.models), _times(result), *next_steps(result.skip_reasons)]


PICTURE_STATUSES = {
    "restored": "restored",
    "skipped": "with faces of which none was restored",
    "no_face": "without a face",
    "unreadable": "unreadable",
}
"""What became of pictures, in words."""


def _picture_line(picture: PictureAccount) -> str:
    if picture.output is None:
        return f"{picture.source}: unreadable, not in the output"
    parts = [f"{count(picture.restored, 'face')} restored"] if picture.restored else []
    parts += [skipped(picture.skip_reasons)] if picture.skip_reasons else []
    parts += [] if picture.faces else ["no face found"]
    if not picture.restored:
        parts.append("the file is unchanged" if picture.unchanged else "the file is encoded again")
    return f"{picture.source}: {'; '.join(parts)}"


def _times(result: RestoreResult) -> str:
    return ", ".join(f"{stage} {spent:.1f} s" for stage, spent in result.seconds.items())


def models_used(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line with the public networks that were used and their licences; empty for the embedded ones alone."""
    named = [
        f"{model['name']} ({model['licence']}{'' if model['commercial_use'] else ', no commercial use'})"
        for model in models
    ]
    return [f"public networks used: {', '.join(named)}"] if named else []


def plan_summary(plan: RestorePlan) -> list[str]:
    """The lines that `restore --dry-run` prints."""
    from dynface_video.jobs.estimate import format_bytes, format_time_range

    parts = [f"about {count(plan.frames, 'frame')}" if plan.frames is not None else "length unknown"]
    if plan.size is not None and plan.encoding is not None:
        parts += [f"{plan.size[0]}x{plan.size[1]}", f"{plan.encoding[0]} {plan.encoding[1]}"]
    lines = [f"{plan.output}: {', '.join(parts)}"]
    if plan.faces is not None and plan.people is not None:
        lines.append(f"{count(plan.faces, 'crop')} to restore, of {_people(plan.people)}")
    if plan.disk is not None:
        lines.append(f"up to {format_bytes(plan.disk)} of disk space in the meantime, {format_bytes(plan.free)} free")
    if plan.seconds is not None:
        depends = ", depending on the faces" if plan.faces is None else " to restore them on this CPU, by rule of thumb"
        lines.append(f"{format_time_range(*plan.seconds)}{depends}")
    return [*lines, "nothing was written"]


def _people(numbers: Sequence[int]) -> str:
    if not numbers:
        return "nobody"
    return f"{'person' if len(numbers) == 1 else 'people'} {', '.join(str(number) for number in numbers)}"


def analysis_overview(analysis: Analysis) -> dict[str, Any]:
    """An analysis in short, as JSON data."""
    tracks = [
        {
            "number": found.track.number,
            "person": found.person,
            "start": found.track.start,
            "stop": found.track.stop,
            "size": round(float(found.track.size), 1),
            "blur_level": round(_blur_level(found.levels), 5),
            "grey": found.grey,
            "restore": found.restore,
        }
        for found in analysis.tracks
    ]
    return {
        "frames": analysis.frame_count,
        "shots": [[shot.start, shot.stop] for shot in analysis.shots],
        "tracks": tracks,
        "skipped_faces": analysis.skipped_face_count,
        "skip_reasons": dict(analysis.skip_reasons),
    }


def analysis_summary(analysis: Analysis, written: Path | None) -> list[str]:
    """The lines that `analyze` ends with; written: the file that holds the whole analysis."""
    seen = analysis_overview(analysis)
    found = (
        count(seen["frames"], "frame"),
        count(len(seen["shots"]), "shot"),
        f"{count(len(seen['tracks']), 'track')} of {count_people(len({t['person'] for t in seen['tracks']}))}",
    )
    lines = [
        f"track {t['number']}, person {t['person']}: frames {t['start']} to {t['stop'] - 1}, {t['size']:.0f} px, "
        f"blur level {t['blur_level']:.2%}{', grey' if t['grey'] else ''}{'' if t['restore'] else ', not selected'}"
        for t in seen["tracks"]
    ]
    lines = [", ".join(found), *lines]
    if seen["skip_reasons"]:
        lines.append(skipped(seen["skip_reasons"]))
    if written is None:
        return lines
    then = f"dynface-video restore INPUT -o OUTPUT --analysis {written}"
    return [*lines, f"the whole analysis is in {written}", f"next, with or without editing it: {then}"]


def _blur_level(levels: np.ndarray) -> float:
    """Mean blur level that the finest stage with an estimator read, as a share of the crop's side; levels: (S, T)."""
    estimated = [own for own in levels if own.any()]
    return float(estimated[-1].mean()) if estimated else 0.0


def skipped(reasons: Mapping[str, int]) -> str:
    """How many faces were not restored and why, such as "3 faces skipped: 2 too small, 1 too short"."""
    kinds = sorted(reasons.items(), key=lambda item: -item[1])
    return f"{count(sum(reasons.values()), 'face')} skipped: {', '.join(f'{number} {kind}' for kind, number in kinds)}"


def count_people(number: int) -> str:
    """A number of people, such as "1 person"."""
    return f"{number} {'person' if number == 1 else 'people'}"


def count(number: int, noun: str) -> str:
    """A number with its noun in the singular or plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
