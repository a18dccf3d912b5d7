"""Tasks learned one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.api.heard import heard
from tunesmith.api.training import rlhf
from tunesmith.events.stream import Listener
from tunesmith.plain import JsonObject, Named
from tunesmith.settings.given import Overrides, given, refuse_peer, speak
from tunesmith.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tunesmith.display.progress import Shown
    from tunesmith.planning.plan import Plan


@dataclass(frozen=True)
class TaskSequence:
    """The runs of a sequence, and every model's score on every task."""

    folders: list[RunFolder]
    found: JsonObject

    def lines(self) -> list[str]:
        """Returns the matrix and what follows from it as lines for a person."""
        from tunesmith.report.sequence import sequence_lines

        return sequence_lines(self.found)

    def to_json(self) -> JsonObject:
        """Returns every number."""
        return {"folders": [str(folder.path) for folder in self.folders], **self.found}


def sequence(
    settings: str | Path | Named,
    overrides: Overrides = (),
    *,
    items: int | None = None,
    progress: Shown | None = None,
    on_plan: Callable[[Plan], None] | None = None,
    listen: Sequence[Listener] = (),
) -> TaskSequence:
    """Trains the stages of a file as ``rlhf`` does, a task each, then asks the model before them
    and that of each stage at most ``items`` held-out rows of every task: the matrix, average,
    backward and forward transfer and forgetting, in ``sequence.json`` and ``sequence.html``.

    Called again, it continues. SpecError where a stage has no score of its rows or does not go on
    from the one before.
    """
    from tunesmith.planning.stages import stages_of
    from tunesmith.report.sequence import write_page
    from tunesmith.sequences.ask import ask_all, refuse_unasked

    plain = given(settings)
    refuse_peer(plain)
    stages = stages_of(plain, overrides)
    speak(stages[0].run)
    refuse_unasked(stages)
    options = {"progress": progress, "on_plan": on_plan, "listen": listen}
    folders = rlhf(plain, overrides, **options)
    folder = Path(stages[0].run.out).parent
    with heard(progress, listen) as events:
        answers = ask_all(stages, folder, items, events)
    write_page(answers, folder / "sequence.html")
    return TaskSequence(folders, answers)
