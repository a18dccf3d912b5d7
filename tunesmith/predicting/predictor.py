"""Answers to rows as they stand in the user's file; the answer column may be missing or empty, all
others are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tunesmith.data.asked_rows import AskedRows
from tunesmith.data.columns.finishing import conversation
from tunesmith.errors import Alike, DataError
from tunesmith.events.stream import notice
from tunesmith.objectives import OBJECTIVES
from tunesmith.plain import JsonObject, Row
from tunesmith.predicting.fitting import Fitting
from tunesmith.predicting.row_problems import mappings
from tunesmith.settings.run import Run
from tunesmith.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded


class Predictor:
    """A run's model (or its base), ready to answer with the run's own reader, template and
    generation settings. ``loaded`` is that model where it was loaded before.
    """

    def __init__(
        self, folder: RunFolder, *, tuned: bool = True, loaded: Loaded | None = None
    ) -> None:
        from tunesmith.models.saved import load_run

        self.run: Run = folder.resolved().run
        self.loaded = loaded or load_run(folder, tuned=tuned)
        assert self.loaded.render is not None, "a run's model comes with its renderer"
        self.render = self.loaded.render
        self.objective = OBJECTIVES.make(self.run.objective)
        self.fitting = Fitting(self.loaded.limit, self.render, self.run)
        ledger = folder.read(folder.ledger) or {"files": []}
        self.rows = AskedRows(self.run.data, ledger["files"], self.objective)

    def predict(
        self,
        rows: Iterable[Row],
        *,
        places: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
        tell: Callable[[str], None] = notice,
        taken: Iterable[str] = (),
    ) -> list[JsonObject]:
        """Returns the rows with ``prediction`` added (``prediction_1`` where there is one); a list
        of texts for several samples.

        DataError with every row that cannot be read, those with the same problem together, before
        any is answered; ``places`` are the rows' names in it, their numbers when not given.
        ``tell`` hears what was cut because the model reads no more; ``taken`` are further names
        that the new columns must not have.
        """
        rows = mappings(rows, self.rows.needed[0] if self.rows.needed else ("text",))
        if not rows:
            return []
        places = places or [str(number) for number in range(1, len(rows) + 1)]
        self.fitting.cut = 0
        output = self.objective.output
        asked: list[Any] = []
        problems = Alike()
        for named, row in zip(places, rows, strict=True):
            before = self.fitting.cut
            try:
                asked.append(output.ask(self, row))
            except DataError as error:
                for problem in error.problems:
                    problems.add(named, problem)
            self.fitting.cut = before + (self.fitting.cut > before)  # once a row, both its texts
        if problems.kinds:
            raise DataError(problems.told())
        if self.fitting.cut:
            tell(self.fitting.told(len(rows)))
        columns = {*taken, *(name for row in rows for name in row)}
        answers = output.answer(self, asked, progress)
        names = {name: free_name(columns, name) for answer in answers for name in answer}
        return [
            {**row, **{names[name]: value for name, value in answer.items()}}
            for row, answer in zip(rows, answers, strict=True)
        ]

    def refuse_unread(self, row: Row) -> None:
        """Raises DataError for a row that cannot be asked."""
        [asked] = mappings([row], self.rows.needed[0] if self.rows.needed else ("text",))
        self.objective.output.ask(self, asked)

    def chat(self, messages: Sequence[Row]) -> str:
        """Answers a conversation in OpenAI's form: ``[{"role": "user", "content": …}]``."""
        return self.objective.output.converse(self, conversation(messages, "messages[{}]"))


def free_name(taken: set[str], wanted: str) -> str:
    """Returns a name for the new column that no row has."""
    number = 0
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name
