"""Whether two models behave alike on probe prompts: logits, likeliest tokens, greedy answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.data.asked_rows import AskedRows, read_questions, shown
from tunesmith.errors import DataError
from tunesmith.examples import Chat, Example, Labelled, Text, TextPair, Turn, prompt_of
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Generate, Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render
    from tunesmith.predicting.engine import Engine

PROBES = 24
LONGEST_PROBE = 512
"""Tokens of a probe prompt; the last so many of a longer one."""
POSITIONS = 8
"""Logits are compared at the last so many positions: a whole prompt times a whole vocabulary would
fill the memory.
"""
NEW_TOKENS = 24

FIXED = (
    "Who are you?",
    "What is the capital of Australia?",
    "Write one sentence about the sea.",
    "Translate into French: good morning, my friend.",
    "What is 17 times 23?",
    "List three uses of a paper clip.",
    "Why is the sky blue?",
    "Summarise: the meeting was moved from Monday to Thursday because two people were ill.",
    "Write a Python function that returns the larger of two numbers.",
    "My order has not arrived. What can I do?",
    "Is this review positive or negative? I would not buy it again.",
    'Return {"a": 1, "b": [2, 3]} with the keys in reverse order.',
    "你是谁？",
    "中国的首都是哪里？",
    "写一句关于春天的话。",
    "把下面的话翻译成英文：早上好，朋友。",
    "感冒发烧应该注意什么？",
    "请列出三种常见的中药。",
    "为什么天空是蓝色的？",
    "总结一下：会议因为两人生病，从周一改到了周四。",
    "我的订单还没有到，怎么办？",
    "这条评论是好评还是差评？再也不会买了。",
    "小明有 12 个苹果，吃了 5 个，又买了 8 个，现在有几个？",
    "用一句话解释什么是机器学习。",
)


@dataclass(frozen=True)
class Behaviour:
    """What a model does on the probes: logits [at most POSITIONS, V] and the greedy answer of
    each.
    """

    logits: tuple[np.ndarray, ...]
    answers: tuple[tuple[int, ...], ...]
    kind: str = "language"
    """What the logits are: those of a vocabulary (language), classes, scores (one a text), or
    tokens' vectors (embedding).
    """
    numbers: bool = False
    """Whether the numbers themselves are the answer, not the place of the largest."""


@dataclass(frozen=True)
class Parity:
    """How far one model is from another on the probes."""

    dtype: str
    largest_difference: float
    """Between two logits."""
    relative: float
    """The same, as a share of the range of the reference's logits."""
    top1_agreement: float
    """Share of positions with the same likeliest token."""
    same_answers: int
    """Probes with the same greedy answer."""
    probes: int
    kind: str = "language"
    """As in Behaviour."""
    numbers: bool = False
    """As in Behaviour."""
    divergence: float = 0.0
    """Mean Kullback-Leibler divergence from the reference's next token (nats); 0 where there is no
    vocabulary.
    """

    def to_json(self) -> dict[str, object]:
        """Returns the fields as they are."""
        return asdict(self)

    def told(self) -> str:
        """Describes for a person how much the two differ."""
        fields: dict[str, object] = {
            "difference": f"{self.largest_difference:.2g}",
            "relative": f"{self.relative * 100:.2g}",
            "probes": self.probes,
            "same": self.same_answers,
            "top1": f"{self.top1_agreement * 100:.1f}",
        }
        return say(f"export.same_{self.kind}", **fields)


def probes(folder: RunFolder, run: Run) -> list[Example]:
    """Collects at least PROBES things to ask: the run's own questions as its rows are read, then
    prompts of its proof, then fixed ones.
    """
    output = OBJECTIVES.make(run.objective).output
    ask = output.question if "questions" in output.takes else Text
    by_text = {shown(example): example for example in _own(folder, run)[:PROBES]}
    more: list[str] = []
    if folder.items.is_file():
        with open(folder.items, encoding="utf-8") as file:
            lines = islice(file, PROBES)
            more = [str(json.loads(line)["prompt"]) for line in lines]
    for text in (*more, *FIXED):
        if len(by_text) < PROBES and text not in by_text:
            by_text[text] = ask(text)
    return [*by_text.values()]


def _own(folder: RunFolder, run: Run) -> list[Example]:
    """Reads what the run's own questions ask; nothing when their file is gone since the run."""
    if isinstance(run.questions, str) and not Path(run.questions).is_file():
        return []
    ledger = folder.read(folder.ledger) or {"files": []}
    rows = AskedRows(run.data, ledger["files"], OBJECTIVES.make(run.objective))
    return [rows.asks(question) for question in read_questions(run).values()]


def probe_ids(
    asked: Sequence[Example], render: Render, limit: int | None = None
) -> list[np.ndarray]:
    """Renders what is asked as the run does, within the ``limit`` (tokens) of the model."""
    most = min(LONGEST_PROBE, max(1, (limit or 10**9) - NEW_TOKENS))
    return [np.asarray(_ids(example, render))[-most:] for example in asked]


def _ids(example: Example, render: Render) -> np.ndarray:
    """Renders one, as a conversation where the run learns these, else as its text; as its text too
    where the run's template needs columns that a text does not have, or asks nothing at all.
    """
    text, chat = shown(example), prompt_of(example)
    if chat is None and render.head != "language" and render.converses:
        chat = Chat((Turn("user", text),), columns={"question": text})
    # The base, which is asked too, knows no place for learned tokens.
    if chat is not None and not render.slots:
        try:
            prompt = render.prompt(chat)
        except DataError:
            prompt = np.empty(0, np.int32)
        if len(prompt):  # a template of the answer alone has none, and no model reads nothing
            return prompt
    if render.head != "language":
        second = example.second if isinstance(example, Labelled | TextPair) else None
        first = example.text if isinstance(example, Labelled | TextPair) else text
        return render.sequence(first, second).ids_T
    return render.sides.source(text) if render.sides else render.opening(Text(text))


def behaviour(
    engine: Engine, prompts: Sequence[np.ndarray], stop_ids: Sequence[int], head: str
) -> Behaviour:
    """Asks an engine for logits and greedy answers; one that writes no text for its likeliest
    classes.
    """
    logits = engine.logits(prompts, POSITIONS)
    if head != "language":
        single = head == "classes" and logits[0].shape[-1] == 1
        kind, numbers = "scores" if single else head, single or head == "embedding"
        answers = tuple(tuple(rows.argmax(-1).tolist()) for rows in logits)
        return Behaviour(tuple(logits), answers, kind, numbers)
    written = engine.write(prompts, Generate(max_new_tokens=NEW_TOKENS), tuple(stop_ids))
    return Behaviour(tuple(logits), tuple(answer.ids for answer in written))


def compare(reference: Behaviour, other: Behaviour, dtype: str) -> Parity:
    """Compares ``other``, computed in ``dtype``, with ``reference``."""
    wanted, seen = np.concatenate(reference.logits), np.concatenate(other.logits)
    # A logit that is not a number must count as the largest difference there can be, not be ignored
    # by a comparison.
    largest = float(np.nan_to_num(np.abs(wanted - seen), nan=np.inf).max())
    same = sum(
        first == second for first, second in zip(reference.answers, other.answers, strict=True)
    )
    return Parity(
        dtype=dtype,
        largest_difference=largest,
        relative=largest / max(float(wanted.max() - wanted.min()), 1e-12),
        top1_agreement=float((wanted.argmax(-1) == seen.argmax(-1)).mean()),
        same_answers=same,
        probes=len(reference.answers),
        kind=reference.kind,
        numbers=reference.numbers,
        divergence=_divergence(wanted, seen) if reference.kind == "language" else 0.0,
    )


def _divergence(wanted: np.ndarray, seen: np.ndarray) -> float:
    """Computes the mean over positions of KL(wanted, seen) of logits [N, V], in nats."""
    from scipy.special import log_softmax

    first, second = log_softmax(wanted, -1), log_softmax(seen, -1)
    # Rounding makes some of a mean of zero, which cannot be negative, smaller than zero.
    return abs(float(np.mean((np.exp(first) * (first - second)).sum(-1))))


def distance(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """Computes the root mean square difference of logits."""
    apart = np.concatenate(first).astype(np.float64) - np.concatenate(second)
    return float(np.sqrt(np.mean(apart**2)))
