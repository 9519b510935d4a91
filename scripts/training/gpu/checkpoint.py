"""Checkpoints in parts of at most 16 MiB, which is what comes back from a machine that is lent for minutes."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import torch

from dynface_video.errors import InputError

PART_BYTES = 16 * 2**20


def save_in_parts(state: dict[str, Any], folder: Path, name: str, *, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write a state as `<name>.<generation>.<part>` and then `<name>.json`, which names the parts.

    A reader sees the old state or the new one, never a mixture: the index is replaced when all parts are there, and
    the parts before them are removed afterwards.

    Returns:
        The parts that were written.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    data, index = buffer.getvalue(), folder / f"{name}.json"
    folder.mkdir(parents=True, exist_ok=True)
    old: dict[str, Any] = json.loads(index.read_text()) if index.is_file() else {"generation": -1, "parts": []}
    generation = old["generation"] + 1
    parts = []
    for number, start in enumerate(range(0, len(data), part_bytes)):
        part = folder / f"{name}.{generation}.{number:03d}"
        part.write_bytes(data[start : start + part_bytes])
        parts.append(part)
    digest = hashlib.sha256(data).hexdigest()
    record = {"generation": generation, "parts": [part.name for part in parts], "sha256": digest}
    temporary = index.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=2) + "\n")
    os.replace(temporary, index)
    for part_name in old["parts"]:
        (folder / part_name).unlink(missing_ok=True)
    return parts


def load_parts(folder: Path, name: str, device: torch.device) -> dict[str, Any] | None:
    """The state that `save_in_parts` wrote last, its tensors on `device`; None where none was written.

    Raises InputError when a part is missing or damaged.
    """
    index = folder / f"{name}.json"
    if not index.is_file():
        return None
    record = json.loads(index.read_text())
    try:
        data = b"".join((folder / part).read_bytes() for part in record["parts"])
    except OSError as error:
        raise InputError(
            f"{index}: a part of the checkpoint cannot be read ({error}); remove it to begin anew"
        ) from error
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise InputError(f"{index}: the parts of the checkpoint are damaged; remove it to begin anew")
    state: dict[str, Any] = torch.load(io.BytesIO(data), map_location=device, weights_only=True)
    return state
