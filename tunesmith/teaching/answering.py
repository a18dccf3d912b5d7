"""Rows answered by an endpoint, as ``predict`` answers them: read as the run reads them, and asked
as conversations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tunesmith.data.asked_rows import AskedRows
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.events.stream import Events
from tunesmith.examples import Chat, Text, Turn
from tunesmith.outputs import COLUMN
from tunesmith.plain import JsonObject, Row
from tunesmith.predicting.predictor import free_name
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Model
from tunesmith.settings.teacher import Teacher, is_endpoint
from tunesmith.storage.run_folder import RunFolder
from tunesmith.teaching.endpoint import Endpoint
from tunesmith.teaching.questions import Question
from tunesmith.words import say


class _Engine(Endpoint):
    """The endpoint, with words that fit answers."""

    gave_up, which_name = "predict.gave_up", "prove.which_name"
    key_refused, key_missing = "prove.key_refused", "prove.key_missing"
    place = name_place = "--engine"


class EndpointAnswers:
    """The model at ``http://HOST/v1``, or ``http://HOST/v1#NAME``, in place of the run's own: no
    weights are loaded here. The endpoint renders what it is asked, so ``data.template`` is its own.
    """

    def __init__(self, folder: RunFolder, address: str, events: Events) -> None:
        run = folder.resolved().run
        objective = OBJECTIVES.make(run.objective)
        if not is_endpoint(address):
            raise SpecError(Problem("--engine", say("predict.no_address", seen=repr(address))))
        if not objective.output.writes:
            text = say("predict.writes_nothing", objective=run.objective.name)
            raise SpecError(Problem("--engine", text))
        url, _, name = address.partition("#")
        teacher = (run.teacher or Teacher()).model_copy(update={"name": name or None})
        data = run.data.model_copy(update={"template": None})
        asked = {"model": Model(path=url), "teacher": teacher, "data": data}
        self.endpoint = _Engine(run.model_copy(update=asked), events)
        ledger = folder.read(folder.ledger) or {"files": []}
        self.rows = AskedRows(run.data, ledger["files"], objective)

    def refuse_unread(self, row: Row) -> None:
        """Raises DataError for a row that cannot be asked."""
        self._chat(row)

    def predict(
        self,
        rows: Iterable[Row],
        *,
        places: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
        taken: Iterable[str] = (),
    ) -> list[JsonObject]:
        """Returns the rows with their answers; raises DataError for those that got none."""
        rows, each = [*rows], self.endpoint.run.generate.samples
        questions = [Question(str(n), self._chat(row), "", {}) for n, row in enumerate(rows, 1)]
        texts: dict[int, str] = {}
        problems: list[Problem] = []
        for number, answer in self.endpoint.answers(iter(questions), (), lambda: False):
            texts[number] = answer.text
            if answer.finish not in ("stop", "length"):
                where = places[number // each] if places else str(number // each + 1)
                problems.append(Problem(where, say("predict.no_answer", why=answer.finish)))
            if progress:
                progress(len(texts), len(rows) * each)
        if problems:
            raise DataError(problems)
        name = free_name({*taken, *(name for row in rows for name in row)}, COLUMN)
        by_row = [[texts[n * each + index] for index in range(each)] for n in range(len(rows))]
        return [
            {**row, name: answers if each > 1 else answers[0]}
            for row, answers in zip(rows, by_row, strict=True)
        ]

    def _chat(self, row: Row) -> Chat:
        asked = self.rows.asks(row)
        if isinstance(asked, Text):
            return Chat((Turn("user", asked.text),))
        assert isinstance(asked, Chat), "what is answered in words is a conversation or a text"
        return asked.prompt
