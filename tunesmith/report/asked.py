"""Answers over the run: to own questions, read back from questions.md; to watched prompts of a run
on sampled answers, read back from its record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tunesmith.plain import Named
from tunesmith.proving.task import evenly
from tunesmith.report.language import Say
from tunesmith.words import LANGUAGES

WHEN = ("train.base", "train.final", "train.step")
"""What the headings of answers in questions.md say."""
MOST, BETWEEN = 20, 6
"""Questions that the page shows, and answers of each between its first and its last, at most."""


@dataclass(frozen=True)
class Asked:
    """One question; ``answers`` are (when, text) in the order they were given."""

    question: str
    answers: tuple[tuple[str, str], ...]
    left_out: int = 0
    """Answers that are not among these."""


def asked(markdown: str, say: Say) -> list[Asked]:
    """Parses the questions: each is a second-level heading, with a third-level heading for each
    time it was answered, which is said in the words of the page: the file has those of its run.
    """
    questions: list[Asked] = []
    for block in _parts(markdown, "## "):
        question, *_ = block.split("\n", 1)
        answers = []
        for part in _parts(block, "### "):
            when, _, text = part.partition("\n")
            answers.append((_when(when.strip(), say), _loud(text.strip())))
        questions.append(Asked(question.strip(), tuple(answers)))
    return questions


def over_time(record: Sequence[Named], say: Say) -> list[Asked]:
    """Lists the watched prompts with each evaluation's answer, and what that was worth."""
    prompts: dict[str, str] = {}
    answers: dict[str, list[tuple[str, str]]] = {}
    for line in record:
        if line.get("event") != "watched_answers":
            continue
        for answer in line["answers"]:
            rewards = [
                say(f"report.worth_{name}", value=f"{value:.3g}")
                for name, value in answer["rewards"].items()
            ]
            fields = {"step": line["step"], "rewards": ", ".join(rewards)}
            key = "report.at_step_worth" if rewards else "report.at_step"
            prompts[answer["id"]] = answer["prompt"]
            answers.setdefault(answer["id"], []).append((say(key, **fields), answer["answer"]))
    return [Asked(prompt, tuple(answers[id_])) for id_, prompt in prompts.items()]


def some(found: Sequence[Asked]) -> list[Asked]:
    """Chooses questions, and answers of each, evenly; its first and its last answer stay."""
    return [_some(question) for question in evenly(found, MOST)]


def _some(one: Asked) -> Asked:
    between = one.answers[1:-1]
    if len(between) <= BETWEEN:
        return one
    kept = (one.answers[0], *evenly(between, BETWEEN), one.answers[-1])
    return Asked(one.question, kept, len(one.answers) - len(kept))


def _when(told: str, say: Say) -> str:
    for key, pattern in _whens():
        match = pattern.fullmatch(told)
        if match is not None:
            return say(key, **match.groupdict())
    return told


@cache
def _whens() -> list[tuple[str, re.Pattern[str]]]:
    """Returns how each heading of an answer is written in each language."""
    return [
        (
            key,
            re.compile(
                re.escape(Say(language_)(key, step="STEP")).replace("STEP", r"(?P<step>\d+)")
            ),
        )
        for language_ in LANGUAGES
        for key in WHEN
    ]


def _loud(answer: str) -> str:
    """Removes the backslash that questions.md puts before an answer's own headings."""
    return "\n".join(
        line.removeprefix("\\") if line.startswith("\\#") else line for line in answer.splitlines()
    )


def _parts(text: str, heading: str) -> list[str]:
    return ("\n" + text).split("\n" + heading)[1:]
