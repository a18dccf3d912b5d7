"""Answers to rows as they stand in the user's file; the answer column may be missing or empty, all
others are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.columns.finishing import finish
from tunesmith.data.columns.turns import LISTS, turn_of
from tunesmith.data.readers import READERS, Reader
from tunesmith.errors import DataError, Problem, SpecError
from tunesmith.examples import Chat, Example, Labelled, Preference, Text, TextPair, prompt_of
from tunesmith.objectives import OBJECTIVES
from tunesmith.objectives.reward import answered
from tunesmith.predicting.classes import Meaning, outputs_of
from tunesmith.predicting.fitting import Fitting
from tunesmith.predicting.row_problems import alike, mappings, needed
from tunesmith.predicting.vectors import vectors_of
from tunesmith.settings.run import Run
from tunesmith.storage.cache import notice
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

Row = Mapping[str, Any]
COLUMN = "prediction"
_ROOT = re.compile(r"^[^.\[]+")
"""The column of a place such as ``messages[3].content``."""


class Predictor:
    """A run's model (or its base), ready to answer with the run's own reader, template and
    generation settings.
    """

    def __init__(self, folder: RunFolder, *, tuned: bool = True) -> None:
        from tunesmith.models.saved import load_run

        self.run: Run = folder.resolved().run
        self.loaded = load_run(folder, tuned=tuned)
        assert self.loaded.render is not None, "a run's model comes with its renderer"
        self.render = self.loaded.render
        self.objective = OBJECTIVES.make(self.run.objective)
        self.fitting = Fitting(self.loaded.limit, self.render, self.run)
        ledger = folder.read(folder.ledger) or {"files": []}
        self.columns = _columns(self.run, ledger["files"])
        names = (
            [self.run.data.reader]
            if self.run.data.reader
            else [file["reader"] for file in ledger["files"]]
        )
        self.readers: list[Reader] = [READERS.get(name)() for name in dict.fromkeys(names)]
        self.needed = needed(
            self.run.data, ledger["files"], answers=self.objective.gives == "scores"
        )

    @property
    def names_classes(self) -> bool:
        """Whether the model names classes and writes no text."""
        return self.objective.gives == "classes"

    def predict(
        self,
        rows: Iterable[Row],
        *,
        places: Sequence[str] = (),
        progress: Callable[[int, int], None] | None = None,
        tell: Callable[[str], None] = notice,
    ) -> list[dict[str, Any]]:
        """The rows with ``prediction`` added (``prediction_1`` where there is one); a list of texts
        for several samples.

        DataError with every row that cannot be read, those with the same problem together, before
        any is answered; ``places`` are the rows' names in it, their numbers when not given.
        ``tell`` hears what was cut because the model reads no more.
        """
        rows = mappings(rows, self.needed[0] if self.needed else ("text",))
        if not rows:
            return []
        places = places or [str(number) for number in range(1, len(rows) + 1)]
        self.fitting.cut = 0
        ask, answer = self._ways()
        asked: list[Any] = []
        problems: list[tuple[str, Problem]] = []
        for place, row in zip(places, rows, strict=True):
            try:
                asked.append(ask(row))
            except DataError as error:
                problems += [(place, one) for one in error.problems]
        if problems:
            raise DataError(alike(problems))
        if self.fitting.cut:
            tell(self.fitting.told(len(rows)))
        taken = {name for row in rows for name in row}
        if self.objective.gives != "answers":
            found = answer(asked, progress)
            names = {name: _free(taken, name) for one in found for name in one}
            return [
                {**row, **{names[name]: value for name, value in one.items()}}
                for row, one in zip(rows, found, strict=True)
            ]
        column = _free(taken)
        return [
            {**row, column: text} for row, text in zip(rows, answer(asked, progress), strict=True)
        ]

    def _ways(self) -> tuple[Callable[[Row], Any], Callable[..., list[Any]]]:
        """What is asked of one row, and what answers a list of these."""
        return {
            "answers": (self.prompt, self._answers),
            "classes": (self.sequence, self._classes),
            "scores": (self.conversations, self._scores),
            "vectors": (self.texts, self._vectors),
        }[self.objective.gives]

    def sequence(self, row: Row) -> Tokens:
        """What the classifier reads of one row."""
        example, _ = self._example(row)
        assert isinstance(example, Labelled), "a classifier's rows are read by its own readers"
        if not example.text.strip():
            raise self._lacking(row)
        return self.fitting.counted(
            self.render.sequence(example.text, example.second, limit=self.fitting.limit)
        )

    def _classes(
        self, sequences: list[Tokens], progress: Callable[[int, int], None] | None
    ) -> list[dict[str, Any]]:
        """For each row its class (classes, number), and where there are classes their
        probabilities, as the model gives them, and where the watched rows told how sure it may be,
        the calibrated one of the class."""
        told = self.loaded.facts
        from tunesmith.models.structure.heads import head_in

        meaning = Meaning.of(head_in(told)["outputs"], told.get("fitted", {}))
        found = outputs_of(self.loaded, sequences, progress=progress)
        assert found is not None, "nothing stops this"
        choices, names = meaning.choices(found), meaning.outputs.names
        if meaning.outputs.problem == "regression":
            return [{COLUMN: choice} for choice in choices]
        rows = [dict(zip(names, row.tolist(), strict=True)) for row in meaning.probabilities(found)]
        answers: list[dict[str, Any]] = [
            {COLUMN: one, "probabilities": row} for one, row in zip(choices, rows, strict=True)
        ]
        if (
            "temperature" in told.get("fitted", {})
            and meaning.outputs.problem == "single_label_classification"
        ):
            calibrated = meaning.probabilities(found, calibrated=True)
            answers = [
                one | {"confidence": float(row.max())}
                for one, row in zip(answers, calibrated, strict=True)
            ]
        return answers

    def conversations(self, row: Row) -> dict[str, Tokens]:
        """What a reward model reads of one row, by the name of the score: an answered conversation,
        or both sides of a pair.
        """
        named = {
            **row,
            **{ours: row[theirs] for ours, theirs in self.columns.items() if theirs in row},
        }
        chats = {
            name: READERS.get(name) for name in READERS.names() if READERS.get(name).gives is Chat
        }
        matching = [name for name, cls in chats.items() if cls.matches(frozenset(named), named)]
        if len(matching) == 1 and not {"chosen", "rejected"} & {*named}:
            sides = [chats[matching[0]]().read(named)]
        else:
            example, _ = self._example(row)
            assert isinstance(example, Preference), (
                "a reward model's rows are read by its own readers"
            )
            sides = [
                side for side in example.sides if side.turns[-1:] and side.turns[-1].content.strip()
            ]
        finished = [chat for chat, _ in map(finish, sides) if isinstance(chat, Chat)]
        if not finished:
            raise self._lacking(row)
        tokens = [answered(chat, self.render, len(chat.turns) - 1) for chat in finished]
        tokens = [self.fitting.answered(one) for one in tokens]
        return dict(zip((COLUMN, f"{COLUMN}_rejected"), tokens, strict=False))

    def _scores(
        self, asked: list[dict[str, Tokens]], progress: Callable[[int, int], None] | None
    ) -> list[dict[str, Any]]:
        """For each row the score of its answer; of a pair those of both."""
        found = outputs_of(
            self.loaded, [tokens for one in asked for tokens in one.values()], progress=progress
        )
        assert found is not None, "nothing stops this"
        scores = iter(found[:, 0].tolist())
        return [{name: next(scores) for name in one} for one in asked]

    def texts(self, row: Row) -> dict[str, Tokens]:
        """The texts of one row by the name of their vector; one longer than the model reads is cut,
        as anybody cuts it there.
        """
        example, _ = self._example(row)
        assert isinstance(example, TextPair), (
            "rows of a model of embeddings are read by its own readers"
        )
        texts = [text for text in (example.text, example.second) if text.strip()]
        if not texts:
            raise self._lacking(row)
        limit = self.fitting.longest
        return {
            name: self.fitting.counted(self.render.sequence(text, limit=limit))
            for name, text in zip((COLUMN, f"{COLUMN}_second"), texts, strict=False)
        }

    def _vectors(
        self, asked: list[dict[str, Tokens]], progress: Callable[[int, int], None] | None
    ) -> list[dict[str, Any]]:
        """For each row the vector of its text; of a pair those of both, and their cosine."""
        found = vectors_of(
            self.loaded,
            self.objective,
            [one for texts in asked for one in texts.values()],
            progress=progress,
        )
        vectors, answers = iter(found), []
        for texts in asked:
            named = {name: next(vectors) for name in texts}
            answer: dict[str, Any] = {name: vector_D.tolist() for name, vector_D in named.items()}
            if len(named) == 2:
                first_D, second_D = named.values()
                lengths = float(np.linalg.norm(first_D) * np.linalg.norm(second_D))
                answer[f"{COLUMN}_cosine"] = float(first_D @ second_D) / lengths
            answers.append(answer)
        return answers

    def chat(self, messages: Sequence[Row]) -> str:
        """The answer to a conversation in OpenAI's form: ``[{"role": "user", "content": …}]``."""
        if self.objective.gives != "answers":
            raise SpecError(say("classes.chat", folder=self.run.out))
        turns = tuple(turn_of(message, f"messages[{n}]") for n, message in enumerate(messages))
        if not _asks(Chat(turns)):
            raise DataError(Problem("messages", say("chat.no_turn")))
        prompt = self.fitting.prompt(self.render.prompt(Chat(turns).prompt))
        answer = self._answers([prompt], None)[0]
        return answer if isinstance(answer, str) else answer[0]

    def prompt(self, row: Row) -> np.ndarray:
        """What the model is asked for one row, as ids."""
        example = self._read(row)
        if isinstance(example, Text):
            ids_T = self.render.opening(example)
        elif not _asks(example):
            raise self._lacking(row)
        else:
            ids_T = self.render.prompt(example.prompt)
        return self.fitting.prompt(ids_T)

    def _answers(
        self, prompts: list[np.ndarray], progress: Callable[[int, int], None] | None
    ) -> list[Any]:
        from tunesmith.models.calling.generate import generate

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
        return [
            texts[start : start + settings.samples]
            for start in range(0, len(texts), settings.samples)
        ]

    def _example(self, row: Row) -> tuple[Example, dict[str, str]]:
        """The row by the reader of the training, and the fields that it lacks, such as the answer,
        which are empty then.
        """
        named = {
            **row,
            **{ours: row[theirs] for ours, theirs in self.columns.items() if theirs in row},
        }
        matching = [reader for reader in self.readers if reader.matches(frozenset(named), named)]
        reader = (matching or self.readers)[0]
        for name in reader.fields:
            value = named.get(name)
            if (
                isinstance(value, list)
                and len(value) == 1
                and name not in LISTS
                and isinstance(value[0], str)
            ):
                named[name] = value[0]
        # A label's reader goes by which columns are there.
        filled = {
            name: "" for name in reader.fields if name not in named and reader.gives is not Labelled
        }
        try:
            return reader.read({**named, **filled}), filled
        except DataError as error:
            # A field that is not there is named as the training file calls it.
            if all(
                one.where and not {one.where, *_ROOT.findall(one.where)} & {*named}
                for one in error.problems
            ):
                raise self._lacking(row) from None
            raise

    def _lacking(self, row: Row) -> DataError:
        """What to say of a row without anything to answer: the columns that it has, and those that
        it needs.
        """
        keys = {
            "classes": "classes.no_row_text",
            "scores": "reward.no_answer",
            "vectors": "embed.no_text",
        }
        asked = "chat.no_text" if self.readers[0].gives is Text else "chat.no_question"
        columns = say("spec.or_mean").join(", ".join(names) for names in self.needed)
        return DataError(
            Problem(
                "",
                say(keys.get(self.objective.gives, asked), columns=", ".join(row), needed=columns),
            )
        )

    def _read(self, row: Row) -> Chat | Text:
        """What is asked of a model that writes."""
        example, filled = self._example(row)
        if isinstance(example, Text):
            if not example.text.strip():
                raise self._lacking(row)
            return example
        asked = example if isinstance(example, Chat) else prompt_of(example)
        assert asked is not None, "what is no text has a prompt"
        # The template finds the answer's place by what a row lacks.
        return replace(
            asked,
            columns={
                name: value for name, value in asked.columns.items() if filled.get(name) != value
            },
        )


def predict(folder: RunFolder, rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The rows with the tuned model's answers beside their own columns."""
    return Predictor(folder).predict(rows)


def _asks(chat: Chat) -> bool:
    """Whether the conversation, its answer left out, ends with something asked."""
    return any(
        turn.role in ("user", "tool") and turn.content.strip() for turn in chat.prompt.turns[-1:]
    )


def _columns(run: Run, files: Sequence[Row]) -> Mapping[str, str]:
    """Our names to those of the training files: as the user gave them, or as they were told by the
    cells.
    """
    sources = [] if isinstance(run.data.path, str) else run.data.path
    given = run.data.columns or next((source.columns for source in sources if source.columns), None)
    return given or next((file["read_as"] for file in files if file.get("read_as")), {})


def _free(taken: set[str], wanted: str = COLUMN) -> str:
    """A name for the new column that no row has."""
    number = 0
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name
