"""A run's model written in other formats, each with what was measured of it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.errors import Problem, SpecError, TunesmithError
from tunesmith.plain import JsonObject
from tunesmith.settings.explain import explain
from tunesmith.settings.export import Export, export_settings
from tunesmith.settings.family import FORMATS
from tunesmith.storage.run_folder import RunFolder
from tunesmith.ui.fields import Field, choices_in, explained, usual_of
from tunesmith.ui.forms import Form
from tunesmith.ui.places import kept_in
from tunesmith.ui.work_pages import WorkPages
from tunesmith.words import language, say

OWN = ("items", "require")
"""Settings of every export that the page offers; a hub is named on the command line alone."""
NAME = re.compile(r"[\w-][\w.-]{0,63}")


class ExportPages(WorkPages):
    """The exports of a run; they lie in its folder ``exports``."""

    kind = place = "export"

    def called(self, form: Form) -> Mapping[str, Sequence[str]]:
        """Returns the fields of the format, and the name of the export."""
        paths = [field.path for field in fields_of(_format(form))]
        return {"as": (), **{path: (f"export.{path}",) for path in paths}}

    def asked(self, folder: RunFolder, form: Form) -> JsonObject:
        """Returns the arguments of an export."""
        problems, settings = [], []
        try:
            settings = _settings(folder, form)
        except TunesmithError as error:
            problems += error.problems
        name = form.one("as") or _free(folder, _format(form))
        out = folder.path / "exports" / name
        if not NAME.fullmatch(name):
            problems.append(Problem("as", say("ui_export.bad_name")))
        elif out.exists():
            problems.append(Problem("as", say("export.not_empty")))
        if problems:
            raise SpecError(problems)
        run = self.views.runs.typed(folder)
        words = ["tunesmith", "export", run, f"{run}/exports/{out.name}", *settings]
        return {"out": str(out), "settings": settings, "typed": shlex.join(words)}

    def facts(
        self, name: str, folder: RunFolder, form: Form
    ) -> tuple[list[Any], Callable[[], JsonObject]]:
        """Returns the exports that are there, and the fields of the format that is chosen."""
        pages = kept_in(folder.path / "exports", "*/parity.md")
        chosen = _format(form)

        def shows() -> JsonObject:
            facts = {"formats": FORMATS.names(), "chosen": chosen}
            facts |= {"fields": fields_of(chosen, form), "pages": [_page(path) for path in pages]}
            about = explained(f"export.format.{chosen}", language()).help
            return facts | {"about": about, "free": _free(folder, chosen)}

        return [chosen, pages], shows


def _free(folder: RunFolder, name: str) -> str:
    """Returns a name that no export of a run has, after its format."""
    free, number = name, 1
    while (folder.path / "exports" / free).exists():
        number += 1
        free = f"{name}-{number}"
    return free


def _format(form: Form) -> str:
    """Returns the format that a form names, or the usual one."""
    return form.one("format") if form.one("format") in FORMATS.names() else "hf"


def fields_of(name: str, form: Form | None = None) -> list[Field]:
    """Returns the fields of a format, then those of every export, as a form fills them."""
    form = form or Form()
    own_fields = FORMATS.get(name).Config.model_fields
    pages = {
        f"format.{key}": (f"export.format.{name}.{key}", own_fields[key])
        for key in own_fields
        if key != "name"
    }
    pages |= {key: (f"export.{key}", Export.model_fields[key]) for key in OWN}
    return [
        Field(
            path=path,
            help=explain(page)[0].help,
            type="",
            value=form.one(path),
            usual=usual_of(info),
            origin="given" if form.one(path) else "default",
            options=choices_in(info.annotation),
            problems=tuple(form.wrong(path)),
        )
        for path, (page, info) in pages.items()
    ]


def _settings(folder: RunFolder, form: Form) -> list[str]:
    """Returns what a form asks for; raises SpecError with all that is wrong. Only the fields that
    the page offers are looked at.
    """
    filled = fields_of(_format(form), form)
    given = [f"{field.path}={field.value}" for field in filled if field.value]
    run = folder.resolved().run
    # What a run's own file sends to a hub is not sent by a click.
    kept = ["hub=null"] if run.export.hub else []
    settings = [f"format={form.one('format')}", *given, *kept]
    export_settings(run.export, settings)
    return settings


def _page(path: Path) -> tuple[str, str, str]:
    """Returns the name of an export, its folder, and what was measured of it."""
    return path.parent.name, str(path.parent), path.read_text(encoding="utf-8", errors="replace")
