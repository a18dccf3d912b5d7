"""The page of one run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING

from tunesmith.errors import TunesmithError
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.places import Places
from tunesmith.ui.standing import seen, standing
from tunesmith.ui.views import Views

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route


class RunPages:
    """Each run's page: watched, stopped, resumed."""

    def __init__(self, views: Views) -> None:
        self.views, self.control = views, views.control
        self.places = Places(views.runs.root)

    def routes(self) -> list[Route]:
        """Returns the routes."""
        from starlette.routing import Route

        return [
            Route("/run/{name:path}/now", self.now),
            Route("/run/{name:path}/stop", self.stop, methods=["POST"]),
            Route("/run/{name:path}/resume", self.resume, methods=["POST"]),
            Route("/run/{name:path}/", self.run),
        ]

    def run(self, request: Request) -> Response:
        """Shows one run, whole."""
        return self._of_run(request, "run")

    def now(self, request: Request) -> Response:
        """Sends what changes of a run's page; nothing (204) where it stands as the page has it."""
        return self._of_run(request, "now")

    async def stop(self, request: Request) -> Response:
        """Asks a run to save and end."""
        return self._act(request, self.control.stop)

    async def resume(self, request: Request) -> Response:
        """Begins a process that goes on with a run."""
        return self._act(request, self.control.resume)

    def _of_run(self, request: Request, template: str) -> Response:
        from starlette.responses import Response

        folder = self._folder(request)
        if folder is None:
            return self.views.absent()
        starting = self.control.starting(folder)
        # Taken before the files are read: what changes meanwhile is then asked for again.
        mark = seen(folder, starting)
        if request.query_params.get("seen") == mark:
            return Response(status_code=204)
        name = request.path_params["name"]
        try:
            now = standing(folder, starting)
            plan = folder.plan.read_text(encoding="utf-8") if folder.plan.is_file() else ""
            yaml = folder.run_yaml.read_text(encoding="utf-8")
        except (TunesmithError, OSError, ValueError) as error:
            return self.views.problem(str(error), 500)
        shown = {"name": name, "path": folder.path, "now": now, "mark": mark, "plan": plan}
        return self.views.page(template, **shown, yaml=yaml, command=self._again(folder))

    def _again(self, folder: RunFolder) -> str:
        """Returns what trains the same once more."""
        free = self.places.run(self.places.free(folder.path.name))
        given = self.views.runs.typed(folder) + f"/{folder.run_yaml.name}"
        return shlex.join(["tunesmith", "train", given, f"out={self.places.typed(free)}"])

    def _act(self, request: Request, act: Callable[[RunFolder], bool]) -> Response:
        from starlette.responses import RedirectResponse

        folder = self._folder(request)
        if folder is None:
            return self.views.absent()
        act(folder)
        return RedirectResponse("./", status_code=303)

    def _folder(self, request: Request) -> RunFolder | None:
        return self.views.runs.find(request.path_params["name"])
