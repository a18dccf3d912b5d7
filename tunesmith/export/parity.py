"""Whether two models behave alike on probe prompts: logits, likeliest tokens, greedy answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.data.asked import AskedRows, read_questions, shown
from tunesmith.examples import Chat, Text, Turn
from tunesmith.settings.family import OBJECTIVES
from tunesmith.settings.run import Generate, Run
from tunesmith.storage.run_folder import RunFolder
from tunesmith.words import say

if TYPE_CHECKING:
    import torch

    from tunesmith.data.rendering.render import Render
    from tunesmith.data.rendering.tokenizers import Tokenizer

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

    logits: tuple[torch.Tensor, ...]
    answers: tuple[tuple[int, ...], ...]
    kind: str = "language"
    """What the logits are: those of a vocabulary (language), classes, scores (one a text), or
    tokens' vectors (embedding).
    """


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

    def to_json(self) -> dict[str, object]:
        """Returns the fields as they are."""
        return asdict(self)

    def told(self) -> str:
        """Describes for a person how much the two differ."""
        told: dict[str, object] = {
            "difference": f"{self.largest_difference:.2g}",
            "relative": f"{self.relative * 100:.2g}",
            "probes": self.probes,
            "same": self.same_answers,
            "top1": f"{self.top1_agreement * 100:.1f}",
        }
        return say(f"export.same_{self.kind}", **told)


def probe_texts(folder: RunFolder, run: Run) -> list[str]:
    """Collects at least PROBES texts: the run's own questions, then prompts of its proof, then
    fixed ones.
    """
    own = _own(folder, run)
    proved = []
    if folder.items.is_file():
        with open(folder.items, encoding="utf-8") as file:
            proved = [
                str(json.loads(line)["prompt"])
                for _, line in zip(range(PROBES), file, strict=False)
            ]
    texts = list(dict.fromkeys([*own[:PROBES], *proved]))[:PROBES]
    return texts + list(FIXED[: PROBES - len(texts)])


def _own(folder: RunFolder, run: Run) -> list[str]:
    """Reads what the run's own questions ask; nothing when their file is gone since the run."""
    if isinstance(run.questions, str) and not Path(run.questions).is_file():
        return []
    ledger = folder.read(folder.ledger) or {"files": []}
    rows = AskedRows(run.data, ledger["files"], OBJECTIVES.make(run.objective))
    return [shown(rows.asks(question)) for question in read_questions(run).values()]


def probe_ids(texts: Sequence[str], render: Render, limit: int | None = None) -> list[np.ndarray]:
    """Renders the texts as the run asks them, within the ``limit`` (tokens) of the model; as plain
    text where its template needs columns that a text does not have.
    """
    if render.head != "language":
        prompts = [render.sequence(text).ids_T for text in texts]
    elif render.template is None:
        prompts = [render.prompt(Chat((Turn("user", text),))) for text in texts]
    else:
        prompts = [
            render.sides.source(text) if render.sides else render.opening(Text(text))
            for text in texts
        ]
    most = min(LONGEST_PROBE, max(1, (limit or 10**9) - NEW_TOKENS))
    return [np.asarray(prompt)[-most:] for prompt in prompts]


def logits(model: Any, prompts: Sequence[np.ndarray]) -> tuple[torch.Tensor, ...]:
    """Computes logits in fp32 at the last positions of each prompt, one prompt at a time: no
    padding that could differ.
    """
    import torch

    from tunesmith.models.structure.kinds import head_of

    found = []
    with torch.no_grad():
        for prompt in prompts:
            ids = torch.as_tensor(prompt, dtype=torch.long)[None]
            if head_of(model) != "language":
                output = model(input_ids=ids)
                rows = output.logits if "logits" in output else output.last_hidden_state
                # A row for each token, or one for the text.
                found.append((rows[0, -POSITIONS:] if rows.dim() == 3 else rows).float())
                continue
            # Any tokens show what a decoder does with what its encoder read.
            more = (
                {"decoder_input_ids": ids[:, :POSITIONS]} if model.config.is_encoder_decoder else {}
            )
            found.append(
                model(input_ids=ids, use_cache=False, **more).logits[0, -POSITIONS:].float()
            )
    return tuple(found)


def behaviour(
    model: torch.nn.Module,
    tokenizer: Tokenizer,
    prompts: Sequence[np.ndarray],
    stop_ids: Sequence[int],
) -> Behaviour:
    """Computes the logits and greedy answers of a model; for one that writes no text its likeliest
    classes.
    """
    from tunesmith.models.calling.generate import generate
    from tunesmith.models.structure.kinds import head_of

    head = head_of(model)
    if head != "language":
        found = logits(model, prompts)
        kind = "scores" if head == "classes" and found[0].shape[-1] == 1 else head
        return Behaviour(found, tuple(tuple(rows.argmax(-1).tolist()) for rows in found), kind)
    answers = generate(
        model, tokenizer, prompts, Generate(max_new_tokens=NEW_TOKENS), stop_ids=tuple(stop_ids)
    )
    return Behaviour(logits(model, prompts), tuple(answer.ids for answer in answers))


def compare(reference: Behaviour, other: Behaviour, dtype: str) -> Parity:
    """Compares ``other``, computed in ``dtype``, with ``reference``."""
    import torch

    wanted, seen = torch.cat(reference.logits), torch.cat(other.logits)
    # A logit that is not a number must count as the largest difference there can be, not be ignored
    # by a comparison.
    largest = torch.nan_to_num((wanted - seen).abs(), nan=float("inf")).max().item()
    same = sum(
        first == second for first, second in zip(reference.answers, other.answers, strict=True)
    )
    return Parity(
        dtype=dtype,
        largest_difference=largest,
        relative=largest / max((wanted.max() - wanted.min()).item(), 1e-12),
        top1_agreement=(wanted.argmax(-1) == seen.argmax(-1)).float().mean().item(),
        same_answers=same,
        probes=len(reference.answers),
        kind=reference.kind,
    )


def distance(first: Sequence[torch.Tensor], second: Sequence[torch.Tensor]) -> float:
    """Computes the root mean square difference of logits."""
    import torch

    return (torch.cat(tuple(first)) - torch.cat(tuple(second))).square().mean().sqrt().item()
