"""The pages of ``tunesmith ui``, put together: each group of pages is a module of its own, which
gives its routes.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from tunesmith.errors import TunesmithError
from tunesmith.ui.arena_pages import ArenaPages
from tunesmith.ui.chat_pages import ChatPages
from tunesmith.ui.export_pages import ExportPages
from tunesmith.ui.proof_pages import ProofPages
from tunesmith.ui.run_pages import RunPages
from tunesmith.ui.runs import Runs
from tunesmith.ui.serve_pages import ServePages, Servers
from tunesmith.ui.start_pages import StartPages
from tunesmith.ui.table import Table
from tunesmith.ui.views import HERE, Views
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response


SCRIPTS = ("ui.js", "sent.js")
"""Those that several groups of pages have."""


class Page:
    """The pages over the runs of a folder. What they show depends on the folders alone, so that a
    page may be closed, opened twice, or the server ended at any time.
    """

    def __init__(self, runs: Runs) -> None:
        self.views = views = Views(runs)
        servers = Servers(views)
        self.groups = (
            Table(views),
            StartPages(views),
            ProofPages(views),
            ExportPages(views),
            ArenaPages(views),
            RunPages(views),
            ServePages(views, servers),
            ChatPages(views, servers),
        )

    def app(self) -> Starlette:
        """Returns the application."""
        from starlette.applications import Starlette
        from starlette.exceptions import HTTPException
        from starlette.requests import ClientDisconnect
        from starlette.routing import Route

        scripts = [Route(f"/{name}", self.script) for name in SCRIPTS]
        first = [Route("/ui.css", self.style), *scripts]
        routes = [*first, *(route for group in self.groups for route in group.routes())]
        handlers = {
            OSError: self.refused,
            HTTPException: self.unknown,
            TunesmithError: self.wrong,
            ClientDisconnect: self.left,
            Exception: self.failed,
        }
        return Starlette(routes=routes, exception_handlers=handlers)

    def left(self, request: Request, error: Exception) -> Response:
        """Answers a browser that went away while it sent something, which nobody hears."""
        from starlette.responses import Response

        return Response(status_code=400)

    def wrong(self, request: Request, error: Exception) -> Response:
        """Says what is wrong with a file that the page needs."""
        return self.views.problem(str(error), 500)

    def failed(self, request: Request, error: Exception) -> Response:
        """Says that the page cannot be made; the terminal shows where."""
        text = f"{type(error).__name__}: {error}"
        return self.views.problem(say("ui.failed", error=text), 500)

    def refused(self, request: Request, error: Exception) -> Response:
        """Says what the disk refused, whatever was to be written or read."""
        assert isinstance(error, OSError), "it is registered for no other"
        if error.errno == errno.ENAMETOOLONG:
            return self.views.problem(say("cli.long_name"), 404)
        reason = ": ".join(filter(None, (error.strerror or str(error), error.filename)))
        return self.views.problem(say("cli.disk", reason=reason), 507)

    def unknown(self, request: Request, error: Exception) -> Response:
        """Says that there is no such page, or what else cannot be answered."""
        from starlette.exceptions import HTTPException

        assert isinstance(error, HTTPException), "it is registered for no other"
        texts = {404: say("ui.no_page"), 405: say("ui.no_page")}
        return self.views.problem(texts.get(error.status_code, error.detail), error.status_code)

    def style(self, request: Request) -> Response:
        """Sends the style: the report's, which the charts are drawn for, and the page's own."""
        from starlette.responses import Response

        names = ("style.css.j2", "compare.css.j2")
        styles = [self.views.templates.get_template(name).render() for name in names]
        own_style = (HERE / "ui.css").read_text(encoding="utf-8")
        return Response("\n".join([*styles, own_style]), media_type="text/css")

    def script(self, request: Request) -> Response:
        """Sends a script."""
        from starlette.responses import Response

        name = request.url.path.removeprefix("/")
        return Response((HERE / name).read_bytes(), media_type="text/javascript")
