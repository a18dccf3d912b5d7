"""The proof of a run: begun and watched, and the report as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.report.build import page
from tunesmith.report.language import Say
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.forms import Form, form_of
from tunesmith.ui.standing import seen
from tunesmith.ui.views import REPORT_POLICY, Views
from tunesmith.ui.works import Work
from tunesmith.words import language, say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

KIND = "prove"
NUMBERS = ("items", "shots")
SUITES = ("probe", "safety")
"""Suites that need no file; files are named on the command line alone."""


class ProofPages:
    """Each run's proof."""

    def __init__(self, views: Views) -> None:
        self.views, self.works = views, views.works

    def routes(self) -> list[Route]:
        """Returns the routes, which come before those of a run's page."""
        from starlette.routing import Route

        place = "/run/{name:path}/proof/"
        return [
            Route(place, self.show),
            Route(f"{place}now", self.now),
            Route(f"{place}report", self.report),
            Route(f"{place}file", self.file),
            Route(f"{place}start", self.start, methods=["POST"]),
            Route(f"{place}stop", self.stop, methods=["POST"]),
        ]

    def show(self, request: Request) -> Response:
        """Shows the proof of a run."""
        return self._shown(request, "proof")

    def now(self, request: Request) -> Response:
        """Sends what changes of the page."""
        return self._shown(request, "proof_now")

    def report(self, request: Request) -> Response:
        """Sends the report as it would be written now, in the language of the pages."""
        return self._report(request, {})

    def file(self, request: Request) -> Response:
        """Sends the same as a file to keep."""
        return self._report(request, {"content-disposition": 'attachment; filename="report.html"'})

    async def start(self, request: Request) -> Response:
        """Begins a proof, where none of this run is under way."""
        from starlette.responses import RedirectResponse

        folder, form = self._folder(request), await form_of(request)
        if folder is None or form is None:
            return self.views.absent()
        asked, wrong = self._asked(folder, form)
        if wrong:
            return self.views.problem("\n".join(wrong), 400)
        last = self._last(folder)
        if last is None or not self.works.lives(last):
            typed = _typed(self.views.runs.typed(folder), asked)
            self.works.begin(KIND, run=str(folder.path), typed=typed, **asked)
        return RedirectResponse("./", status_code=303)

    async def stop(self, request: Request) -> Response:
        """Ends the proof that is under way; what was scored is not scored again."""
        from starlette.responses import RedirectResponse

        folder = self._folder(request)
        last = self._last(folder) if folder is not None else None
        if last is None:
            return self.views.absent()
        self.works.end(last)
        return RedirectResponse("./", status_code=303)

    def _asked(self, folder: RunFolder, form: Form) -> tuple[JsonObject, list[str]]:
        """Returns what a form asks for, and what is wrong with it."""
        asked: JsonObject = {"against": [], "suites": []}
        wrong = []
        for name in NUMBERS:
            text = form.one(name)
            least = 1 if name == "items" else 0
            if text and not (text.isascii() and text.isdigit() and int(text) >= least):
                wrong.append(f"{name}: {say('spec.greater_than_equal', ge=least)}")
            asked[name] = int(text) if text and not wrong else None
        for name in form.all("against"):
            other = self.views.runs.find(name)
            if other is None or other.path == folder.path or not is_finished(other):
                wrong.append(say("ui_proof.no_rival", name=name))
            else:
                asked["against"].append(str(other.path))
        asked["suites"] = [name for name in SUITES if name in form.all("suite")]
        return asked, wrong

    def _folder(self, request: Request) -> RunFolder | None:
        """Returns the finished run of a request."""
        folder = self.views.runs.find(request.path_params["name"])
        return folder if folder is not None and is_finished(folder) else None

    def _last(self, folder: RunFolder) -> Work | None:
        """Returns the newest proof of a run that was begun here."""
        every = self.works.all(KIND)
        return next((one for one in every if one.asked["run"] == str(folder.path)), None)

    def _shown(self, request: Request, template: str) -> Response:
        folder = self.views.runs.find(request.path_params["name"])
        if folder is None:
            return self.views.absent()
        last = self._last(folder)
        stands = self.works.state(last) if last is not None else None
        report = seen(folder, False)

        def told() -> JsonObject:
            listed = self.views.runs.table()
            name = request.path_params["name"]
            others = [one.row["name"] for one in listed if one.chats and one.row["name"] != name]
            shown: dict[str, Any] = {"name": name, "others": others, "suites": SUITES}
            shown |= {"finished": is_finished(folder), "report": report, "work": last}
            return shown | (shown_of(last, stands) if last and stands else {})

        marks = [report, stands, last.marks() if last is not None else None]
        return self.views.live(request, marks, template, told)

    def _report(self, request: Request, headers: Mapping[str, str]) -> Response:
        from starlette.responses import HTMLResponse

        folder = self.views.runs.find(request.path_params["name"])
        if folder is None:
            return self.views.absent()
        try:
            html = page(folder, folder.resolved().run, Say(language()))
        except (TunesmithError, OSError, ValueError, LookupError) as error:
            return self.views.problem(str(error), 500)
        kept = {"content-security-policy": REPORT_POLICY, **headers}
        return HTMLResponse(html.encode("utf-8", "replace"), headers=kept)


def shown_of(work: Work, stands: tuple[str, str]) -> dict[str, Any]:
    """Returns what the template of a work shows."""
    state, problem = stands
    phase = work.read("phase")
    return {"state": state, "problem": problem, "phase": phase, "said": work.last_words()}


def is_finished(folder: RunFolder) -> bool:
    """Tells whether a run has a model."""
    return (folder.model / "tunesmith.json").is_file()


def _typed(run: str, asked: JsonObject) -> str:
    """Returns the same as a command line."""
    words = ["tunesmith prove", run]
    words += [f"--{name} {asked[name]}" for name in NUMBERS if asked[name] is not None]
    words += [f"--against {one}" for one in asked["against"]]
    return " ".join([*words, *(f"--suite {one}" for one in asked["suites"])])
