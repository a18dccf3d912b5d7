"""A model behind an endpoint says which of two answers is better, in both orders: a judge prefers a
side, so that a win counts where both orders say it (Zheng et al. 2023, sections 3.3 and 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Gt

from tunesmith.errors import FAULTS
from tunesmith.metrics import METRICS, Grades, Metric, Written
from tunesmith.metrics._endpoint import Asker, Said, why
from tunesmith.metrics._grades import Store
from tunesmith.metrics._letters import letter_in
from tunesmith.plain import JsonObject
from tunesmith.settings.spec import Spec
from tunesmith.words import say

AGAINST = "base"
"""The contender that each other one is compared with."""
GIVE_UP = 20
"""Requests that all fail, after which the judge is asked nothing more."""
VERDICTS = {"A": 1.0, "B": 0.0, "C": 0.5}


@dataclass(frozen=True)
class _Pair:
    """One answer beside that of the base. ``text`` is what the judge reads, in both orders."""

    contender: str
    index: int
    texts: tuple[str, str]


@METRICS.register
class Judge(Metric):
    """The share of answers that a judge prefers to those of the base, where both orders agree; an
    answer like that of the base, and a judge that changes its mind with the order, are half.
    """

    reads = "grade"

    class Config(Spec):
        """Who judges, and by what."""

        url: str
        """The endpoint, ``https://HOST/v1``."""
        model: str
        """The name of the model there."""
        criteria: str = "Which answer serves the person who asked better?"
        """What is judged, in your words."""
        key_env: str = "OPENAI_API_KEY"
        """The environment variable that holds the key; without it none is sent."""
        requests: Annotated[int, Gt(0)] = 8
        """Requests at a time."""
        prices: tuple[Annotated[float, Ge(0)], Annotated[float, Ge(0)]] | None = None
        """What a million tokens cost, read and written, so that the proof tells the sum."""

    @property
    def asks(self) -> str:
        """Address and name of the judge."""
        return f"{self.config.url.rstrip('/')} {self.config.model}"

    def check(self) -> None:
        """Raises SpecError where the address is none."""
        self._asker().check()

    def _asker(self) -> Asker:
        return Asker(self.config.url, self.config.model, self.config.key_env)

    def grade(self, written: Written) -> Grades:
        """Compares each contender's answers with those of the base; a pair that was judged before
        is not asked again.
        """
        pairs = self._pairs(written)
        values: dict[str, list[float | None]] = {
            name: [0.5] * len(answers) for name, answers in written.answers.items()
        }
        replies = self._replies(written, pairs)
        both = zip(replies.said[::2], replies.said[1::2], strict=True)
        verdicts = [_verdict(first, second) for first, second in both]
        faults = list(dict.fromkeys(replies.failed))
        for index, (pair, verdict) in enumerate(zip(pairs, verdicts, strict=True)):
            values[pair.contender][pair.index] = None if verdict is None else _together(verdict)
            said = [
                reply["text"][:60] for reply in replies.said[2 * index : 2 * index + 2] if reply
            ]
            if verdict is None and len(said) == 2:
                where = {"row": written.ids[pair.index], "contender": pair.contender}
                faults.append(say("metrics.judge_undecided", told=repr(" / ".join(said)), **where))
        return Grades(values, faults, self._facts(replies, verdicts))

    def _pairs(self, written: Written) -> list[_Pair]:
        """Returns what has to be judged: equal answers are equally good."""
        pairs = []
        for name, answers in written.answers.items():
            for index, (mine, other) in enumerate(
                zip(answers, written.answers[AGAINST], strict=True)
            ):
                if name != AGAINST and mine.strip() != other.strip():
                    question = written.questions[index]
                    texts = (self._text(question, mine, other), self._text(question, other, mine))
                    pairs.append(_Pair(name, index, texts))
        return pairs

    def _text(self, question: str, first: str, second: str) -> str:
        fields = {"criteria": self.config.criteria, "prompt": question, "a": first, "b": second}
        return say("metrics.judge_asks", **fields)

    def _replies(self, written: Written, pairs: Sequence[_Pair]) -> _Replies:
        """Asks about each pair in both orders; gives up on a judge that never answers."""
        import httpx

        asker = self._asker()
        replies = _Replies()
        texts = [text for pair in pairs for text in pair.texts]
        names = {text: f"{asker.url} {asker.model} {text}" for text in texts}
        client = asker.client()
        pool = ThreadPoolExecutor(self.config.requests)
        coming = {
            text: pool.submit(asker.ask, client, text)
            for text, name in names.items()
            if name not in written.kept
        }
        try:
            for text in texts:
                try:
                    replies.take(names[text], coming.get(text), written.kept)
                except (httpx.HTTPError, *FAULTS) as error:
                    replies.lost(say("metrics.judge_failed", url=asker.url, told=why(error)))
                if len(replies.failed) == GIVE_UP == len(replies.said):
                    break
                written.progress(len(replies.said), len(texts))
        finally:
            pool.shutdown(cancel_futures=True)
            client.close()
        replies.said += [None] * (len(texts) - len(replies.said))
        return replies

    def _facts(
        self, replies: _Replies, verdicts: Sequence[tuple[float, float] | None]
    ) -> JsonObject:
        said = [reply for reply in replies.said if reply is not None]
        decided = [verdict for verdict in verdicts if verdict is not None]
        read, wrote = (
            sum(reply[name] for reply in said) for name in ("prompt_tokens", "completion_tokens")
        )
        facts: JsonObject = {
            "judge": self.config.model,
            "pairs": len(verdicts),
            "decided": len(decided),
            "agreed": sum(first == second for first, second in decided),
            "ties": sum(_together(verdict) == 0.5 for verdict in decided),
            "replies": len(said),
            "asked_now": replies.new,
            "tokens": [read, wrote],
        }
        if self.config.prices is not None:
            per_read, per_wrote = self.config.prices
            facts["cost"] = (read * per_read + wrote * per_wrote) / 1e6
        return facts


@dataclass
class _Replies:
    """What the judge said, in the order of what it was asked; None where it said nothing."""

    said: list[JsonObject | None] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    new: int = 0
    """Replies that were not kept before."""

    def take(self, name: str, coming: Future[Said] | None, kept: Store) -> None:
        """Takes a reply that was kept, or that comes; raises what asking raised."""
        self.said.append(
            kept.value(name, dict if coming is None else lambda: vars(coming.result()))
        )
        self.new += coming is not None

    def lost(self, why: str) -> None:
        """Notes that no reply came."""
        self.said.append(None)
        self.failed.append(why)


def _verdict(first: JsonObject | None, second: JsonObject | None) -> tuple[float, float] | None:
    """Returns how good an answer is by each order, 1 better, 0 worse, 0.5 as good; None where a
    reply decides nothing.
    """
    if first is None or second is None:
        return None
    letters = letter_in(first["text"]), letter_in(second["text"])
    if letters[0] not in VERDICTS or letters[1] not in VERDICTS:
        return None
    return VERDICTS[letters[0]], 1 - VERDICTS[letters[1]]


def _together(verdict: tuple[float, float]) -> float:
    return verdict[0] if verdict[0] == verdict[1] else 0.5
