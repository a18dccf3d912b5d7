"""Answers to rows as they stand in the user's file; the answer column may be missing or empty, all others are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.batch import Tokens
from tunesmith.data.readers import READERS, Reader
from tunesmith.data.turns import LISTS, turn_of
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.evaluate.classes import Meaning, outputs_of
from tunesmith.examples import Chat, Example, Labelled, Text
from tunesmith.folder import RunFolder
from tunesmith.run import Run
from tunesmith.words import say

Row = Mapping[str, Any]
COLUMN = "prediction"


class Predictor:
    """A run's model (or its base), ready to answer with the run's own reader, template and generation settings."""

    def __init__(self, folder: RunFolder, *, tuned: bool = True) -> None:
        from tunesmith.models.load import load_run

        self.run: Run = folder.resolved().run
        self.loaded = load_run(folder, tuned=tuned)
        assert self.loaded.render is not None, "a run's model comes with its renderer"
        self.render = self.loaded.render
        self.columns = _columns(self.run)
        ledger = folder.read(folder.ledger) or {"files": []}
        names = [self.run.data.reader] if self.run.data.reader else [file["reader"] for file in ledger["files"]]
        self.readers: list[Reader] = [READERS.get(name)() for name in dict.fromkeys(names)]

    @property
    def names_classes(self) -> bool:
        """Whether the model has a classification head and writes no text."""
        return self.render.head == "classes"

    def predict(
        self, rows: Iterable[Row], *, places: Sequence[str] = (), progress: Callable[[int, int], None] | None = None
    ) -> list[dict[str, Any]]:
        """The rows with ``prediction`` added (``prediction_1`` where there is one); a list of texts for several samples.

        DataError with every row that cannot be read, before any is answered; ``places`` are the rows' names in it,
        their numbers when not given.
        """
        rows = [dict(row) for row in rows]
        places = places or [str(number) for number in range(1, len(rows) + 1)]
        asked: list[Any] = []
        problems: list[Problem] = []
        for place, row in zip(places, rows, strict=True):
            try:
                asked.append(self.sequence(row) if self.names_classes else self.prompt(row))
            except DataError as error:
                problems += [Problem(":".join(filter(None, (place, one.where))), one.text) for one in error.problems]
        if problems:
            raise DataError(problems)
        taken = {name for row in rows for name in row}
        if self.names_classes:
            found = self._classes(asked, progress)
            names = {name: _free(taken, name) for one in found[:1] for name in one}
            return [{**row, **{names[name]: value for name, value in one.items()}} for row, one in zip(rows, found, strict=True)]
        column = _free(taken)
        return [{**row, column: answer} for row, answer in zip(rows, self._answers(asked, progress), strict=True)]

    def sequence(self, row: Row) -> Tokens:
        """What the classifier reads of one row."""
        example = self._read(row)
        assert isinstance(example, Labelled), "a classifier's rows are read by its own readers"
        return self.render.sequence(example.text, example.second)

    def _classes(self, sequences: list[Tokens], progress: Callable[[int, int], None] | None) -> list[dict[str, Any]]:
        """For each row its class (classes, number), and where there are classes their probabilities, as the model gives them,
        and where the watched rows told how sure it may be, the calibrated one of the class."""
        told = self.loaded.facts
        from tunesmith.models.heads import head_in

        meaning = Meaning.of(head_in(told)["outputs"], told.get("fitted", {}))
        found = outputs_of(self.loaded, sequences, progress=progress)
        assert found is not None, "nothing stops this"
        choices, names = meaning.choices(found), meaning.outputs.names
        if meaning.outputs.problem == "regression":
            return [{COLUMN: choice} for choice in choices]
        rows = [dict(zip(names, row.tolist(), strict=True)) for row in meaning.probabilities(found)]
        answers: list[dict[str, Any]] = [{COLUMN: one, "probabilities": row} for one, row in zip(choices, rows, strict=True)]
        if "temperature" in told.get("fitted", {}) and meaning.outputs.problem == "single_label_classification":
            calibrated = meaning.probabilities(found, calibrated=True)
            answers = [one | {"confidence": float(row.max())} for one, row in zip(answers, calibrated, strict=True)]
        return answers

    def chat(self, messages: Sequence[Row]) -> str:
        """The answer to a conversation in OpenAI's form: ``[{"role": "user", "content": …}]``."""
        if self.names_classes:
            raise SpecError(say("classes.chat", folder=self.run.out))
        turns = tuple(turn_of(message, f"messages[{n}]") for n, message in enumerate(messages))
        answer = self._answers([self.render.prompt(_asked(Chat(turns), ("role", "content")))], None)[0]
        return answer if isinstance(answer, str) else answer[0]

    def prompt(self, row: Row) -> np.ndarray:
        """What the model is asked for one row, as ids."""
        example = self._read(row)
        assert not isinstance(example, Labelled), "only a classifier's rows are read so"
        if isinstance(example, Text):
            return self.render.text(example)[0].ids_T[:-1]  # without the end token: the model goes on from here
        return self.render.prompt(_asked(example, row))

    def _answers(self, prompts: list[np.ndarray], progress: Callable[[int, int], None] | None) -> list[Any]:
        from tunesmith.models.generate import generate

        loaded, settings = self.loaded, self.run.generate
        answers = generate(
            loaded.model,
            loaded.tokenizer,
            prompts,
            settings,
            stop_ids=self.render.stop_ids,
            share=loaded.layout == "forest",
            seed=self.run.train.seed,
            progress=progress,
        )
        texts = [answer.text for answer in answers]
        if settings.samples == 1:
            return texts
        return [texts[start : start + settings.samples] for start in range(0, len(texts), settings.samples)]

    def _read(self, row: Row) -> Example:
        """The row by the reader of the training, with empty text for the fields that it lacks, such as the answer."""
        named = {**row, **{ours: row[theirs] for ours, theirs in self.columns.items() if theirs in row}}
        matching = [reader for reader in self.readers if reader.matches(frozenset(named), named)]
        reader = (matching or self.readers)[0]
        for name in reader.fields:
            value = named.get(name)
            if isinstance(value, list) and len(value) == 1 and name not in LISTS and isinstance(value[0], str):
                named[name] = value[0]
        # A label's reader goes by which columns are there.
        filled = {name: "" for name in reader.fields if name not in named and reader.gives is not Labelled}
        example = reader.read({**named, **filled})
        if isinstance(example, Labelled):
            if not example.text.strip():
                raise DataError(Problem("", say("classes.no_row_text", columns=", ".join(row))))
            return example
        if isinstance(example, Text):
            if not example.text.strip():
                raise DataError(Problem("", say("chat.no_text", columns=", ".join(row))))
            return example
        # The template finds the answer's place by what a row lacks.
        return replace(example, columns={name: value for name, value in example.columns.items() if filled.get(name) != value})


def predict(folder: RunFolder, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows with the tuned model's answers beside their own columns."""
    return Predictor(folder).predict(rows)


def _asked(chat: Chat, columns: Iterable[str]) -> Chat:
    """The conversation up to what is asked; DataError without a question, which names the columns that are there."""
    asked = chat.prompt
    if not any(turn.role in ("user", "tool") and turn.content.strip() for turn in asked.turns[-1:]):
        raise DataError(Problem("", say("chat.no_question", columns=", ".join(columns))))
    return asked


def _columns(run: Run) -> Mapping[str, str]:
    sources = [] if isinstance(run.data.path, str) else run.data.path
    return run.data.columns or next((source.columns for source in sources if source.columns), {})


def _free(taken: set[str], wanted: str = COLUMN) -> str:
    """A name for the new column that no row has."""
    number = 0
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name
