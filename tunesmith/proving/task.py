"""What the contenders of a proof are given: held-out items, their references, the options, training
rows for the rivals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.asked_reading import reading_for
from tunesmith.data.files.file_facts import Located
from tunesmith.data.prepare import Item, Prepared
from tunesmith.data.reading import examples
from tunesmith.data.rendering.encoder_decoder import continued
from tunesmith.data.rendering.render import Render
from tunesmith.data.rows import chosen_rows
from tunesmith.examples import Chat, Example, final, question_of
from tunesmith.plain import JsonObject
from tunesmith.predicting.likelihoods import likelihoods
from tunesmith.proving import rivals
from tunesmith.settings.run import Run

if TYPE_CHECKING:
    from tunesmith.models.loading.load import Loaded

DRAWS = 4
"""Draws of examples for the few-shot base, of which the best on TRIED other training rows is kept.
"""
TRIED = 24
MOST_TRAINING_ROWS = 20_000
"""Training rows that the rivals see; more would cost minutes and memory and change them little."""


@dataclass
class Task:
    """``questions``, ``prompts`` and ``references`` are by item; empty for plain text, which is
    only scored.
    """

    items: list[Item]
    render: Render
    questions: list[str]
    prompts: list[np.ndarray]
    references: list[str]
    longest: int
    """Tokens of the longest reference, its stop token counted."""
    options: dict[str, tuple[int, ...]]
    """Answer to its token ids, most frequent in training first; empty where answers are no small
    set.
    """
    training: list[tuple[str, Chat]]
    """Row id and conversation of the training rows that the rivals see."""
    labels: list[str]
    """The option that each of those training rows has for an answer; empty without options."""
    shots: list[int]
    """Indices into ``training`` of the rows shown in the prompt of the few-shot base."""
    limit: int
    """Longest prompt with its answer (tokens)."""
    header: np.ndarray = field(default_factory=lambda: rivals.NOTHING)
    """What stands before the examples with ``data.template``, under a hard prompt."""

    @property
    def shown(self) -> list[Chat]:
        """The conversations of ``shots``."""
        return [self.training[index][1] for index in self.shots]

    def sequences(self, index: int, *, shots: bool = False) -> list[Tokens]:
        """Returns the item's own sequences, whose trained tokens are scored, then each option after
        its prompt.
        """
        item = self.items[index]
        plain: Sequence[Tokens] = item.tokens
        if shots or len(self.header):
            plain = rivals.tokens_with_shots(
                self.render, _chat(item), plain, self.shown if shots else [], self.header
            )
        return [*plain, *(self.answered(self.prompt(index, shots=shots)) if self.options else ())]

    def answered(self, prompt: np.ndarray) -> list[Tokens]:
        """Returns each option as the answer to ``prompt``."""
        return [continued(prompt, ids, self.render.start) for ids in self.options.values()]

    def prompt(self, index: int, *, shots: bool = False) -> np.ndarray:
        """Returns the prompt of an item."""
        if not shots:
            return self.prompts[index]
        return rivals.prompt_with_shots(
            self.render, _chat(self.items[index]), self.shown, self.header
        )


def task_of(run: Run, prepared: Prepared, chosen: Sequence[Item], *, shots: int) -> Task:
    """Makes the task of a proof over the held-out rows ``chosen``, with at most ``shots`` training
    rows shown to the base.
    """
    render = prepared.render
    if not isinstance(chosen[0].example, Chat):
        texts = [item.example.text if item.example else "" for item in chosen]  # type: ignore[union-attr]
        return Task(list(chosen), render, texts, [], texts, 0, {}, [], [], [], 0)
    answered = [answer_of(render, _chat(item)) for item in chosen]
    training = _training(run, prepared)
    options = _options(render, [chat for _, chat in training])
    task = Task(
        items=list(chosen),
        render=render,
        questions=[question_of(_chat(item)) for item in chosen],
        prompts=[prompt for prompt, _, _ in answered],
        references=[text for _, _, text in answered],
        longest=max(len(ids) for _, ids, _ in answered),
        options={text: ids for ids, text in options.values()},
        training=training,
        labels=[options[_label(chat)][1] for _, chat in training] if options else [],
        shots=[],
        limit=run.data.max_length or 2048,
    )
    _draw(task, shots, run.train.seed)
    return task


def rendered(task: Task, render: Render, encode: Callable[[Example], Sequence[Tokens]]) -> Task:
    """Renders ``task`` as another model is asked it, by that model's own template; ``encode``
    gives the sequences of an item.
    """
    items = []
    for item in task.items:
        assert item.example is not None, f"{item.id} is held out and so keeps its example"
        items.append(replace(item, tokens=tuple(encode(item.example))))
    if not task.prompts:
        return replace(task, items=items, render=render)
    answered = [answer_of(render, _chat(item)) for item in items]
    options = _options(render, [chat for _, chat in task.training]) if task.options else {}
    return replace(
        task,
        items=items,
        render=render,
        prompts=[prompt for prompt, _, _ in answered],
        longest=max(len(ids) for _, ids, _ in answered),
        options={
            option: ids for option, (ids, _) in zip(task.options, options.values(), strict=True)
        },
        shots=[],
    )


def _draw(task: Task, shots: int, seed: int) -> None:
    """Draws at most ``shots`` examples, fewer where more do not fit."""
    labels = task.labels or [chat.answer for _, chat in task.training]
    task.shots = rivals.choose_shots(labels, shots, seed=seed, labelled=bool(task.options))
    fit(task, task.limit)


def choose_best_shots(task: Task, loaded: Loaded, seed: int) -> None:
    """Keeps, of several draws of examples, the one under which the answers of other training rows
    are likeliest.

    A single draw can halve a small model's score by its order alone; a rival should not lose to an
    unlucky one. Rows that do not fit behind the examples of every draw are not asked.
    """
    wanted, draws = len(task.shots), [task.shots]
    for number in range(1, DRAWS):
        _draw(task, wanted, seed + number)
        draws += [task.shots] if len(task.shots) == wanted else []
    shown = {index for draw in draws for index in draw}
    tried = [
        task.training[index][1]
        for index in evenly([i for i in range(len(task.training)) if i not in shown], TRIED)
    ]

    def sequences(draw: list[int], chat: Chat) -> list[Tokens]:
        shots = [task.training[index][1] for index in draw]
        return rivals.tokens_with_shots(task.render, chat, task.render.chat(chat), shots)

    def fits(chat: Chat) -> bool:
        rows = (row for draw in draws for row in sequences(draw, chat))
        return all(len(row.ids_T) <= task.limit for row in rows)

    tried = [chat for chat in tried if fits(chat)]

    def loss(draw: list[int]) -> float:
        rows = likelihoods(loaded, [sequences(draw, chat) for chat in tried])
        total, weight = np.sum([row.sum(0) for row in rows], axis=0)
        return float(total / weight)

    task.shots = min(draws, key=loss) if tried and len(draws) > 1 else draws[0]


def evenly(items: Sequence[object], most: int) -> list[Any]:
    """Chooses at most ``most`` items, spread evenly over all."""
    return (
        list(items)
        if len(items) <= most
        else [items[index * len(items) // most] for index in range(most)]
    )


def answer_of(render: Render, chat: Chat) -> tuple[np.ndarray, tuple[int, ...], str]:
    """Returns the prompt, the last answer's ids with their stop token, and the text, without
    thinking, that a model has to write.
    """
    last = replace(chat, turns=(*chat.turns[:-1], replace(chat.turns[-1], train=True)))
    prompt = render.prompt(last)
    ids = render.chat(last)[-1].ids_T
    given = np.array(render.start, np.int32) if render.start else prompt
    assert np.array_equal(ids[: len(given)], given), (
        "a rendered conversation begins with what its prompt renders to"
    )
    answer = tuple(ids[len(given) :].tolist())
    return (
        prompt,
        answer,
        final(
            render.tokenizer.decode(
                answer, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        ),
    )


def _chat(item: Item) -> Chat:
    assert isinstance(item.example, Chat), f"{item.id} is held out and so keeps its example"
    return item.example


def _training(run: Run, prepared: Prepared) -> list[tuple[str, Chat]]:
    """Reads the training rows again, because only their tokens were kept; leaves out those equal to
    a held-out row.
    """
    held = {
        (question_of(chat), chat.answer) for chat in map(_chat, [*prepared.watch, *prepared.proof])
    }
    rows: dict[str, Chat] = {}
    for item, example in training_examples(run, prepared):
        if isinstance(example, Chat) and (question_of(example), example.answer) not in held:
            rows[item.id] = example
    return list(rows.items())


def training_examples(run: Run, prepared: Prepared) -> Iterator[tuple[Item, Example]]:
    """Yields training rows with their examples, read again, because only their tokens were kept."""
    for item, _, example in training_rows_again(run, prepared):
        yield item, example


def training_rows_again(run: Run, prepared: Prepared) -> Iterator[tuple[Item, Located, Example]]:
    """Yields training rows read again: what was kept of each, where and how it stands in its file,
    and its example.
    """
    wanted = {item.id: item for item in evenly(prepared.train, MOST_TRAINING_ROWS)}
    everything = {item.id for item in [*prepared.train, *prepared.watch, *prepared.proof]}
    objective = prepared.objective
    reading = examples(run.data, objective.eats, objective.meant, reading_for(objective))
    for where, located, example in chosen_rows(reading, {*wanted}, everything):
        yield wanted[where], located, example


def _label(chat: Chat) -> str:
    return chat.answer.strip()


def _options(render: Render, chats: list[Chat]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Maps each label to its ids and text, where the training answers are a small set."""
    if any(chat.turns[-1].tool_calls or chat.turns[-1].reasoning for chat in chats):
        return {}
    example: JsonObject = {}
    for chat in chats:
        example.setdefault(_label(chat), chat)
    answers = {
        label: answer_of(render, example[label])
        for label in rivals.options_of([_label(chat) for chat in chats])
    }
    return {label: (ids, text) for label, (_, ids, text) in answers.items()}


def fit(task: Task, limit: int) -> None:
    """Takes examples away until the longest item fits after them."""
    widest = max(range(len(task.items)), key=lambda index: len(task.prompts[index]))
    while task.shots and len(task.prompt(widest, shots=True)) + task.longest > limit:
        task.shots = task.shots[:-1]
