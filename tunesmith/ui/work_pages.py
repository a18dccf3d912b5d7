"""Pages of what a run can be asked for besides its training, such as its proof: work in a process
of its own, which is begun, watched and ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.plain import JsonObject
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.views import Views
from tunesmith.ui.works import Work

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route


class WorkPages:
    """Base of such pages. They lie below the run, at ``place``, which also names their templates;
    ``kind`` is that of the work. A page has ``start`` and ``facts`` of its own.
    """

    kind: ClassVar[str]
    place: ClassVar[str]

    def __init__(self, views: Views) -> None:
        self.views, self.works = views, views.works

    def routes(self) -> list[Route]:
        """Returns the routes, which come before those of a run's page."""
        from starlette.routing import Route

        base = f"/run/{{name:path}}/{self.place}/"
        return [
            Route(base, self.show),
            Route(f"{base}now", self.now),
            Route(f"{base}start", self.start, methods=["POST"]),
            Route(f"{base}stop", self.stop, methods=["POST"]),
        ]

    def show(self, request: Request) -> Response:
        """Shows the page."""
        return self._shown(request, self.place)

    def now(self, request: Request) -> Response:
        """Sends what changes of the page."""
        return self._shown(request, f"{self.place}_now")

    async def start(self, request: Request) -> Response:
        """Begins the work, where none of this kind is under way for the run."""
        raise AssertionError(f"pages of {self.kind} have no start")

    async def stop(self, request: Request) -> Response:
        """Ends the work that is under way; what was finished of it stays."""
        from starlette.responses import RedirectResponse

        folder = self.views.runs.find(request.path_params["name"])
        last = self.last(folder) if folder is not None else None
        if last is None:
            return self.views.absent()
        self.works.end(last)
        return RedirectResponse("./", status_code=303)

    def facts(
        self, request: Request, folder: RunFolder
    ) -> tuple[list[Any], Callable[[], JsonObject]]:
        """Returns what the page depends on beside the work, and a function that makes what its
        template shows.
        """
        raise AssertionError(f"pages of {self.kind} have no facts")

    def last(self, folder: RunFolder) -> Work | None:
        """Returns the newest work of a run that was begun here."""
        every = self.works.all(self.kind)
        return next((one for one in every if one.asked["run"] == str(folder.path)), None)

    def _shown(self, request: Request, template: str) -> Response:
        folder = self.views.runs.find(request.path_params["name"])
        if folder is None:
            return self.views.absent()
        last = self.last(folder)
        stands = self.works.state(last) if last is not None else None
        marks, shows = self.facts(request, folder)

        def told() -> JsonObject:
            shown: JsonObject = {"name": request.path_params["name"], "work": last}
            shown |= {"finished": is_finished(folder), **shows()}
            return shown | (shown_of(last, stands) if last and stands else {})

        marks = [*marks, stands, last.marks() if last is not None else None]
        return self.views.live(request, marks, template, told)


def shown_of(work: Work, stands: tuple[str, str]) -> dict[str, Any]:
    """Returns what the template of a work shows."""
    state, problem = stands
    phase = work.read("phase")
    return {"state": state, "problem": problem, "phase": phase, "said": work.last_words()}


def is_finished(folder: RunFolder) -> bool:
    """Tells whether a run has a model."""
    return (folder.model / "tunesmith.json").is_file()
