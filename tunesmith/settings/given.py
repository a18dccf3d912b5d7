"""What a caller gives as settings, a file, a mapping or a Run, becomes a Run."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from tunesmith import words
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import notice
from tunesmith.settings.import_peers import peer_of, translate
from tunesmith.settings.overrides import typed, with_overrides
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
    plain = {"model": "starter", "out": "runs/check", **rows_of_peer(given(settings), overrides)}
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


def rows_of_peer(settings: Mapping[str, object], overrides: Overrides) -> Mapping[str, object]:
    """Returns settings of another toolkit in ours, and says which rows are looked at by them; ours
    as they are. Raises SpecError where something else would be looked at, or no rows are found that
    the overrides do not name.
    """
    peer = peer_of(settings)
    if peer is None:
        return settings
    translation = translate(settings, peer)
    if translation.other:
        raise SpecError(translation.text())
    ours, over = translation.settings(), {str(word).partition("=")[0] for word in overrides}
    if not over & {"data", "data.path"}:
        lost = {key: why for key, why in translation.left.items() if key.startswith("dataset ")}
        nameless = [Problem(key, why) for key, why in lost.items() if "." not in key]
        if nameless:
            raise SpecError(nameless)
        for key, why in lost.items():
            notice(f"{key}: {why}")
    data = ours.get("data", {})
    looked_at = (
        {f"data.{name}": value for name, value in data.items()}
        if isinstance(data, Mapping)
        else {"data": data}
    ) | {"objective": ours.get("objective", "sft")}
    read_as = [typed(path, value) for path, value in looked_at.items() if path not in over]
    text = say("peers.checked", peer=peer, settings=" ".join(map(shlex.quote, read_as)))
    notice(text)
    return ours


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
