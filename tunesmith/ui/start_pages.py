"""The pages before a run: what is chosen, the rows, the plan, and the start."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tunesmith.errors import DataError, Problem, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.settings.run import read_run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.composed_fields import composed_fields
from tunesmith.ui.draft import Draft, draft_from_yaml, draft_of, named
from tunesmith.ui.drawn import drawn
from tunesmith.ui.fields import BESIDE, drawer
from tunesmith.ui.forms import as_typed, at_field, by_field, form_of, within
from tunesmith.ui.goals import GOALS
from tunesmith.ui.look import Asked
from tunesmith.ui.looks import Looks
from tunesmith.ui.mends import mends
from tunesmith.ui.places import Places
from tunesmith.ui.standing import last_lines
from tunesmith.ui.uploads import keep
from tunesmith.ui.views import HERE, Views
from tunesmith.words import language, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

LONGEST_ADDRESS = 100_000
"""Characters of a draft; a word of a command, as a run is begun, has at most 128 KiB on Linux."""
PATIENCE = 1.5
"""Seconds until a page says that it is still looking."""
LONG = 120
"""Seconds that a start waits for the plan."""
ELSEWHERE = ("out", "goal", "questions", "yaml", "")
"""Places of problems beside the drawer; the last is the top of the page."""
STEPS = {"new_data": "data", "new_plan": "plan"}
"""The steps to a run whose page is not the first, by its template."""
HELD_OUT = "data.held_out"
"""A setting in the drawer that may be a file."""
ON_ROWS = ("data.path", "data.columns", "data.reader")
"""Settings that the page on the rows has fields for, or says what else to set."""
BESIDE_DRAFT = ("row", "probe")
"""Fields of an address that ask to see something, and set nothing."""
FILES = {"new.js": "text/javascript", "new.css": "text/css"}


class StartPages:
    """The way from a file of rows to a run. What was chosen stands in the address alone."""

    def __init__(self, views: Views, make: Callable[[], Executor] | None = None) -> None:
        self.views, self.places, self.looks = views, Places(views.runs.root), Looks(make)

    def routes(self) -> list[Route]:
        """Returns the routes."""
        from starlette.routing import Route

        return [
            *(Route(f"/{name}", self.file) for name in FILES),
            Route("/new/", self.start),
            Route("/new/data", self.data),
            Route("/new/plan", self.plan),
            Route("/new/written", self.written),
            Route("/new/run.yaml", self.yaml),
            Route("/new/upload", self.upload, methods=["POST"]),
            Route("/new/load", self.load, methods=["POST"]),
            Route("/new/begin", self.begin, methods=["POST"]),
            Route("/new/begun/{name:str}/", self.begun),
        ]

    def file(self, request: Request) -> Response:
        """Sends the script or the style of these pages."""
        from starlette.responses import FileResponse

        name = request.url.path.rpartition("/")[2]
        return FileResponse(HERE / name, media_type=FILES[name])

    def start(self, request: Request) -> Response:
        """Shows what can be chosen."""
        draft = self._draft(request)
        return self._start(draft, draft.problems)

    def data(self, request: Request) -> Response:
        """Shows the rows: where they went, and what the model gets of them."""
        return self._looked(request, "new_data")

    def plan(self, request: Request) -> Response:
        """Shows what would run, and what it needs."""
        return self._looked(request, "new_plan")

    def written(self, request: Request) -> Response:
        """Shows what was chosen as a command line and as YAML."""
        return self._looked(request, "new_written")

    def yaml(self, request: Request) -> Response:
        """Sends what was chosen as a file for the command line."""
        from starlette.responses import Response

        draft = named(self._draft(request), self.places)
        wrong = self._wrong(draft)
        if wrong:
            return self._start(draft, wrong)
        planned = self._look(draft, "", probe=False, patience=LONG) or {}
        text = draft.yaml(self.places, planned.get("objective", ""))
        named_ = f"attachment; filename*=UTF-8''{quote(draft.name)}.yaml"
        headers = {"content-disposition": named_}
        return Response(text, media_type="application/yaml", headers=headers)

    async def upload(self, request: Request) -> Response:
        """Keeps a file of rows, and answers with its path or with what is wrong with it."""
        from starlette.responses import JSONResponse

        length = request.headers.get("content-length", "")
        size = int(length) if length.isdecimal() else None
        name = request.query_params.get("name", "")
        try:
            path = await keep(name, size, request.stream(), self.places.data)
        except TunesmithError as error:
            status = 413 if isinstance(error, DataError) else 507
            answer = {"problem": "\n".join(problem.text for problem in error.problems)}
            return JSONResponse(answer, status_code=status)
        return JSONResponse({"path": self.places.typed(path)})

    async def load(self, request: Request) -> Response:
        """Reads a run's file that was chosen or pasted, and goes on with what it says."""
        from starlette.responses import RedirectResponse

        text = (await form_of(request)).one("yaml")
        try:
            draft = draft_from_yaml(text.replace("\r\n", "\n"), self.places)
        except TunesmithError as error:
            return self._start(Draft({}), error.problems, text)
        if draft.problems:
            return self._start(draft, draft.problems, text)
        return RedirectResponse(f"/new/?{draft.query()}", status_code=303)

    def begin(self, request: Request) -> Response:
        """Begins the run in a process of its own, and goes to its page."""
        from starlette.responses import RedirectResponse

        draft = named(self._draft(request), self.places)
        wrong = self._wrong(draft)
        if wrong:
            return self._start(draft, wrong)
        planned = self._look(draft, "", probe=False, patience=LONG)
        if planned is None or planned["problems"]:
            return RedirectResponse(f"/new/plan?{draft.query()}", status_code=303)
        self.looks.rest()
        folder = RunFolder(self.places.run(draft.name))
        _, *words = draft.command(self.places, planned["objective"])
        why = self.views.control.begin(folder, words)
        if why is not None:
            return self._start(draft, [Problem("out", why)])
        return RedirectResponse(f"/new/begun/{quote(draft.name)}/", status_code=303)

    def begun(self, request: Request) -> Response:
        """Waits until the run has its files, then goes to its page; shows what its process said
        where it ended without them.
        """
        from starlette.responses import RedirectResponse

        name = request.path_params["name"]
        folder = RunFolder(self.places.run(name))
        if not self.places.is_name(name) or not folder.path.is_dir():
            return self.views.absent()
        # In this order: its process holds the folder before it writes there, and may end meanwhile.
        waiting = self.views.control.starting(folder) or folder.busy
        if folder.run_yaml.is_file():
            return RedirectResponse(f"/run/{quote(name)}/", status_code=303)
        facts = {"name": name, "waiting": waiting, "said": last_lines(folder.path)}
        return self.views.page("new_begun", **facts)

    def _draft(self, request: Request) -> Draft:
        from starlette.exceptions import HTTPException

        if len(request.url.query) > LONGEST_ADDRESS:
            raise HTTPException(414, say("ui.long_form"))
        pairs = request.query_params.multi_items()
        return draft_of([pair for pair in pairs if pair[0] not in BESIDE_DRAFT], self.places)

    def _wrong(self, draft: Draft) -> list[Problem]:
        """Returns what a page may not set, and what the resolver says of all the rest."""
        try:
            read_run(None, draft.words(self.places, GOALS[draft.goal][0]))
        except TunesmithError as error:
            # What was refused is not missing.
            lacks = {path.removesuffix(".path") for path in draft.refused}
            return [
                *draft.problems,
                *(problem for problem in error.problems if problem.where not in lacks),
            ]
        return [*draft.problems]

    def _look(self, draft: Draft, row: str, *, probe: bool, patience: float) -> JsonObject | None:
        asked = Asked(tuple(draft.words(self.places)), draft.goal, language(), row, probe)
        files = [path.partition("#")[0] for path in draft.files]
        return self.looks.at(asked, files, patience)

    def _looked(self, request: Request, template: str) -> Response:
        """Shows a page of what would run; first the address is made to say all of it, and nothing
        that is empty.
        """
        from starlette.responses import RedirectResponse

        draft = self._draft(request)
        asks = request.query_params
        row = asks.get("row", "").strip()
        probe = asks.get("probe") == "1"
        full = named(draft, self.places)
        wrong = self._wrong(full)
        if wrong:
            return self._start(full, wrong)
        extra = (f"&row={quote(row)}" if row else "") + ("&probe=1" if probe else "")
        query = full.query() + extra
        if request.url.query != query:
            return RedirectResponse(f"{request.url.path}?{query}", status_code=303)
        planned = self._look(full, row, probe=probe, patience=PATIENCE)
        if planned is None:
            return self.views.page("new_wait", **self._told(full, template))
        told = [Problem(problem["where"], problem["text"]) for problem in planned["problems"]]
        problems = [as_typed(problem, _places(full)) for problem in told]
        opened = [file["path"] for file in planned.get("files", ())]
        missing = {path for path in full.files if os.path.abspath(path) not in opened}
        at_start = [
            problem
            for problem in problems
            if not _of_rows(problem, full) or problem.where in missing
        ]
        if at_start or (problems and not planned.get("files")):
            return self._start(full, problems)
        facts = self._told(full, template) | {"found": planned, "row": row, "probe": probe}
        return self.views.page(template, 200, **facts, **self._seen(full, planned, problems))

    def _seen(
        self, draft: Draft, found: JsonObject, problems: Sequence[Problem]
    ) -> dict[str, object]:
        """Returns what the pages on rows and plan draw of what was found."""
        command = draft.command(self.places, found["objective"])
        return {
            "problems": self._mended([str(problem) for problem in problems], draft),
            "accounts": self._mended(found.get("told", ()), draft),
            "notes": self._mended(found.get("notes", ()), draft),
            "warnings": self._mended(found.get("warnings", ()), draft),
            "command": shlex.join(command),
            "typed": lambda path: self.places.typed(Path(path)),
            "yaml": draft.yaml(self.places, found["objective"]),
            "fix": _with(draft, found.get("fix", ())),
            **drawn(found),
            "goals": [
                (say(f"ui_new.goal_{goal}"), draft.query({"goal": goal, "objective": ""}))
                for goal in found.get("goals", ())
            ],
        }

    def _mended(
        self, texts: Iterable[str], draft: Draft
    ) -> list[tuple[str, list[tuple[str, str]]]]:
        """Returns each text with what it says to set: as it is typed, and the address with it."""
        return [
            (
                text,
                [
                    (typed, draft.query(change))
                    for typed, change in mends(text, draft, self.places).items()
                ],
            )
            for text in texts
        ]

    def _start(self, draft: Draft, problems: Sequence[Problem], yaml: str = "") -> Response:
        """Shows what can be chosen, each problem at its field; ``yaml`` is what was sent to be
        loaded.
        """
        given = {path: [draft.values.get(path, "")] for path in (*BESIDE, HELD_OUT)}
        given |= {"data.path": draft.files, "yaml": ["run.yaml"]}
        placed = [at_field(problem, given) for problem in problems]
        groups = drawer(draft, placed)
        paths = [field.path for fields in groups.values() for field in fields]
        first_fields = ["model", "data", "out", "goal", "yaml", "source", "source.rewards", *BESIDE]
        at = by_field(placed, [*first_fields, *paths])
        beside: dict[str, list[str]] = {
            name: [*at.get(name, ()), *at.get(f"{name}.path", ())] for name in ("model", "data")
        }
        facts = self._told(draft) | {
            "groups": groups,
            "open": {group for group, fields in groups.items() if any(f.problems for f in fields)},
            "at": beside | {name: at.get(name, []) for name in ELSEWHERE},
            "yaml": yaml,
            **composed_fields(draft, placed),
            "models": self.places.models(),
            "files": self.places.files(),
            "goal_names": list(GOALS),
            "mended": self._mended([str(problem) for problem in placed], draft),
        }
        return self.views.page("new", status=400 if problems else 200, **facts)

    def _told(self, draft: Draft, template: str = "new") -> dict[str, Any]:
        """Returns what all pages show of a draft, and which step is the one of a template."""
        hidden: Mapping[str, str] = {"goal": draft.goal, "name": draft.name, **draft.values}
        facts = {"draft": draft, "query": draft.query(), "hidden": hidden, "root": self.places.root}
        return facts | {"step": STEPS.get(template, "start")}


def _of_rows(problem: Problem, draft: Draft) -> bool:
    """Tells whether a problem is one of the rows, which the page on the rows can show: at a setting
    of them that was not given in a field of the first page, or at a place in a file.
    """
    root, _, rest = problem.where.partition(".")
    setting = f"{root}.{rest.partition('.')[0]}"
    typed = root == "data" and setting in draft.values and setting not in ON_ROWS
    if typed or problem.where == draft.values.get(HELD_OUT):
        return False
    of_run = {path.partition(".")[0] for path in _every_path()} | {"out", "model"}
    others = (draft.values.get(path, "") for path in ("model.path", "questions"))
    of_others = any(within(problem.where, place) for place in others)
    return root == "data" or (root not in of_run and not of_others)


def _places(draft: Draft) -> list[str]:
    """Returns what a draft names that may lie on this machine, as it was typed."""
    named_places = (draft.values.get(path, "") for path in (*BESIDE, HELD_OUT))
    return [*draft.files, *filter(None, named_places)]


def _with(draft: Draft, settings: Sequence[str]) -> list[tuple[str, str]]:
    """Returns one button that sets all of these: as they are typed, and the address with them."""
    pairs = [setting.partition("=") for setting in settings]
    changed = {path: value for path, _, value in pairs}
    return [(" ".join(settings), draft.query(changed))] if changed else []


def _every_path() -> list[str]:
    from tunesmith.settings.run import Run

    return list(Run.model_fields)
