"""The templates of all pages, and how they write what they are given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.words import Share, written

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.runtime import Context
    from markupsafe import Markup

OPTION = re.compile(r"(?<![A-Za-z0-9_-])--[a-z]+(?:-[a-z]+)*(?:[ =][A-Za-z0-9_.]{1,12})?")
"""An option of a command within a text, with a short value: ``--which best``."""


def templates(*folders: Path) -> Environment:
    """Opens folders of templates, which know the page's ``lang``. Autoescape is on for every name:
    rows and answers are text from outside.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context

    @pass_context
    def finalize(context: Context, value: object) -> object:
        return written(value, str(context.get("lang"))[:2])

    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    made.filters["unbroken"] = unbroken
    made.filters["share"] = lambda share: Share(f"{100 * share:.0f} %")
    return made


def unbroken(text: str) -> Markup:
    """Keeps each option within a text on one line: browsers break after the hyphens."""
    from markupsafe import Markup, escape

    return Markup(OPTION.sub(r'<span class="option">\g<0></span>', str(escape(text))))
