"""The proof of a run: begun and watched, and the report as it stands."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import FAULTS, Problem, SpecError, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.proving.proof import Proof
from tunesmith.report.build import page
from tunesmith.report.language import Say
from tunesmith.settings.prove import Prove, prove_settings
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.forms import Form
from tunesmith.ui.places import Places, kept_in
from tunesmith.ui.stamps import stamp
from tunesmith.ui.standing import seen
from tunesmith.ui.views import REPORT_POLICY, Views
from tunesmith.ui.work_pages import WorkPages, is_finished
from tunesmith.words import language, say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

NUMBERS = ("items", "shots")
OTHERS: Mapping[str, Sequence[str]] = {"data": (), "against": ()}
SUITES = ("probe", "safety")
"""Suites that need no file; files are named on the command line alone."""


class ProofPages(WorkPages):
    """Each run's proof."""

    kind, place = "prove", "proof"

    def __init__(self, views: Views) -> None:
        super().__init__(views)
        self.places = Places(views.runs.root)

    def routes(self) -> list[Route]:
        """Returns the routes, those of the report among them."""
        from starlette.routing import Route

        base = f"/{self.place}/{{name:path}}/"
        report = [Route(f"{base}report", self.report), Route(f"{base}file", self.file)]
        return [*super().routes(), *report]

    def report(self, request: Request) -> Response:
        """Sends the report as it would be written now, in the language of the pages."""
        buttons = {"prove": "ui_proof.start", "page": "ui_proof.title", "asked": "ui_new.asked"}
        return self._report(request, {}, {name: say(key) for name, key in buttons.items()})

    def file(self, request: Request) -> Response:
        """Sends the same as a file to keep."""
        return self._report(request, {"content-disposition": 'attachment; filename="report.html"'})

    def called(self, form: Form) -> Mapping[str, Sequence[str]]:
        """Returns the fields, by the settings of a proof."""
        return {**{name: (f"prove.{name}",) for name in (*NUMBERS, "suites")}, **OTHERS}

    def asked(self, folder: RunFolder, form: Form) -> JsonObject:
        """Returns the arguments of a proof."""
        given = {name: form.one(name) for name in NUMBERS if form.one(name)}
        problems = []
        prove_asked = Prove()
        try:
            prove_asked = prove_settings([f"{name}={value}" for name, value in given.items()])
        except TunesmithError as error:
            problems += error.problems
        against = []
        for name in form.all("against"):
            other = self.views.runs.find(name)
            if other is None or other.path == folder.path or not is_finished(other):
                problems.append(Problem("against", say("ui_proof.no_rival", name=name)))
            else:
                against.append(str(other.path))
        data = form.one("data")
        problems += self.places.outside("data", data)
        if problems:
            raise SpecError(problems)
        settled = prove_asked.values(*NUMBERS)
        asked: JsonObject = {name: settled[name] if name in given else None for name in NUMBERS}
        asked |= {"against": against, "data": data or None}
        asked |= {"suites": [name for name in SUITES if name in form.all("suites")]}
        asked["became"] = {"against": against}
        return {**asked, "typed": _typed(self.views.runs.typed(folder), asked)}

    def facts(
        self, name: str, folder: RunFolder, form: Form
    ) -> tuple[list[Any], Callable[[], JsonObject]]:
        """Returns the proof as it stands, and the runs that it can be compared with."""
        report = seen(folder, False)

        def shows() -> JsonObject:
            listed = self.views.runs.table()
            others = [run.row["name"] for run in listed if run.chats and run.row["name"] != name]
            facts = {"others": others, "suites": SUITES, "report": report}
            facts |= {"proved": folder.proof.is_file()}
            facts |= {"files": self.places.files(), "root": self.places.root}
            return facts | {"elsewhere": [_told(folder, path) for path in _elsewhere(folder)]}

        return [report, *map(stamp, _elsewhere(folder))], shows

    def _report(
        self,
        request: Request,
        headers: Mapping[str, str],
        buttons: Mapping[str, str] | None = None,
    ) -> Response:
        from starlette.responses import HTMLResponse

        folder = self.views.runs.find(request.path_params["name"])
        shown = {
            "content-security-policy": REPORT_POLICY
        }  # what is wrong is shown in the frame too
        if folder is None:
            answer = self.views.absent()
            answer.headers.update(shown)
            return answer
        try:
            html = page(folder, folder.resolved().run, Say(language()), buttons=buttons)
        except (TunesmithError, OSError, *FAULTS) as error:
            text = str(error) if isinstance(error, TunesmithError) else f"{folder.path}: {error!r}"
            answer = self.views.problem(text, 500)
            answer.headers.update(shown)
            return answer
        return HTMLResponse(html.encode("utf-8", "replace"), headers={**shown, **headers})


def _elsewhere(folder: RunFolder) -> list[Path]:
    """Returns the proofs on the rows of other files."""
    return kept_in(folder.path / "proofs", "*/proof.json")


def _told(folder: RunFolder, path: Path) -> tuple[str, str]:
    """Returns the name of a proof, and what it says."""
    try:
        lines = Proof(folder.read(path)).lines()
    except (TunesmithError, OSError, *FAULTS) as error:
        return path.parent.name, f"{path}: {error!r}"
    return path.parent.name, "\n".join(lines)


def _typed(run: str, asked: JsonObject) -> str:
    """Returns the same as a command line."""
    given = [(name, str(asked[name])) for name in (*NUMBERS, "data") if asked[name] is not None]
    given += [("against", contender) for contender in asked["against"]]
    given += [("suite", suite) for suite in asked["suites"]]
    options = [word for name, value in given for word in (f"--{name}", value)]
    return shlex.join(["tunesmith", "prove", run, *options])
