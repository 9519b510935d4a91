"""What a restoration was made from and with: source, settings, models with their digests and licences."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import dynface_video
from dynface_video.config import Settings
from dynface_video.media.io.files import known_sha256_of
from dynface_video.media.io.probe import VideoInfo
from dynface_video.models.registry import detection_folder, embedded_models, model_folder, used_models

EMBEDDED_LICENCE = "Apache-2.0"
UNKNOWN_LICENCE = "not stated"


def now() -> str:
    """The time in UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def describe_source(info: VideoInfo, digest: str) -> dict[str, Any]:
    """The source as JSON values.

    Args:
        info: Of the source.
        digest: Of its content, as of the plan: of its size and of samples spread over it.
    """
    return {
        "name": info.path.name,
        "bytes": info.path.stat().st_size if info.path.is_file() else None,
        "sampled_sha256": digest,
        "container": info.format_name,
        "codec": info.codec,
        "pixel_format": info.pixel_format,
        "width": info.display.width,
        "height": info.display.height,
        "frame_rate": str(info.frame_rate) if info.frame_rate else None,
        "interlaced": info.interlaced,
        "streams": [
            {"kind": other.kind, "codec": other.codec, "language": other.language, "title": other.title}
            for other in info.others
        ],
    }


def describe_models(settings: Settings) -> list[dict[str, Any]]:
    """The files of the networks that the settings name, with digests and licences.

    Args:
        settings: All of them.

    Returns:
        Entries with models (the set's name), file (below the set's folder), bytes, sha256 and licence.
    """
    folders = dict.fromkeys((model_folder(settings.models), detection_folder(settings.models)))
    found = []
    for folder in folders:
        embedded = folder.name in embedded_models() and folder == model_folder(folder.name)
        for path in sorted(folder.rglob("*.safetensors")):
            found.append(
                {
                    "models": folder.name,
                    "file": path.relative_to(folder).as_posix(),
                    "bytes": path.stat().st_size,
                    "sha256": known_sha256_of(path),
                    "licence": EMBEDDED_LICENCE if embedded else UNKNOWN_LICENCE,
                }
            )
    for used in used_models(settings):
        found.append(
            {"models": "public", "file": used.name, "bytes": None, "sha256": used.sha256, "licence": used.licence}
        )
    return found


def describe_program(settings: Settings) -> dict[str, Any]:
    """This program and how it was set, as JSON values."""
    return {
        "version": dynface_video.__version__,
        "settings": settings.model_dump(mode="json"),
        "models": describe_models(settings),
        "created": now(),
    }
