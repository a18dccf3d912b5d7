"""Pages of what a run can be asked for besides its training, such as its proof: work in a process
of its own, which is begun, watched and ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tunesmith.errors import TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.forms import Form, form_in, form_of
from tunesmith.ui.standing import duration
from tunesmith.ui.views import Views
from tunesmith.ui.works import Work
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route


class WorkPages:
    """Base of such pages. They lie at ``place``, which also names their templates, and not below
    the run's own page, where a run that is called so may lie; ``kind`` is that of the work. A page
    has ``called``, ``asked`` and ``facts`` of its own.
    """

    kind: ClassVar[str]
    place: ClassVar[str]

    def __init__(self, views: Views) -> None:
        self.views, self.works = views, views.works

    def routes(self) -> list[Route]:
        """Returns the routes."""
        from starlette.routing import Route

        base = f"/{self.place}/{{name:path}}/"
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
        """Begins the work, where none of this kind is under way for the run; shows the form again
        where it is refused.
        """
        from starlette.responses import RedirectResponse

        folder, form = self.views.runs.find(request.path_params["name"]), await form_of(request)
        if folder is None or not is_finished(folder):
            return self.views.absent()
        last = self.last(folder)
        if last is None or not self.works.lives(last):
            try:
                asked = self.asked(folder, form)
            except TunesmithError as error:
                refused = form.refused(error.problems, self.called(form))
                return self._shown(request, self.place, refused)
            run = str(folder.path)
            self.works.begin(self.kind, run=run, form=dict(form.fields), **asked)
        return RedirectResponse("./", status_code=303)

    async def stop(self, request: Request) -> Response:
        """Ends the work that is under way; what was finished of it stays."""
        from starlette.responses import RedirectResponse

        folder = self.views.runs.find(request.path_params["name"])
        last = self.last(folder) if folder is not None else None
        if last is None:
            return self.views.absent()
        self.works.end(last)
        return RedirectResponse("./", status_code=303)

    def called(self, form: Form) -> Mapping[str, Sequence[str]]:
        """Returns the fields of a form, each with what else a problem may call it."""
        raise AssertionError(f"pages of {self.kind} have no fields")

    def asked(self, folder: RunFolder, form: Form) -> JsonObject:
        """Returns what the work is given, with the same as a command line (``typed``); raises a
        TunesmithError with every problem of the form.
        """
        raise AssertionError(f"pages of {self.kind} ask for nothing")

    def facts(
        self, name: str, folder: RunFolder, form: Form
    ) -> tuple[list[Any], Callable[[], JsonObject]]:
        """Returns what the page depends on beside the work, and a function that makes what its
        template shows.
        """
        raise AssertionError(f"pages of {self.kind} have no facts")

    def last(self, folder: RunFolder) -> Work | None:
        """Returns the newest work of a run that was begun here."""
        every = self.works.all(self.kind)
        return next((work for work in every if work.asked["run"] == str(folder.path)), None)

    def _shown(self, request: Request, template: str, refused: Form | None = None) -> Response:
        name = request.path_params["name"]
        folder = self.views.runs.find(name)
        if folder is None:
            return self.views.absent()
        last = self.last(folder)
        stands = self.works.state(last) if last is not None else None
        form, again = refused or form_in(request), None
        if refused is None and last is not None:
            again = form_again(form, last, stands, self.called)
        form = again or form
        marks, shows = self.facts(name, folder, form)

        def told() -> JsonObject:
            shown: JsonObject = {"name": name, "work": last, "form": form}
            shown |= {"finished": is_finished(folder), **shows()}
            return shown | (shown_of(last, stands, again) if last and stands else {})

        marks = [*marks, stands, last.marks() if last is not None else None]
        return self.views.live(request, marks, template, told, 400 if refused else 200)


def form_again(
    form: Form,
    work: Work,
    stands: tuple[str, str] | None,
    called: Callable[[Form], Mapping[str, Sequence[str]]],
) -> Form | None:
    """Returns the form with which a work was begun that failed, with what was wrong at its fields;
    None for another work, or where ``form``, which the address fills in, asks for something else.
    """
    begun = Form(work.asked.get("form", {}))
    failed = stands is not None and stands[0] == "failed"
    if not failed or not form.fields.items() <= begun.fields.items():
        return None
    return begun.refused(work.problems(), called(begun), work.asked.get("became"))


def shown_of(work: Work, stands: tuple[str, str], again: Form | None = None) -> dict[str, Any]:
    """Returns what the template of a work shows; what stands in the form that is shown ``again`` is
    not said twice.
    """
    state, problem = stands
    shown = {"state": state, "problem": "" if again and again.at else problem}
    return {**shown, "phase": _phase(work), "said": work.last_words()}


def _phase(work: Work) -> JsonObject | None:
    """Returns where a work stands, with how much of the whole is ``done``; None where that is not
    known.
    """
    phase = work.read("phase")
    if phase is None:
        return None
    stands = {"parts": 0, "left": None, **phase}  # what an older version wrote has neither
    text = str(stands["phase"])
    parts = stands["parts"]
    if stands["total"]:
        text += f" {stands['done']}/{stands['total']}"
    if parts:
        text = f"{say('ui_work.part', **stands)}: {text}"
    if stands["left"]:
        text += say("ui_work.left", time=duration(stands["left"]))
    within = stands["done"] / stands["total"] if stands["total"] else 0.0
    if parts:
        return {"told": text, "share": (max(stands["part"] - 1, 0) + within) / parts}
    return {"told": text, "share": within if stands["total"] else None}


def is_finished(folder: RunFolder) -> bool:
    """Tells whether a run has a model."""
    return (folder.model / "tunesmith.json").is_file()
