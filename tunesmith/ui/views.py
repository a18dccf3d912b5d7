"""What all pages share: the runs, what may be done to them, and how a template becomes a page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import words
from tunesmith.pages.templates import templates
from tunesmith.plain import JsonObject
from tunesmith.ui.control import Control
from tunesmith.ui.runs import Runs
from tunesmith.ui.works import Works
from tunesmith.words import say

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.requests import Request
    from starlette.responses import Response

Told = Callable[[], JsonObject]
HERE = Path(__file__).parent
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'self'; form-action 'none'; base-uri 'none'"
)
"""A report brings its style with it, and nothing else; no script runs in it."""


class Views:
    """The folder of runs that all pages are views of."""

    def __init__(self, runs: Runs) -> None:
        self.runs, self.control, self.works = runs, Control(), Works(runs.root)
        self.templates = _templates()

    def page(self, template: str, status: int = 200, **told: object) -> Response:
        """Renders a template."""
        from starlette.responses import HTMLResponse

        made = self.templates.get_template(f"{template}.html.j2")
        html = made.render(say=say, lang=words.language(), refused=status == 400, **told)
        # Half a surrogate pair in an answer is no text that can be sent.
        return HTMLResponse(html.encode("utf-8", "replace"), status_code=status)

    def problem(self, text: str, status: int) -> Response:
        """Renders the page that says what is wrong."""
        return self.page("problem", status=status, problem=text)

    def live(
        self, request: Request, marks: object, template: str, facts: Told, status: int = 200
    ) -> Response:
        """Renders what changes of a page, with a mark of it; answers 204 where the page has it
        already.
        """
        from starlette.responses import Response

        mark = hashlib.sha256(repr(marks).encode()).hexdigest()[:16]
        if request.query_params.get("seen") == mark:
            return Response(status_code=204)
        return self.page(template, status, **facts(), mark=mark)

    def absent(self) -> Response:
        """Says that there is no such run."""
        return self.problem(say("ui.no_run"), 404)


@cache  # once a process: a look at ten pages compiles them all
def _templates() -> Environment:
    return templates(HERE, HERE.parent / "report")
