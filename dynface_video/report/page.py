"""The page of a restoration: one HTML file with its styles, script, pictures and videos inside."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from dynface_video.record.archive import Record
from dynface_video.report.contents import contents

TEMPLATES = "templates"


def render_page(record: Record) -> str:
    """The page of a restoration.

    It holds everything it shows, and its content security policy forbids it the network.

    Args:
        record: Of the restoration.

    Returns:
        HTML.
    """
    from jinja2 import DictLoader, Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=DictLoader({"page": _template("page.html")}), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    values: dict[str, Any] = contents(record)
    return environment.get_template("page").render(
        # Ours, and without a closing tag in them.
        style=Markup(_template("page.css")),
        script=Markup(_template("page.js")),
        **values,
    )


def _template(name: str) -> str:
    return (files(__package__) / TEMPLATES / name).read_text(encoding="utf-8")
