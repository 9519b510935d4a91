"""The pictures of an album, with its subfolders, and the account of what became of each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dynface_video.jobs.directory import SUFFIX
from dynface_video.media.io.files import write_atomically
from dynface_video.media.io.sequence import has_images, image_files, unread_files
from dynface_video.passes.face_account import FaceAccount

RESTORED, SKIPPED, NO_FACE, UNREADABLE = "restored", "skipped", "no_face", "unreadable"
"""What became of a picture: at least one face restored, all faces skipped, no face found, or not read."""


@dataclass(frozen=True)
class PictureAccount:
    """What became of a picture.

    Attributes:
        source: The picture's path, below the album's folder if there is one.
        output: Path of the result, below the output's folder if there is one; None if there is no result.
        status: "restored", "skipped", "no_face" or "unreadable".
        faces: Its faces, each restored or not and why.
        unchanged: Whether the result is the source byte for byte; without it, a picture in which nothing was restored
            was still encoded again.
        drawn_faces: Faces in which the prior drew detail.
        unet_evaluations: Network evaluations of the prior.
        reason: Why it is unreadable.
        warnings: What the file could not keep.
    """

    source: str
    output: str | None
    status: str
    faces: tuple[FaceAccount, ...] = ()
    unchanged: bool = False
    drawn_faces: int = 0
    unet_evaluations: int = 0
    reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def restored(self) -> int:
        """Number of faces restored."""
        return sum(face.restored for face in self.faces)

    @property
    def skip_reasons(self) -> Counter[str]:
        """How many of its faces are not restored, by the kind of reason."""
        return Counter(face.reason.partition(":")[0] for face in self.faces if not face.restored)

    def save(self, path: Path) -> None:
        """Write as JSON, beside the finished picture of an unfinished job."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> PictureAccount | None:
        """Read what `save` wrote; None if there is no such file, or it is damaged."""
        try:
            raw: dict[str, Any] = json.loads(path.read_text())
            faces = tuple(FaceAccount(**face | {"centre": tuple(face["centre"])}) for face in raw["faces"])
            return cls(**raw | {"faces": faces, "warnings": tuple(raw["warnings"])})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def status_of(faces: Sequence[FaceAccount]) -> str:
    """The status of a picture that was read, by its faces."""
    if not faces:
        return NO_FACE
    return RESTORED if any(face.restored for face in faces) else SKIPPED


def album_files(source: Path, target: Path) -> list[Path]:
    """The pictures of a folder and its subfolders, folder by folder in numerical order; a single file alone.

    Args:
        source: A picture or a folder.
        target: The output, which is no part of the album even if it lies in it.

    Raises:
        InputError: There are no pictures.
    """
    if not source.is_dir():
        return [source]
    files = [path for folder in _folders(source, target) if has_images(folder) for path in image_files(folder)]
    # For a folder without pictures, the error that names what is there.
    return files or image_files(source)


def unread_in_album(source: Path, target: Path) -> list[str]:
    """Messages on the files of a folder and its subfolders that are not taken; arguments as of `album_files`."""
    if not source.is_dir():
        return []
    return [message for folder in _folders(source, target) for message in unread_files(folder)]


def _folders(source: Path, target: Path) -> Iterator[Path]:
    yield source
    for path in sorted(source.iterdir()):
        hidden = path.name.startswith(".") or path.name.endswith(SUFFIX)
        if path.is_dir() and not hidden and path != target and not path.is_symlink():
            yield from _folders(path, target)
