"""Clean evaluation faces, and the same faces degraded by the field's protocol with fixed seeds."""

from __future__ import annotations

import csv
import tarfile
import zlib
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dynface_video.errors import InputError
from training.data import SOFT_DETAIL, is_held_out
from training.degradation import (
    LARGE_FACE_STRENGTHS,
    STRENGTHS,
    Degradation,
    degrade_small,
    enlarge,
    evaluation_degradation,
)

LARGE_FACE = 512
"""Side in pixels from which on faces get `LARGE_FACE_STRENGTHS`."""
PICTURES = {".webp", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}


@dataclass(frozen=True)
class CleanFace:
    """image: (R, R, 3) float32 RGB in [0, 1]; group: who the person is, as the data tells it, or empty."""

    name: str
    image: np.ndarray
    group: str = ""


@dataclass(frozen=True)
class DegradedFace:
    """image: (R, R, 3) float32 RGB in [0, 1]; small: (r, r, 3) uint8, before the enlargement to R."""

    clean: CleanFace
    strength: str
    degradation: Degradation
    small: np.ndarray
    image: np.ndarray


def load_clean_faces(source: Path, size: int, *, limit: int | None = None) -> list[CleanFace]:
    """Aligned faces reduced to `size` pixels by averaging over areas.

    Args:
        source: A folder of pictures, a tar of pictures, or a folder that holds one tar. A CSV beside the tar and a
            `people.csv` (see the data's README) tell the people's groups.
        size: Side of the faces, pixels.
        limit: That many faces, spread evenly over all.

    Raises:
        InputError: When no picture is found, or one cannot be read, is not square, or is smaller than `size`.
    """
    archive = _archive(source)
    groups = _groups(archive) if archive else {}
    entries = list(_from_tar(archive) if archive else _from_folder(source))
    if not entries:
        raise InputError(f"no pictures in {source}; give a folder or a tar of aligned faces")
    if limit is not None and limit < 1:
        raise InputError(f"the limit is {limit}, at least one face is needed")
    chosen = [entries[i] for i in spread(len(entries), limit or len(entries))]
    return [CleanFace(name, _reduce(data, size, f"{source}: {name}"), groups.get(name, "")) for name, data in chosen]


def load_held_out(root: Path, name: str, size: int, *, limit: int | None = None) -> list[CleanFace]:
    """The sharp crops of a training set that training never sees, for choosing settings and checkpoints.

    Args:
        root: Folder with `<name>.tar` and `<name>.csv`.
        name: The set, such as "modern_512".
        size: Side to which crops are reduced, pixels.
        limit: At most that many; crops with the least mirrored filling around the source picture come first.

    Raises:
        InputError: When the set is absent, holds no such crop, or its crops are smaller than `size`.
    """
    archive, table = root / f"{name}.tar", root / f"{name}.csv"
    if not (archive.is_file() and table.is_file()):
        raise InputError(f"no training set {name} in {root}; expected {archive.name} and {table.name}")
    with open(table, newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if is_held_out(row["original"])]
    sharp = [row for row in rows if float(row["detail"] or 0) > SOFT_DETAIL]
    sharp.sort(key=lambda row: (-float(row["inside"] or 0), row["name"]))
    names = [row["name"] for row in sharp[:limit]]
    if not names:
        raise InputError(f"{table} has no sharp held-out crop")
    pictures = dict(_from_tar(archive, set(names)))
    return [CleanFace(n, _reduce(pictures[n], size, f"{archive}: {n}")) for n in names]


def spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` different positions, evenly spread over 0 .. count - 1."""
    wanted = min(wanted, count)
    return [i * count // wanted for i in range(wanted)]


def degrade_faces(faces: Sequence[CleanFace], strength: str, *, seed: int = 0) -> list[DegradedFace]:
    """Degrade each face by the protocol at one of `STRENGTHS`, faces of 512 pixels by `LARGE_FACE_STRENGTHS`.

    A face's degradation depends on seed, strength and its name only, not on which other faces are evaluated.
    """
    return [_degrade(face, strength, seed) for face in faces]


def _degrade(face: CleanFace, strength: str, seed: int) -> DegradedFace:
    rng = np.random.default_rng([seed, list(STRENGTHS).index(strength), zlib.crc32(face.name.encode())])
    large = face.image.shape[0] >= LARGE_FACE
    degradation = LARGE_FACE_STRENGTHS[strength] if large else evaluation_degradation(strength, rng)
    small = degrade_small(face.image, degradation, rng)
    return DegradedFace(face, strength, degradation, small, enlarge(small, face.image.shape[0]))


def _archive(source: Path) -> Path | None:
    if source.is_file():
        if not tarfile.is_tarfile(source):
            raise InputError(f"{source} is neither a folder nor a tar of pictures")
        return source
    if not source.is_dir():
        raise InputError(f"{source} does not exist; give a folder or a tar of aligned faces")
    archives = sorted(source.glob("*.tar"))
    return archives[0] if len(archives) == 1 else None


def _from_tar(archive: Path, wanted: Set[str] | None = None) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(archive) as tar:
        members = [m for m in tar.getmembers() if m.isfile() and Path(m.name).suffix.lower() in PICTURES]
        if wanted is not None:
            members = [m for m in members if Path(m.name).name in wanted]
        for member in sorted(members, key=lambda m: m.name):
            handle = tar.extractfile(member)
            if handle is not None:
                yield Path(member.name).name, handle.read()


def _from_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES):
        yield path.relative_to(folder).as_posix(), path.read_bytes()


def _groups(archive: Path) -> dict[str, str]:
    """Group of each picture: by the digits that `original` begins with, looked up in people.csv."""
    table, people = archive.with_suffix(".csv"), archive.with_name("people.csv")
    if not (table.exists() and people.exists()):
        return {}
    with open(people, newline="") as handle:
        known = {row["face_id"]: f"{row['face_gender']} {row['face_eth']}" for row in csv.DictReader(handle)}
    with open(table, newline="") as handle:
        return {row["name"]: known.get(row["original"][:3], "") for row in csv.DictReader(handle)}


def _reduce(data: bytes, size: int, where: str) -> np.ndarray:
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise InputError(f"{where} cannot be read as a picture; remove it")
    height, width = decoded.shape[:2]
    if height != width or width < size:
        raise InputError(f"{where} is {width}x{height}, an aligned square face of at least {size} pixels is needed")
    picture = np.ascontiguousarray(decoded[:, :, ::-1]).astype(np.float32) / 255
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
