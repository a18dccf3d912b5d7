"""Arenas: models answer, and a person votes without knowing whose an answer is, on a page of its
own.
"""

from __future__ import annotations

import json
import secrets
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.errors import Problem, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.storage.atomic import write_whole
from tunesmith.ui.forms import Form, form_in, form_of
from tunesmith.ui.places import ARENAS, kept_in
from tunesmith.ui.views import Views
from tunesmith.ui.work_pages import form_again, shown_of
from tunesmith.voting.building import FEWEST_PROMPTS
from tunesmith.voting.comparison import Comparison
from tunesmith.voting.telling import lines_of
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

KIND = "arena"
CALLED = {"run": (), "prompts": ("data",)}
"""The fields, each with the setting of an arena that it fills."""


class ArenaPages:
    """The arenas of a folder of runs."""

    def __init__(self, views: Views) -> None:
        self.views, self.works = views, views.works
        self.place = views.runs.root / ARENAS

    def routes(self) -> list[Route]:
        """Returns the routes."""
        from starlette.routing import Route

        return [
            Route("/arena/", self.show),
            Route("/arena/now", self.now),
            Route("/arena/start", self.start, methods=["POST"]),
            Route("/arena/{id:str}/open", self.open, methods=["POST"]),
            Route("/arena/{id:str}/stop", self.stop, methods=["POST"]),
        ]

    def show(self, request: Request) -> Response:
        """Shows the arenas."""
        return self._shown(request, "arena_list")

    def now(self, request: Request) -> Response:
        """Sends what changes of the page."""
        return self._shown(request, "arena_now")

    async def start(self, request: Request) -> Response:
        """Begins an arena of the chosen models over the prompts that were written."""
        form = await form_of(request)
        runs, bases = self._offered()
        names = form.all("run")
        models = form.all("base")
        lines = form.one("prompts").splitlines()
        prompts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
        problems = []
        all_offered = set(names) <= set(runs) and set(models) <= set(bases)
        if not all_offered or len(names) + len(models) < 2:
            problems.append(Problem("run", say("ui_arena.choose")))
        if len(prompts) < FEWEST_PROMPTS:
            problems.append(Problem("prompts", say("ui_arena.write")))
        if problems:
            return self._shown(request, "arena_list", form.refused(problems, CALLED))
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        rows = [{"messages": [{"role": "user", "content": prompt}]} for prompt in prompts]
        data = self.place / f"{name}.jsonl"
        write_whole(data, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        contenders = [*(runs[name_chosen] for name_chosen in names), *models]
        settings = {"data": str(data), "out": str(self.place / name), "prompts": len(prompts)}
        return self._begin(name, contenders, settings, form)

    async def open(self, request: Request) -> Response:
        """Opens an arena that was answered before."""
        folder = self._folder(request)
        if folder is None:
            return self.views.problem(say("ui_arena.none"), 404)
        if any(work.asked["name"] == folder.name for work in self.works.running(KIND)):
            return self._back()
        return self._begin(folder.name, [str(folder)], {}, Form())

    async def stop(self, request: Request) -> Response:
        """Ends the page or the answering of an arena; answers and votes stay."""
        work = self.works.find(KIND, request.path_params["id"])
        if work is None:
            return self.views.problem(say("ui_arena.none"), 404)
        self.works.end(work)
        return self._back()

    def _begin(
        self, name: str, contenders: list[str], settings: JsonObject, form: Form
    ) -> Response:
        arguments = [*contenders, *(f"{key}={value}" for key, value in settings.items())]
        asked = {"name": name, "contenders": contenders, "settings": settings}
        asked |= {"typed": shlex.join(["tunesmith", "arena", *arguments])}
        asked |= {"form": dict(form.fields), "became": {"run": contenders}}
        self.works.begin(KIND, **asked)
        return self._back()

    def _back(self) -> Response:
        from starlette.responses import RedirectResponse

        return RedirectResponse("/arena/", status_code=303)

    def _folder(self, request: Request) -> Path | None:
        """Returns the folder of an arena by its name, which is looked up."""
        return next(
            (folder for folder in self._answered() if folder.name == request.path_params["id"]),
            None,
        )

    def _answered(self) -> list[Path]:
        return [items.parent for items in kept_in(self.place, "*/items.jsonl")[::-1]]

    def _offered(self) -> tuple[dict[str, str], list[str]]:
        """Returns the runs that write by name, and their bases."""
        listed = [run_listed for run_listed in self.views.runs.table() if run_listed.chats]
        runs: dict[str, str] = {}
        for run_listed in listed:
            folder = self.views.runs.find(run_listed.row["name"])
            if folder is not None:
                runs[run_listed.row["name"]] = str(folder.path)
        return runs, list(dict.fromkeys(str(run_listed.row["model"]) for run_listed in listed))

    def _shown(self, request: Request, template: str, refused: Form | None = None) -> Response:
        every = self.works.all(KIND)
        stands = {work.id: self.works.state(work) for work in every}
        living = [work for work in every if self.works.lives(work)]
        failed = [work for work in every if stands[work.id][0] == "failed"][:1]
        answered = self._answered()
        votes = [_size(folder / "votes.jsonl") for folder in answered]
        shown = [*living, *failed]
        marks = [answered, votes, [(stands[work.id], work.marks()) for work in shown]]
        form, again = refused or form_in(request), None
        if refused is None and failed == every[:1] and failed:
            again = form_again(form, failed[0], stands[failed[0].id], lambda _: CALLED)
        form = again or form

        def told() -> JsonObject:
            works = [
                {"work": work, "link": (work.read("ready") or {}).get("link")}
                | shown_of(work, stands[work.id], again if [work] == failed else None)
                for work in shown
            ]
            runs, bases = self._offered()
            open_ = {work.asked["name"] for work in living}
            arenas = [(folder, _result(folder), folder.name in open_) for folder in answered]
            facts = {"works": works, "runs": list(runs), "bases": bases, "arenas": arenas}
            return facts | {"form": form}

        return self.views.live(request, marks, template, told, 400 if refused else 200)


def _result(folder: Path) -> list[str]:
    """Returns what the votes of an arena show, or what is wrong with them."""
    try:
        comparison = Comparison(folder)
        return [" · ".join(map(str, comparison.contenders)), *lines_of(comparison.result())]
    except (TunesmithError, OSError, ValueError, LookupError) as error:
        return [str(error)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
