"""A run's model written in other formats, each with what was measured of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.errors import TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.settings.explain import explain
from tunesmith.settings.export import Export, export_settings
from tunesmith.settings.family import FORMATS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.fields import Field, choices_in, usual_of
from tunesmith.ui.forms import Form, form_of
from tunesmith.ui.work_pages import WorkPages, is_finished
from tunesmith.words import say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

OWN = ("items", "require")
"""Settings of every export that the page offers; a hub is named on the command line alone."""
NAME = re.compile(r"[\w-][\w.-]{0,63}")


class ExportPages(WorkPages):
    """The exports of a run; they lie in its folder ``exports``."""

    kind = place = "export"

    async def start(self, request: Request) -> Response:
        """Begins an export, where none of this run is under way."""
        from starlette.responses import RedirectResponse

        folder, form = self.views.runs.find(request.path_params["name"]), await form_of(request)
        if folder is None or form is None or not is_finished(folder):
            return self.views.absent()
        last = self.last(folder)
        if last is None or not self.works.lives(last):
            try:
                settings = _settings(folder, form)
            except TunesmithError as error:
                return self.views.problem(str(error), 400)
            out = folder.path / "exports" / form.one("as")
            if not NAME.fullmatch(form.one("as")) or out.exists():
                told = say("ui_export.bad_name", name=form.one("as"))
                return self.views.problem(told, 400)
            run = self.views.runs.typed(folder)
            words = ["tunesmith", "export", run, f"{run}/exports/{out.name}", *settings]
            asked = {"run": str(folder.path), "out": str(out), "settings": settings}
            self.works.begin(self.kind, typed=shlex.join(words), **asked)
        return RedirectResponse("./", status_code=303)

    def facts(
        self, request: Request, folder: RunFolder
    ) -> tuple[list[Any], Callable[[], JsonObject]]:
        """Returns the exports that are there, and the fields of the format that is chosen."""
        pages = sorted((folder.path / "exports").glob("*/parity.md"))
        chosen = request.query_params.get("format", "hf")
        chosen = chosen if chosen in FORMATS.names() else "hf"

        def shows() -> JsonObject:
            found = {"formats": FORMATS.names(), "chosen": chosen, "fields": fields_of(chosen)}
            return {**found, "pages": [_page(path) for path in pages]}

        return [chosen, pages], shows


def fields_of(name: str) -> list[Field]:
    """Returns the fields of a format, then those of every export."""
    own = FORMATS.get(name).Config.model_fields
    found = {
        f"format.{key}": (f"export.format.{name}.{key}", own[key]) for key in own if key != "name"
    }
    found |= {key: (f"export.{key}", Export.model_fields[key]) for key in OWN}
    return [
        Field(
            path=path,
            help=explain(page)[0].help,
            type="",
            value="",
            usual=usual_of(info),
            origin="default",
            options=choices_in(info.annotation),
        )
        for path, (page, info) in found.items()
    ]


def _settings(folder: RunFolder, form: Form) -> list[str]:
    """Returns what a form asks for; raises SpecError with all that is wrong. Only the fields that
    the page offers are looked at.
    """
    chosen = form.one("format")
    known = chosen if chosen in FORMATS.names() else "hf"
    given = [f"{one.path}={form.one(one.path)}" for one in fields_of(known) if form.one(one.path)]
    run = folder.resolved().run
    # What a run's own file sends to a hub is not sent by a click.
    kept = ["hub=null"] if run.export.hub else []
    settings = [f"format={chosen}", *given, *kept]
    export_settings(run.export, settings)
    return settings


def _page(path: Path) -> tuple[str, str, str]:
    """Returns the name of an export, its folder, and what was measured of it."""
    return path.parent.name, str(path.parent), path.read_text(encoding="utf-8", errors="replace")
