"""``tunesmith check --overfit``: does the model learn four of the rows by heart, and say them back?

A chain of reading, template, training, saving and answering that is whole passes; of a broken one
this says where (the first check of Karpathy 2019, "A Recipe for Training Neural Networks": overfit
one batch). The starter took 49 s and 16 steps for four rows of English Alpaca on 2 CPU cores; of
answers longer than ``LEARNED_TOKENS`` only the beginning is learned and asked for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.display.progress import Shown
from tunesmith.errors import Problem, SpecError, Stopped
from tunesmith.events.run import on_steps
from tunesmith.events.stream import Events, Line
from tunesmith.examples import Chat, final
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Run
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.items import Item
    from tunesmith.data.prepare import Prepared
    from tunesmith.storage.run_folder import RunFolder

ROWS = 4
STEPS = 40
"""Steps at most; rows that are known by heart earlier are trained no longer."""
CHANGES = (
    "questions=[]",
    "data.held_out=0",
    f"train.steps={STEPS}",
    f"train.batch={ROWS}",
    "train.warmup=0",
    "train.schedule=constant",
    "train.keep={evaluate: 0, save: 0}",
)
"""What makes a run short: the same rows, template, method and rate, but nothing held out,
evaluated or warmed up.
"""
LEARNED = 0.1
"""A loss under this (nats) is learned by heart: a token has a chance of 90 % and more."""
KNOWN = math.log(2)
"""A loss of all trained tokens together (nats) under this leaves each of them a chance of more than
a half, whichever token bears it: greedy decoding then says every answer word for word.
"""
FELL = 0.7
"""A loss that stays over this share of the first is not learned at all."""
LEARNED_TOKENS = 32
"""Tokens of an answer that are learned at most."""
SPARE = 16
"""New tokens allowed beyond the longest answer, to see one that does not stop."""
SHOWN = 200
"""Characters of an answer that are shown."""


@dataclass(frozen=True)
class Answer:
    """A row that was learned: its id, the answer it has, and what the model writes after it."""

    id: str
    wanted: str
    written: str
    cut: bool = False
    """Whether only the beginning of the answer was learned and asked for."""

    @property
    def back(self) -> bool:
        """Whether the answer came back word for word."""
        return self.wanted.split() == self.written.split()


@dataclass(frozen=True)
class Asked:
    """What a row asks for: its prompt, and its answer as ids with the stop token and as text.
    ``end`` is where the row is cut off, in tokens; None where all of it is learned.
    """

    prompt_T: np.ndarray
    ids: tuple[int, ...]
    text: str
    end: int | None


@dataclass(frozen=True)
class Overfit:
    """What became of the four rows. ``first`` and ``last`` are losses (nats); ``answers`` is empty
    where a model of this kind writes none.
    """

    rows: int
    steps: int
    first: float
    last: float
    seconds: float
    answers: tuple[Answer, ...]

    @property
    def broken(self) -> str | None:
        """The part of the chain that is broken; None where none is."""
        if self.last > LEARNED and self.last > FELL * self.first:
            return "training"
        if self.answers and all(answer.back for answer in self.answers):
            return None  # label smoothing keeps a loss up that is as low as it can be
        if self.last > LEARNED:
            return "rate"
        return "asking" if self.answers else None

    def to_json(self) -> JsonObject:
        """Returns the same for programs."""
        answers = [
            {
                "id": answer.id,
                "wanted": answer.wanted,
                "written": answer.written,
                "back": answer.back,
                "cut": answer.cut,
            }
            for answer in self.answers
        ]
        return {
            "rows": self.rows,
            "steps": self.steps,
            "first_loss": self.first,
            "last_loss": self.last,
            "seconds": round(self.seconds, 1),
            "answers": answers,
            "broken": self.broken,
        }

    def lines(self) -> list[str]:
        """Returns lines for a person to read."""
        lines = [
            say(
                "overfit.learned",
                rows=self.rows,
                steps=self.steps,
                first=f"{self.first:.3f}",
                last=f"{self.last:.3f}",
                seconds=f"{self.seconds:.0f}",
            )
        ]
        if self.answers:
            back = sum(answer.back for answer in self.answers)
            lines.append(say("overfit.back", back=back, rows=self.rows))
        if number := sum(answer.cut for answer in self.answers):
            lines.append(say("overfit.cut", number=number, tokens=LEARNED_TOKENS))
        if self.broken == "asking":
            for answer in self.answers:
                if not answer.back:
                    fields = {"wanted": answer.wanted[:SHOWN], "written": answer.written[:SHOWN]}
                    lines.append(say("overfit.differs", row=answer.id, **fields))
        return [*lines, say(f"overfit.broken_{self.broken}" if self.broken else "overfit.whole")]


def overfit(run: Run, *, progress: Shown | None = None) -> Overfit:
    """Trains on four short rows of a run that was settled with ``CHANGES``, with its own method,
    rate and template, and asks for their answers. ``run.out`` gets the run.

    SpecError for an objective whose loss does not go to 0 where rows are known by heart: one that
    compares answers, samples them, or looks at a model beside the policy.
    """
    from tunesmith.planning.make import make
    from tunesmith.training.start import train

    objective = OBJECTIVES.make(run.objective)
    if not objective.output.by_heart or objective.roles:
        raise SpecError(Problem("objective", say("overfit.not_for", name=run.objective.name)))
    began = time.perf_counter()
    steps = list[Line]()

    whole = make(run, progress=progress).require().prepared
    assert whole is not None, "a plan without problems has read its rows"
    prepared = replace(whole, train=_shortest(whole.train))
    asked = _asked(run, prepared) if prepared.objective.output.writes else {}
    prepared = replace(
        prepared, train=[_begun(item, asked.get(item.id)) for item in prepared.train]
    )
    plan = make(run, prepared=prepared).require()
    try:
        folder = train(
            plan.resolved,
            prepared,
            events=Events(on_steps(steps.append)),
            enough=lambda: _known_by_heart(steps),
        )
    except Stopped:  # the place of the run is none to go on from
        raise Stopped(say("overfit.stopped")) from None
    answers = tuple(_answers(folder, run, prepared, asked)) if asked else ()
    seconds = time.perf_counter() - began
    first = steps[0]["loss"]
    last = steps[-1]["loss"]
    return Overfit(len(prepared.train), len(steps), first, last, seconds, answers)


def _known_by_heart(steps: Sequence[Line]) -> bool:
    """Says whether the last recorded step finds every trained token more likely than not."""
    return bool(steps) and steps[-1]["loss"] * steps[-1]["tokens"] < KNOWN


def _shortest(items: Sequence[Item]) -> list[Item]:
    """Chooses the shortest rows with different questions, which are learned soonest."""
    shortest: dict[bytes, Item] = {}
    for item in sorted(items, key=lambda candidate: sum(map(len, candidate.tokens))):
        first = item.tokens[0]
        asked = first.ids_T[: int(np.argmax(first.weights_T > 0))].tobytes()
        if first.source_ids_T is not None:  # an encoder reads the question
            asked += first.source_ids_T.tobytes()
        shortest.setdefault(asked or first.ids_T.tobytes(), item)
        if len(shortest) == ROWS:
            break
    return list(shortest.values())


def _asked(run: Run, prepared: Prepared) -> dict[str, Asked]:
    """Returns what the model is to be asked for each row, by the row's id."""
    from tunesmith.proving.task import answer_of, training_examples

    asked: dict[str, Asked] = {}
    for item, example in training_examples(run, prepared):
        if not isinstance(example, Chat):
            continue
        prompt_T, ids, text = answer_of(prepared.render, example)
        begun = len(prepared.render.start or prompt_T)
        end = begun + LEARNED_TOKENS
        # A row that max_length cut before holds the answer elsewhere, or not at all: it stays.
        there = tuple(item.tokens[0].ids_T[begun:end].tolist()) == ids[:LEARNED_TOKENS]
        long = len(ids) > LEARNED_TOKENS
        asked[item.id] = Asked(prompt_T, ids, text, end if long and there else None)
    return asked


def _begun(item: Item, asked: Asked | None) -> Item:
    """Returns the row without what follows the first ``LEARNED_TOKENS`` of its last answer."""
    if asked is None or asked.end is None:
        return item
    (tokens,) = item.tokens
    columns = {
        name: value[: asked.end] if name.endswith("_T") else value
        for name, value in tokens.columns.items()
    }
    ids_T = tokens.ids_T[: asked.end]
    weights_T = tokens.weights_T[: asked.end]
    begun = replace(tokens, ids_T=ids_T, weights_T=weights_T, columns=columns)
    return replace(item, tokens=(begun,))


def _answers(
    folder: RunFolder, run: Run, prepared: Prepared, asked: dict[str, Asked]
) -> Iterator[Answer]:
    from tunesmith.models.calling.generate import generate
    from tunesmith.models.saved import load_run

    loaded, render = load_run(folder), prepared.render
    longest = max(
        LEARNED_TOKENS if question.end else len(question.ids) for question in asked.values()
    )
    settings = run.generate.model_copy(
        update={"max_new_tokens": longest + SPARE, "temperature": 0.0, "samples": 1}
    )
    written = generate(
        loaded.model,
        loaded.tokenizer,
        [question.prompt_T for question in asked.values()],
        settings,
        stop_ids=render.stop_ids,
        share=loaded.layout == "forest",
    )

    def text(ids: Sequence[int]) -> str:
        return render.tokenizer.decode(ids[:LEARNED_TOKENS], clean_up_tokenization_spaces=False)

    for (name, question), answer in zip(asked.items(), written, strict=True):
        if question.end:
            yield Answer(name, text(question.ids), text(answer.ids), cut=True)
        else:
            yield Answer(name, question.text, final(answer.text))
