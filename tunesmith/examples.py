"""What a row means, whatever its file looked like."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import ClassVar, Literal

from tunesmith.plain import JsonObject

Role = Literal["system", "user", "assistant", "tool"]


MediaKind = Literal["image", "video", "audio"]


@dataclass(frozen=True)
class Media:
    """A picture, a video or a sound in a turn."""

    kind: MediaKind
    place: str
    """Its file or address; data that stand in the row themselves as ``data:``."""
    at: int = 0
    """The character of the turn's ``content`` that it stands before."""
    field: str = field(default="", compare=False)
    """Where the row holds it, for errors."""


@dataclass(frozen=True)
class Turn:
    """One message. ``reasoning`` is the thinking that precedes an assistant's answer."""

    role: Role
    content: str
    reasoning: str | None = None
    tool_calls: tuple[JsonObject, ...] = ()
    """OpenAI's form: ``{"type": "function", "function": {"name": …, "arguments": {…}}}``."""
    name: str | None = None
    train: bool | None = None
    """Whether this assistant turn is trained; None leaves it to ``data.train_on``."""
    weight: float = 1.0
    """How much each of its trained tokens counts."""
    spans: tuple[tuple[int, int, float], ...] = ()
    """Parts of ``content`` (from, up to, in characters) and how much their tokens count beside the
    rest of the turn.
    """
    media: tuple[Media, ...] = ()
    """What stands in the turn beside its text, in order."""

    @property
    def parts(self) -> tuple[str | Media, ...]:
        """The text and the media of the turn in their order, without empty texts."""
        cuts = [0, *(medium.at for medium in self.media), len(self.content)]
        texts = [self.content[start:end] for start, end in pairwise(cuts)]
        parts = [texts[0], *chain(*zip(self.media, texts[1:], strict=True))]
        return tuple(part for part in parts if part)


@dataclass(frozen=True)
class Chat:
    """A conversation that ends with the assistant's turn; for a question alone it ends with the
    user's.
    """

    parts: ClassVar[str] = "turns"
    """What the rows of a file are where several of them make one of these."""

    turns: tuple[Turn, ...]
    tools: tuple[JsonObject, ...] = ()
    columns: JsonObject = field(default_factory=dict)
    """The row's own columns, and the reader's names for them (question, reasoning, answer, system),
    for ``data.template``.
    """

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
class Preference:
    """Two answers to one conversation, of which one is preferred."""

    parts: ClassVar[str] = "replies"
    """What the rows of a file are where several of them make one of these."""

    prompt: Chat
    """What both answer: it ends with a question."""
    chosen: tuple[Turn, ...]
    rejected: tuple[Turn, ...]
    margin: float | None = None
    """How much better the chosen answer was rated, where that is known."""
    columns: JsonObject = field(default_factory=dict)
    """As a Chat's."""
    tied: bool = False
    """Whether the row says that neither is better; such a pair teaches nothing, and is left out."""

    @property
    def sides(self) -> tuple[Chat, Chat]:
        """The chosen and the rejected conversation, whole. ``answer`` and ``chosen`` name a side's
        own answer in ``data.template``, so that one format fits both.
        """
        return self._side(self.chosen), self._side(self.rejected)

    def _side(self, answer: tuple[Turn, ...]) -> Chat:
        answered = dict.fromkeys(("answer", "chosen"), answer[-1].content if answer else "")
        return Chat((*self.prompt.turns, *answer), self.prompt.tools, {**self.columns, **answered})


@dataclass(frozen=True)
class Feedback:
    """A conversation whose last answer was judged alone."""

    chat: Chat
    desirable: bool | None
    """None where the row does not say, as when it is only asked."""


@dataclass(frozen=True)
class TextPair:
    """Two texts that belong together, or how much they do; and texts that do not belong to the
    first.
    """

    text: str
    second: str
    similarity: float | None = None
    """On any scale, of which only the order counts; None where the rows do not grade."""
    negatives: tuple[str, ...] = ()
    columns: JsonObject = field(default_factory=dict)
    """The row's own columns."""


@dataclass(frozen=True)
class Labelled:
    """A text, or two, and what it is: the names of its classes, or a number. Several names, or
    none, belong to one text.
    """

    text: str
    second: str | None = None
    labels: tuple[str, ...] | float = ()
    columns: JsonObject = field(default_factory=dict)
    """The row's own columns."""


@dataclass(frozen=True, order=True)
class Span:
    """A part of a text, from ``start`` up to ``end`` (characters), and what it is."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Tagged:
    """A text, and the parts of it that are named, such as entities; none overlaps another."""

    parts: ClassVar[str] = "words"
    """What the rows of a file are where several of them make one of these."""

    text: str
    spans: tuple[Span, ...] = ()
    words: tuple[tuple[int, int], ...] | None = None
    """Where the words are (from, up to, in characters), where the row says so."""
    columns: JsonObject = field(default_factory=dict)
    """The row's own columns."""
    numbered: tuple[str, tuple[int, ...]] | None = None
    """The column of tags that are numbers, and the number for each word, until they are named."""


Example = Chat | Text | Preference | Feedback | Labelled | TextPair | Tagged


def parts_of(kind: type) -> str:
    """Returns what the rows of a file are where several of them make one example of a kind; empty
    where every row is one.
    """
    return next(
        (whole.parts for whole in (Chat, Preference, Tagged) if issubclass(kind, whole)), ""
    )


def chats_of(example: Example) -> tuple[Chat, ...]:
    """Returns the conversations of an example; none where it is not one."""
    if isinstance(example, Chat):
        return (example,)
    if isinstance(example, Feedback):
        return (example.chat,)
    return example.sides if isinstance(example, Preference) else ()


def prompt_of(example: Example) -> Chat | None:
    """Returns what a model is asked; None where nothing is asked."""
    if isinstance(example, Preference):
        return replace(example.prompt, columns=example.columns)
    chats = chats_of(example)
    return chats[0].prompt if chats else None


ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]


@dataclass(frozen=True)
class Outputs:
    """What a head with named outputs gives: a name for each number, and what the numbers are, in
    transformers' words.
    """

    names: tuple[str, ...]
    problem: ProblemType | None
    """None for a head on each token, which transformers gives no word for."""


def final(text: str) -> str:
    """Removes the thinking before an answer."""
    return text.rpartition("</think>")[2].strip()


def question_of(chat: Chat) -> str:
    """Returns what the user said, all turns."""
    return "\n".join(turn.content for turn in chat.turns if turn.role == "user")
