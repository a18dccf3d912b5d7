"""Runs served from the page: started and stopped, with the address and the key."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tunesmith.errors import Problem
from tunesmith.ui.forms import Form, form_in, form_of
from tunesmith.ui.views import Views
from tunesmith.ui.work_pages import form_again
from tunesmith.ui.works import Work
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

KIND = "serve"
CALLED: Mapping[str, Sequence[str]] = {"run": ()}
ENDED = 2
"""Servers that failed, of which the page still says why."""


@dataclass(frozen=True)
class Server:
    """A server as a page shows it."""

    work: Work
    state: str
    """``loading``, ``ready``, ``stopping``, ``ended`` or ``failed``."""
    command: str
    models: Mapping[str, Sequence[str]]
    url: str
    key: str
    problem: str


class Servers:
    """The servers that pages began."""

    def __init__(self, views: Views) -> None:
        self.views, self.works = views, views.works

    def begin(self, names: Sequence[str]) -> Work | None:
        """Begins a server of these runs, with their bases; None where one is not to be served."""
        listed = {run.row["name"]: run for run in self.views.runs.table()}
        folders = {name: self.views.runs.find(name) for name in names}
        there = {name: folder for name, folder in folders.items() if folder is not None}
        if not names or len(there) < len(names) or not all(listed[n].routes for n in there):
            return None
        called = called_by(names)
        runs = {model: str(there[name].path) for model, name in called.items()}
        typed = [f"{model}={self.views.runs.typed(there[n])}" for model, n in called.items()]
        # Problems name a run as it is typed, by its name among the served, or by its folder.
        became = [*(f"{model}={run}" for model, run in runs.items()), *runs, *runs.values()]
        asked = {"form": {"run": [*names]}, "became": {"run": became}}
        return self.works.begin(KIND, runs=runs, names=called, typed=typed, **asked)

    def of(self, names: Mapping[str, str]) -> Server | None:
        """Returns the server of exactly these runs that lives; where none does, the last one if it
        failed.
        """
        works = [work for work in self.works.all(KIND) if work.asked["names"] == names]
        living = [work for work in works if self.works.lives(work)]
        shown = [self.shown(work) for work in (living or works)[:1]]
        return shown[0] if shown and shown[0].state != "ended" else None

    def all(self) -> list[Server]:
        """Returns those that live, and the last ones that failed."""
        shown = [self.shown(work) for work in self.works.all(KIND)]
        failed = [server for server in shown if server.state == "failed"][:ENDED]
        return [
            server for server in shown if server.state in ("loading", "ready", "stopping")
        ] + failed

    def shown(self, work: Work) -> Server:
        """Returns a server as a page shows it."""
        ready = work.read("ready")
        state, problem = self.works.state(work)
        if state == "running":
            state = "ready" if ready else "loading"
        elif state in ("done", "stopped"):
            state = "ended"
        address = ready if ready and state == "ready" else {"models": {}, "url": "", "key": ""}
        command = shlex.join(["tunesmith", "serve", *work.asked["typed"], "--bases", "--port", "0"])
        return Server(work, state, command, problem=problem, **address)


def called_by(names: Sequence[str]) -> dict[str, str]:
    """Returns the runs of these names by what requests call their models."""
    run_of: dict[str, str] = {}
    for name in names:
        model = wanted = re.sub(r"[^\w.-]+", "-", name)
        number = 2
        while model in run_of:
            model, number = f"{wanted}-{number}", number + 1
        run_of[model] = name
    return run_of


class ServePages:
    """What is served, and what may be."""

    def __init__(self, views: Views, servers: Servers) -> None:
        self.views, self.servers = views, servers

    def routes(self) -> list[Route]:
        """Returns the routes."""
        from starlette.routing import Route

        return [
            Route("/serve/", self.show),
            Route("/serve/now", self.now),
            Route("/serve/start", self.start, methods=["POST"]),
            Route("/serve/{id:str}/stop", self.stop, methods=["POST"]),
        ]

    def show(self, request: Request) -> Response:
        """Shows what is served."""
        return self._shown(request, "serve")

    def now(self, request: Request) -> Response:
        """Sends what changes of the page."""
        return self._shown(request, "serve_now")

    async def start(self, request: Request) -> Response:
        """Begins a server of the chosen runs."""
        from starlette.responses import RedirectResponse

        form = await form_of(request)
        if self.servers.begin(form.all("run")) is None:
            refused = form.refused([Problem("run", say("ui_serve.choose"))], CALLED)
            return self._shown(request, "serve", refused)
        return RedirectResponse("./", status_code=303)

    async def stop(self, request: Request) -> Response:
        """Ends a server."""
        from starlette.responses import RedirectResponse

        work = self.servers.works.find(KIND, request.path_params["id"])
        if work is None:
            return self.views.problem(say("ui_serve.none"), 404)
        self.servers.works.end(work)
        return RedirectResponse("../", status_code=303)

    def _shown(self, request: Request, template: str, refused: Form | None = None) -> Response:
        listed = [run for run in self.views.runs.table() if run.routes]
        servers = self.servers.all()
        marks = [[run.mark for run in listed], [(s.state, s.work.marks()) for s in servers]]
        form = refused or form_in(request)
        newest = self.servers.works.all(KIND)[:1] if refused is None else []
        for work in newest:
            stands = self.servers.works.state(work)
            again = form_again(form, work, stands, lambda _: CALLED)
            form = again or form
            if again and again.at:  # what stands in the form is not said twice
                servers = [replace(s, problem="") if s.work == work else s for s in servers]
        facts = {"servers": servers, "runs": [run.row for run in listed], "form": form}
        status = 400 if refused else 200
        return self.views.live(request, marks, template, lambda: facts, status)
