"""Own questions and their answers over the run, read back from questions.md."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """One question; ``answers`` are (when, text) in the order they were given."""

    question: str
    answers: tuple[tuple[str, str], ...]


def asked(markdown: str) -> list[Asked]:
    """Parses the questions: each is a second-level heading, with a third-level heading for each
    time it was answered.
    """
    found: list[Asked] = []
    for block in _parts(markdown, "## "):
        question, *_ = block.split("\n", 1)
        answers = []
        for part in _parts(block, "### "):
            when, _, text = part.partition("\n")
            answers.append((when.strip(), _loud(text.strip())))
        found.append(Asked(question.strip(), tuple(answers)))
    return found


def _loud(answer: str) -> str:
    """Removes the backslash that questions.md puts before an answer's own headings."""
    return "\n".join(
        line.removeprefix("\\") if line.startswith("\\#") else line for line in answer.splitlines()
    )


def _parts(text: str, heading: str) -> list[str]:
    return ("\n" + text).split("\n" + heading)[1:]
