"""Models compared by people who do not know whose answers they read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.api.heard import heard
from tunesmith.errors import Problem, SpecError
from tunesmith.events.stream import Listener
from tunesmith.settings.given import Overrides, speak_language
from tunesmith.settings.overrides import with_overrides
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.voting.comparison import Comparison


def arena(
    contenders: Sequence[str | Path] | str | Path,
    settings: Overrides = (),
    *,
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
) -> Comparison:
    """Lets every contender (a run, a model, an endpoint) answer prompts, and returns what is voted
    on: ``ts.arena(["runs/a", "runs/b"], {"data": "prompts.jsonl"})``. Called again it goes on.

    One name alone is the folder of an arena that was answered before.
    """
    from tunesmith.data.steps import settled
    from tunesmith.voting.building import build
    from tunesmith.voting.comparison import Comparison
    from tunesmith.voting.folder import ArenaFolder
    from tunesmith.voting.settings import Arena

    names = [contenders] if isinstance(contenders, str | Path) else list(contenders)
    given = with_overrides({}, settings)
    if len(names) == 1 and ArenaFolder(Path(names[0])).facts.is_file():
        if given:
            raise SpecError(Problem(", ".join(given), say("arena.only_folder")))
        return Comparison(names[0])
    if len(names) == 1 and not given:
        raise SpecError(Problem(str(names[0]), say("arena.no_folder")))
    wanted = settled(Arena, given)
    speak_language(wanted.lang)
    with heard(progress, listen) as events:
        folder = build([str(name) for name in names], wanted, events)
    return Comparison(folder.path)


def judge(
    comparison: Comparison,
    model: str,
    *,
    progress: Shown | None = None,
    listen: Sequence[Listener] = (),
) -> int:
    """Lets a model, or an endpoint, vote on all that it has not voted on, marked as a judge;
    returns how many prompts it decided nothing about.
    """
    from tunesmith.voting.judging import judge as vote

    with heard(progress, listen) as events:
        return vote(comparison, model, events)
