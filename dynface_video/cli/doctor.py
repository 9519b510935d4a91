"""The command `doctor`: what this machine has for restoring, and what is in the way, on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from dynface_video.cli.console import print_answer, reporting
from dynface_video.cli.options import Json, Verbose

if TYPE_CHECKING:
    from dynface_video.diagnosis.machine import Device
    from dynface_video.diagnosis.report import Diagnosis

UNUSABLE = 1


def doctor(as_json: Json = False, verbose: Verbose = False) -> None:
    """Print versions, devices, free memory, encoders, models and Ray of this machine, and what to do about problems.

    Networks are loaded and a picture is encoded; nothing is downloaded or changed. Exit codes: 0 something can be
    restored, 1 nothing can.
    """
    with reporting(verbose, lambda: "interrupted"):
        from dynface_video.diagnosis.report import diagnose

        found = diagnose()
    print_answer(found.as_dict(), list(page(found)), as_json)
    if not found.usable:
        raise typer.Exit(UNUSABLE)


def page(found: Diagnosis) -> Iterator[str]:
    """The lines of the page."""
    named = {name: version or "missing" for name, version in found.versions.items()}
    yield f"dynface-video {named.pop('dynface-video')}, Python {named.pop('python')}, {named.pop('platform')}"
    yield ", ".join(f"{name} {version}" for name, version in named.items())
    yield from _section("devices", {device.name: _device(device) for device in found.devices})
    yield from _section("encoders", {name: fault or "works" for name, fault in found.encoders.items()})
    yield from _section(f"models in {found.storage['home']}, {_gigabytes(found.storage['free'])} free", _models(found))
    yield from _section("optional packages", _optional(found.optional))
    ray = found.ray
    yield ""
    yield f"ray {ray['version'] or 'missing'}: " + (
        f"cluster at {ray['cluster']}" if ray["cluster"] else "no cluster on this machine; --workers starts one"
    )
    yield ""
    yield "no problems found" if not found.problems else "problems:"
    for problem in found.problems:
        yield f"  {problem.text}"
        yield f"    -> {problem.remedy}"


def _section(title: str, rows: Mapping[str, str]) -> Iterator[str]:
    yield ""
    yield title
    width = max((len(name) for name in rows), default=0)
    for name, text in rows.items():
        yield f"  {name.ljust(width)}  {text}"


def _device(device: Device) -> str:
    parts = [device.description]
    if device.memory is not None and device.free is not None:
        parts.append(f"{_gigabytes(device.memory)} memory, {_gigabytes(device.free)} free")
    parts += ["bfloat16"] if device.bfloat16 else []
    return ", ".join([*parts, f"cannot be used: {device.error}"] if device.error else parts)


def _models(found: Diagnosis) -> dict[str, str]:
    rows = {name: f"embedded, {fault or 'loads'}" for name, fault in found.embedded.items()}
    for model in found.models:
        text = model["state"] if model["state"] == "verified" else f"{model['state']}: {model['command']}"
        rows[model["name"]] = text + ("" if model["accepted"] else f"  ({model['licence']}: no commercial use)")
    if found.storage["mirror"]:
        rows["mirror"] = found.storage["mirror"]
    if found.storage["offline"]:
        rows["offline"] = "HF_HUB_OFFLINE is set: only mirrors and file:// sources are used"
    return rows


def _optional(packages: Mapping[str, str | None]) -> dict[str, str]:
    from dynface_video.diagnosis.machine import OPTIONAL

    return {name: version or f"not installed; for {OPTIONAL[name]}" for name, version in packages.items()}


def _gigabytes(size: Any) -> str:
    return f"{size / 1e9:.1f} GB"
