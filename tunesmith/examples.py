"""What a row means, whatever its file looked like."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True)
class Turn:
    """One message. ``reasoning`` is the thinking that precedes an assistant's answer."""

    role: Role
    content: str
    reasoning: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    """OpenAI's form: ``{"type": "function", "function": {"name": …, "arguments": {…}}}``."""
    name: str | None = None
    train: bool | None = None
    """Whether this assistant turn is trained; None leaves it to ``data.train_on``."""
    weight: float = 1.0
    """How much each of its trained tokens counts."""
    spans: tuple[tuple[int, int, float], ...] = ()
    """Parts of ``content`` (from, up to, in characters) and how much their tokens count beside the rest of the turn."""


@dataclass(frozen=True)
class Chat:
    """A conversation that ends with the assistant's turn; for a question alone it ends with the user's."""

    turns: tuple[Turn, ...]
    tools: tuple[dict[str, Any], ...] = ()
    columns: dict[str, Any] = field(default_factory=dict)
    """The row's own columns, and the reader's names for them (question, reasoning, answer, system), for ``data.template``."""

    @property
    def prompt(self) -> Chat:
        """The conversation without its last assistant turn: what a model is asked."""
        turns = self.turns[:-1] if self.turns and self.turns[-1].role == "assistant" else self.turns
        return Chat(turns, self.tools, self.columns)

    @property
    def answer(self) -> str:
        """The text of the last assistant turn, empty where the chat ends with a question."""
        return self.turns[-1].content if self.turns and self.turns[-1].role == "assistant" else ""


@dataclass(frozen=True)
class Text:
    """A document for continued pre-training."""

    text: str


@dataclass(frozen=True)
class Labelled:
    """A text, or two, and what it is: the names of its classes, or a number. Several names, or none, belong to one text."""

    text: str
    second: str | None = None
    labels: tuple[str, ...] | float = ()
    columns: dict[str, Any] = field(default_factory=dict)
    """The row's own columns."""


Example = Chat | Text | Labelled

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]


KINDS: dict[str, frozenset[str]] = {
    "language": frozenset({"decoder", "encoder-decoder"}),
    "classes": frozenset({"decoder", "encoder"}),
    "embedding": frozenset({"decoder", "encoder"}),
}
"""The kinds of model that can carry a head: a vocabulary, classes, or none."""


@dataclass(frozen=True)
class Outputs:
    """What a classification head gives: a name for each number, and what the numbers are, in transformers' words."""

    names: tuple[str, ...]
    problem: ProblemType
