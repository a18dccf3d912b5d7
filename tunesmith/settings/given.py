"""What a caller gives as settings, a file, a mapping or a Run, becomes a Run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tunesmith import words
from tunesmith.errors import Problem, SpecError
from tunesmith.settings.import_peers import peer_of, translate
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.run import Run, validate
from tunesmith.settings.yaml_file import read_settings
from tunesmith.words import say

Settings = str | Path | Mapping[str, object] | Run
Overrides = Sequence[str] | Mapping[str, object]


def settings_of(settings: Settings, overrides: Overrides = ()) -> Run:
    """Validates a YAML file, a mapping or a Run into a Run; answers a peer's settings with ours."""
    return validate(with_overrides(of_one_run(settings), overrides))


def of_one_run(settings: Settings) -> Mapping[str, object]:
    """Returns the settings as they were given; raises SpecError for a run's folder, for stages, and
    for a peer's settings, with ours.
    """
    if isinstance(settings, str | Path) and os.path.isdir(settings):
        raise SpecError(Problem(str(settings), say("cli.is_folder", folder=settings)))
    plain = given(settings)
    if "stages" in plain:
        raise SpecError(Problem("stages", say("stages.for_rlhf")))
    refuse_peer(plain)
    return plain


def look_settings(settings: Settings, overrides: Overrides = ()) -> Run:
    """Validates settings that only say which rows are looked at, and speaks the run's language."""
    # The starter's tokenizer counts tokens as well as another's, and nothing is written.
    plain = {"model": "starter", "out": "runs/check", **given(settings)}
    run = settings_of(plain, overrides)
    speak(run)
    return run


def given(settings: Settings) -> Mapping[str, object]:
    """Returns the settings as they were given, not yet validated; raises SpecError where they are
    not settings.
    """
    if isinstance(settings, str | Path):
        return read_settings(settings)
    if isinstance(settings, Run):
        return settings.model_dump(exclude_unset=True)
    if not isinstance(settings, Mapping):
        raise SpecError(Problem("settings", say("spec.not_settings", kind=type(settings).__name__)))
    return settings


def refuse_peer(settings: Mapping[str, object]) -> None:
    """Raises SpecError, with ours, for settings of another toolkit."""
    peer = peer_of(settings)
    if peer is not None:
        raise SpecError(translate(settings, peer).text())


def speak(run: Run) -> None:
    """Switches to the run's own language, where it names one and nobody has just asked for
    another.
    """
    speak_language(run.lang)


def speak_language(lang: str) -> None:
    """Switches to a language that settings name, where nobody has just asked for another."""
    if lang != "auto" and not words.asked():
        words.use(lang)
