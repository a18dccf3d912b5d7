"""The watched prompts over a run on sampled answers: the greedy answers to the same prompts, what
they are worth, and whether a reward that nothing is trained on rises with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tunesmith.events.sampled import UnseenRewardStays, WatchedAnswers
from tunesmith.events.stream import Event
from tunesmith.plain import JsonObject

if TYPE_CHECKING:
    from tunesmith.data.items import Item
    from tunesmith.data.rendering.render import Render
    from tunesmith.models.calling.generate import Answer
    from tunesmith.models.loading.load import Loaded

AT_ONCE = 8
"""Watched prompts that are answered together; between these, a signal is heard."""
WRITTEN = 8
"""Watched prompts whose answers are written into the record."""
CLEAR = 2.0
"""Standard errors from which the trained reward has risen."""


def greedy(
    policy: Loaded,
    render: Render,
    items: Sequence[Item],
    *,
    most: int,
    stopped: Callable[[], bool],
) -> list[Answer] | None:
    """Returns the likeliest answers to prompts, of at most ``most`` tokens; None when ``stopped``
    returned true.
    """
    from tunesmith.models.calling.generate import generate
    from tunesmith.settings.run import Generate

    settings, answers = Generate(max_new_tokens=most), []
    for start in range(0, len(items), AT_ONCE):
        if stopped():
            return None
        prompts = [item.tokens[0].ids_T for item in items[start : start + AT_ONCE]]
        model, stops = policy.model, render.stop_ids
        answers += generate(model, render.tokenizer, prompts, settings, stop_ids=stops)
    return answers


class Watching:
    """What was seen of the watched prompts: the rewards of the first time, which later ones are
    compared with prompt by prompt, and the answers of the last.
    """

    def __init__(self) -> None:
        self._first: dict[str, list[float | None]] = {}
        self._last: dict[str, np.ndarray] = {}
        self._answers: list[JsonObject] = []
        self._told = False

    def see(
        self,
        items: Sequence[Item],
        answers: Sequence[Answer],
        trained_I: np.ndarray,
        unseen_I: np.ndarray | None,
    ) -> None:
        """Takes the answers to ``items`` [I] with their rewards: those that are trained on, and
        those that nothing is trained on, where there are any. nan is an abstention.
        """
        self._last = {"reward": trained_I} | ({} if unseen_I is None else {"unseen": unseen_I})
        for name, values_I in self._last.items():
            values = [None if np.isnan(value) else value for value in values_I.tolist()]
            self._first.setdefault(name, values)
        self._answers = [
            {
                "id": item.id,
                "prompt": str(item.tokens[0].columns["row"].get("question", "")),
                "answer": answer.text,
                "rewards": self._rewards_of(index),
            }
            for index, (item, answer) in enumerate(zip(items[:WRITTEN], answers, strict=False))
        ]

    def _rewards_of(self, index: int) -> dict[str, float]:
        """Returns the rewards of one answer of the last look, without those that abstained."""
        rewards = {name: float(values_I[index]) for name, values_I in self._last.items()}
        return {name: round(value, 4) for name, value in rewards.items() if not np.isnan(value)}

    def seen(self, step: int) -> list[Event]:
        """Returns what the last look showed: some answers, and once that the trained reward rose
        while the other did not.
        """
        events: list[Event] = [WatchedAnswers(step, self._answers)]
        trained, unseen = self._change("reward"), self._change("unseen")
        if self._told or trained is None or unseen is None:
            return events
        if trained[0] > CLEAR * trained[1] and unseen[0] <= 0:
            self._told = True
            events.append(UnseenRewardStays(step, round(trained[0], 4), round(unseen[0], 4)))
        return events

    def _change(self, name: str) -> tuple[float, float] | None:
        """Computes by how much a reward rose since the first look, on average over the prompts, and
        the standard error of that; None where too few prompts have one both times.
        """
        if name not in self._last:
            return None
        change_I = self._last[name] - np.array(self._first[name], dtype=float)
        change_i = change_I[~np.isnan(change_I)]
        if len(change_i) < WRITTEN:
            return None
        return float(change_i.mean()), float(change_i.std(ddof=1) / len(change_i) ** 0.5)

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {"first": self._first, "told": self._told}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restores ``state()``; a checkpoint from before this was watched begins anew."""
        self._first, self._told = state.get("first", {}), state.get("told", False)
