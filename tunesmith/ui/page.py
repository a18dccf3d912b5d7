"""The pages of ``tunesmith ui``: a table of runs, and one page for each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith import words
from tunesmith.errors import TunesmithError
from tunesmith.report.runs import cell
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.control import Control
from tunesmith.ui.runs import Runs
from tunesmith.ui.standing import seen, standing
from tunesmith.words import say

if TYPE_CHECKING:
    from jinja2 import Environment
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

HERE = Path(__file__).parent
COLUMNS = ("name", "state", "objective", "method", "verdict", "last", "date")
"""Columns of the table, named as those of ``tunesmith runs``."""
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
)
"""A report brings its style with it, and nothing else; no script runs in it."""


class Page:
    """The pages over the runs of a folder. What they show depends on the folders alone, so that a
    page may be closed, opened twice, or the server ended at any time.
    """

    def __init__(self, runs: Runs) -> None:
        self.runs, self.control = runs, Control()
        self.templates = _templates()

    def app(self) -> Starlette:
        """Returns the application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        return Starlette(
            routes=[
                Route("/", self.table),
                Route("/ui.css", self.style),
                Route("/ui.js", self.script),
                Route("/run/{name:path}/now", self.now),
                Route("/run/{name:path}/report", self.report),
                Route("/run/{name:path}/stop", self.stop, methods=["POST"]),
                Route("/run/{name:path}/resume", self.resume, methods=["POST"]),
                Route("/run/{name:path}/", self.run),
            ]
        )

    def table(self, request: Request) -> Response:
        """Shows all runs."""
        try:
            rows = [(row, [cell(row, name) for name in COLUMNS]) for row in self.runs.table()]
        except (TunesmithError, OSError) as error:
            return self._page("problem", status=500, problem=str(error))
        starred = any(text.endswith("*") for _, cells in rows for text in cells)
        told = {"rows": rows, "columns": COLUMNS, "root": self.runs.root, "starred": starred}
        return self._page("runs", **told)

    def run(self, request: Request) -> Response:
        """Shows one run, whole."""
        return self._of_run(request, "run")

    def now(self, request: Request) -> Response:
        """Sends what changes of a run's page; nothing (204) where it stands as the page has it."""
        return self._of_run(request, "now")

    def report(self, request: Request) -> Response:
        """Sends report.html as it lies in the run's folder."""
        from starlette.responses import FileResponse

        folder = self._folder(request)
        if folder is None or not folder.report.is_file():
            return self._absent()
        return FileResponse(folder.report, headers={"content-security-policy": REPORT_POLICY})

    async def stop(self, request: Request) -> Response:
        """Asks a run to save and end."""
        return self._act(request, self.control.stop)

    async def resume(self, request: Request) -> Response:
        """Begins a process that goes on with a run."""
        return self._act(request, self.control.resume)

    def style(self, request: Request) -> Response:
        """Sends the style: the report's, which the charts are drawn for, and the page's own."""
        from starlette.responses import Response

        style = self.templates.get_template("style.css.j2").render()
        own = (HERE / "ui.css").read_text(encoding="utf-8")
        return Response(style + own, media_type="text/css")

    def script(self, request: Request) -> Response:
        """Sends the script."""
        from starlette.responses import Response

        return Response((HERE / "ui.js").read_bytes(), media_type="text/javascript")

    def _of_run(self, request: Request, template: str) -> Response:
        from starlette.responses import Response

        folder = self._folder(request)
        if folder is None:
            return self._absent()
        starting = self.control.starting(folder)
        # Taken before the files are read: what changes meanwhile is then asked for again.
        mark = seen(folder, starting)
        if request.query_params.get("seen") == mark:
            return Response(status_code=204)
        name = request.path_params["name"]
        try:
            told = standing(folder, starting)
            plan = folder.plan.read_text(encoding="utf-8") if folder.plan.is_file() else ""
        except (TunesmithError, OSError, ValueError) as error:
            return self._page("problem", status=500, problem=str(error))
        return self._page(template, name=name, path=folder.path, now=told, mark=mark, plan=plan)

    def _act(self, request: Request, act: Callable[[RunFolder], bool]) -> Response:
        from starlette.responses import RedirectResponse

        folder = self._folder(request)
        if folder is None:
            return self._absent()
        try:
            act(folder)
        except OSError as error:
            return self._page("problem", status=500, problem=str(error))
        return RedirectResponse("./", status_code=303)

    def _folder(self, request: Request) -> RunFolder | None:
        return self.runs.find(request.path_params["name"])

    def _absent(self) -> Response:
        return self._page("problem", status=404, problem=say("ui.no_run"))

    def _page(self, template: str, status: int = 200, **told: object) -> Response:
        from starlette.responses import HTMLResponse

        made = self.templates.get_template(f"{template}.html.j2")
        html = made.render(say=say, lang=words.language(), **told)
        # Half a surrogate pair in an answer is no text that can be sent.
        return HTMLResponse(html.encode("utf-8", "replace"), status_code=status)


def _templates() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    places = FileSystemLoader([HERE, HERE.parent / "report"])
    strict = {"autoescape": True, "undefined": StrictUndefined}
    return Environment(loader=places, trim_blocks=True, lstrip_blocks=True, **strict)
