"""Write the files that are made from the declarations of the settings: configs/mini.yaml and docs/settings.md."""

from __future__ import annotations

from pathlib import Path

from dynface_video.config import Settings
from dynface_video.config.reference import DEFAULT_HEADER, options_table, settings_table, settings_yaml

ROOT = Path(__file__).parents[1]
SETTINGS_PAGE = """\
# Settings

Made by `scripts/render_reference.py` from the declarations in `dynface_video/config/sections.py` and `restoration.py`.

A preset (`--preset`) sets everything, a YAML file (`--config FILE`, `config=`) changes some of it, and single options
change that again. `dynface-video settings` prints all settings with their meaning, ready to be edited.

## Options

Each is an option of the commands that are named and, with underscores, an argument of `restore_video`, `restore_image`,
`iter_restored_frames`, `restore_batch`, `analyze_video` and `FacePipeline`, and a column of a batch list. Flags have a
negative form: `--no-mezzanine`.

{options}
## All settings

{settings}"""


def rendered() -> dict[Path, str]:
    """The files and what they must hold."""
    return {
        ROOT / "configs" / "mini.yaml": settings_yaml(Settings(), DEFAULT_HEADER),
        ROOT / "docs" / "settings.md": SETTINGS_PAGE.format(options=options_table(), settings=settings_table()),
    }


def main() -> None:
    """Write them."""
    for path, text in rendered().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
