"""The table of all runs, and several of them side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tunesmith.errors import Problem, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.report.compare_page import contents, page
from tunesmith.report.compared import Comparison, compare_runs
from tunesmith.report.runs import cell
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.forms import Form, form_in
from tunesmith.ui.places import kept_in
from tunesmith.ui.runs import differences
from tunesmith.ui.standing import seen
from tunesmith.ui.views import REPORT_POLICY, Views
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

COLUMNS = ("name", "state", "objective", "method", "verdict", "last", "date")
"""Columns of the table, named as those of ``tunesmith runs``."""


class Table:
    """The runs in a table, live, and the chosen ones compared."""

    def __init__(self, views: Views) -> None:
        self.views = views

    def routes(self) -> list[Route]:
        """Returns the routes."""
        from starlette.routing import Route

        return [
            Route("/", self.table),
            Route("/now", self.now),
            Route("/compare", self.compare),
            Route("/compare/now", self.compare_now),
            Route("/compare/file", self.file),
        ]

    def table(self, request: Request) -> Response:
        """Shows all runs."""
        return self._table(request, "runs")

    def now(self, request: Request) -> Response:
        """Sends the table where it is another one than the page has, else nothing (204)."""
        return self._table(request, "rows")

    def compare(self, request: Request) -> Response:
        """Shows the chosen runs side by side."""
        return self._compare(request, "compare_runs")

    def compare_now(self, request: Request) -> Response:
        """Sends what changes of that page; nothing (204) where it stands as the page has it."""
        return self._compare(request, "compare_now")

    def file(self, request: Request) -> Response:
        """Sends the page that ``tunesmith compare`` writes, to be kept."""
        from starlette.responses import HTMLResponse

        comparison = self._compared(request)
        if not isinstance(comparison, Comparison):
            return comparison
        kept = {"content-disposition": 'attachment; filename="compare.html"'}
        headers = {"content-security-policy": REPORT_POLICY, **kept}
        return HTMLResponse(page(comparison).encode("utf-8", "replace"), headers=headers)

    def _table(self, request: Request, template: str, refused: Form | None = None) -> Response:
        try:
            listed = self.views.runs.table()
        except (TunesmithError, OSError) as error:
            return self.views.problem(str(error), 500)

        def told() -> JsonObject:
            differ = differences([run.settings for run in listed])
            rows = [
                (run.row, [cell(run.row, name) for name in COLUMNS], settings)
                for run, settings in zip(listed, differ, strict=True)
            ]
            starred = any(text.endswith("*") for _, cells, _ in rows for text in cells)
            shown = {"rows": rows, "columns": COLUMNS, "starred": starred}
            return shown | {"root": self.views.runs.root, "form": refused or Form()}

        marks = [run.mark for run in listed]
        return self.views.live(request, marks, template, told, 400 if refused else 200)

    def _compare(self, request: Request, template: str) -> Response:
        from starlette.responses import Response

        folders = [self.views.runs.find(name) for name in request.query_params.getlist("run")]
        marks = [
            [seen(folder, False), *proved_on([folder])] for folder in folders if folder is not None
        ]
        mark = hashlib.sha256(repr(marks).encode()).hexdigest()[:16]
        if request.query_params.get("seen") == mark:
            return Response(status_code=204)
        comparison = self._compared(request)
        if not isinstance(comparison, Comparison):
            return comparison
        query = _query(request)
        chosen = request.query_params.get("data", "")
        files = [("", say("ui_runs.own_rows")), *((name, name) for name in proved_on(folders))]
        ways = [(label, _with(query, name), name == chosen) for name, label in files]
        shown = {"compared": contents(comparison), "mark": mark, "query": _with(query, chosen)}
        return self.views.page(template, **shown, ways=ways if len(ways) > 1 else [])

    def _compared(self, request: Request) -> Comparison | Response:
        """Compares the runs that a request names, or answers what is wrong with it."""
        runs = self.views.runs
        folders = [runs.find(name) for name in dict.fromkeys(request.query_params.getlist("run"))]
        runs_there = [folder for folder in folders if folder is not None]
        if len(runs_there) < len(folders):
            return self.views.absent()
        if len(runs_there) < 2:
            wrong = [Problem("run", say("ui_runs.choose_two"))]
            return self._table(request, "runs", form_in(request).refused(wrong, {"run": ()}))
        data = request.query_params.get("data", "")
        if data and data not in proved_on(runs_there):
            return self.views.absent()
        # A proof on a file stands under the name of that file, without its ending.
        file = f"{data}.jsonl" if data else None
        try:
            return compare_runs(
                runs_there, file, names=[runs.typed(folder) for folder in runs_there]
            )
        except (TunesmithError, OSError, ValueError) as error:
            return self.views.problem(str(error), 500)


def proved_on(folders: Sequence[RunFolder | None]) -> list[str]:
    """Returns the names of the files on which one of the runs was proved, beside its own rows."""
    names = {
        proof.parent.name
        for folder in folders
        if folder is not None
        for proof in kept_in(folder.path / "proofs", "*/proof.json")
    }
    return sorted(names)


def _with(query: str, data: str) -> str:
    """Returns the query with the file on which the runs are compared."""
    return f"{query}&{urlencode({'data': data})}" if data else query


def _query(request: Request) -> str:
    """Returns the names of the runs as they stand behind an address."""
    return urlencode([("run", name) for name in request.query_params.getlist("run")])
