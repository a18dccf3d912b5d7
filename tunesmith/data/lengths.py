"""Rows longer than the limit (``data.too_long``): refused, dropped, or cut. Conversations lose the
beginning of what is asked: text alone, so that the marks of the turns, the system prompt and a
format of one's own stay whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from tunesmith.batches.batch import Tokens
from tunesmith.data.ledger import histogram
from tunesmith.data.rendering.conversation import opening
from tunesmith.data.rendering.render import Render, trained_places
from tunesmith.data.rendering.template import Template
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.errors import DataError, Problem
from tunesmith.examples import Chat, Example, Feedback, Preference, Turn
from tunesmith.settings.run import Run
from tunesmith.words import say

Encode = Callable[[Example], Sequence[Tokens]]


def shortened(example: Example, encode: Encode, limit: int, render: Render) -> tuple[Tokens, ...]:
    """Returns the sequences of an example, with at most ``limit`` tokens each.

    The beginning of the oldest question goes first, and earlier rounds whole. Where the answers
    alone are too long, the question keeps half of the limit and the end of the answers is cut, with
    their stop token, since they do not end there.
    """
    sequences: list[Tokens] = []
    for part in _parts(example, render):
        whole = encode(part)
        if _longest(whole) <= limit:
            sequences += whole
            continue
        most = cuttable(part, render)

        def cut(count: int, part: Example = part) -> Sequence[Tokens]:
            return encode(without_beginning(part, count, render))

        count = least(most, lambda count, cut=cut: _longest(cut(count)) <= limit)
        if count is None:
            count = least(most, lambda count, cut=cut: _asked(cut(count)) <= limit // 2)
        sequences += [_begun(tokens, limit) for tokens in cut(most if count is None else count)]
    return tuple(sequences)


def least(most: int, fits: Callable[[int], bool]) -> int | None:
    """Finds the smallest number up to ``most`` that fits; None where none does."""
    if not fits(most):
        return None
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return high


def cuttable(example: Example, render: Render) -> int:
    """Counts the characters that may be cut from the question."""
    if render.template is not None:
        return max(len(_longest_text(example, render.template)) - 1, 0)
    return sum(most for _, _, most in _asking(*_before_answer(example, render)))


def without_beginning(example: Example, count: int, render: Render) -> Example:
    """Cuts the first ``count`` characters that may be cut from an example."""
    if render.template is not None:
        chat = _without_column_text(example, count, render.template)
    else:
        asked, last = _before_answer(example, render)
        chat = _conversation(example)
        chat = replace(chat, turns=(*_without_first(asked, last, count), *chat.turns[len(asked) :]))
    if isinstance(example, Preference):
        prompt = replace(example.prompt, turns=chat.turns)
        return replace(example, prompt=prompt, columns=chat.columns)
    return replace(example, chat=chat) if isinstance(example, Feedback) else chat


def _parts(example: Example, render: Render) -> Iterator[Example]:
    """Yields each trained answer with what precedes it, where the template writes answers
    differently once they are history; otherwise the example as it is.
    """
    if not isinstance(example, Chat) or render.template is not None:
        yield example
        return
    if len(render.chat(example)) < 2:
        yield example
        return
    for index in _answers(example, render):
        quiet = tuple(replace(turn, train=False) for turn in example.turns[:index])
        answer = replace(example.turns[index], train=True)
        yield replace(example, turns=(*quiet, answer))


def _answers(chat: Chat, render: Render) -> list[int]:
    """Returns the indices of the turns that are trained."""
    first = opening(chat.turns)
    return sorted(n for n in trained_places(chat.turns, render.data.train_on) if n >= first)


def _before_answer(example: Example, render: Render) -> tuple[tuple[Turn, ...], int]:
    """Returns the turns before the first trained one, and the index of the last question among
    them.
    """
    turns = _conversation(example).turns
    if isinstance(example, Feedback):
        turns = turns[:-1]
    elif isinstance(example, Chat):
        turns = turns[: min(_answers(example, render), default=len(turns))]
    users = [index for index, turn in enumerate(turns) if turn.role == "user"]
    return turns, users[-1] if users else len(turns)


def _asking(turns: Sequence[Turn], last: int) -> Iterator[tuple[int, Turn, int]]:
    """Yields the turns that may be cut, oldest first, each with its index and the number of its
    characters that may go: all in earlier rounds, all but one in the last question and what tools
    say after it.
    """
    for index, turn in enumerate(turns):
        if turn.role == "system" or (index > last and turn.role == "assistant"):
            continue
        yield index, turn, len(turn.content) if index < last else max(len(turn.content) - 1, 0)


def _without_first(turns: tuple[Turn, ...], last: int, count: int) -> tuple[Turn, ...]:
    kept = list(turns)
    gone: set[int] = set()
    for index, turn, most in _asking(turns, last):
        if count <= 0:
            break
        taken = min(count, most)
        count -= taken
        kept[index] = replace(turn, content=turn.content[taken:], reasoning=None, spans=())
        if index < last and taken == len(turn.content):
            gone.add(index)
    # What answered a question that is gone goes with it.
    first = next((n for n, turn in enumerate(turns) if turn.role != "system"), last)
    rest = next((n for n in range(first, last) if n not in gone), last)
    if gone:
        start = next((n for n in range(rest, last) if turns[n].role == "user"), last)
        gone |= {n for n in range(first, start) if turns[n].role != "system"}
    return tuple(turn for n, turn in enumerate(kept) if n not in gone)


def _conversation(example: Example) -> Chat:
    """Returns the question of a row as a conversation, with all columns of the row."""
    if isinstance(example, Preference):
        return Chat(example.prompt.turns, example.prompt.tools, example.columns)
    chat = example.chat if isinstance(example, Feedback) else example
    assert isinstance(chat, Chat), "only conversations are shortened so"
    return chat


def _longest_text(example: Example, template: Template) -> str:
    """Returns the longest text that the user's own template puts into the question."""
    chat = example.sides[0] if isinstance(example, Preference) else _conversation(example)
    return max(template.asking(chat), key=len, default="")


def _without_column_text(example: Example, count: int, template: Template) -> Chat:
    """Returns the question of a row with the longest text of its columns cut, under every name that
    this text has.
    """
    text = _longest_text(example, template)
    chat = _conversation(example)
    turns = tuple(
        replace(turn, content=turn.content[count:], spans=())
        if turn.role == "user" and turn.content == text
        else turn
        for turn in chat.turns
    )
    columns = {
        name: value[count:] if isinstance(value, str) and value == text else value
        for name, value in chat.columns.items()
    }
    return replace(chat, turns=turns, columns=columns)


def _longest(sequences: Sequence[Tokens]) -> int:
    return max((len(tokens) for tokens in sequences), default=0)


def _asked(sequences: Sequence[Tokens]) -> int:
    """Returns where the first answer begins; for sequences that are only read, their length."""
    return max(
        (
            int(np.argmax(tokens.weights_T != 0)) if tokens.weights_T.any() else len(tokens)
            for tokens in sequences
        ),
        default=0,
    )


def _begun(tokens: Tokens, limit: int) -> Tokens:
    """Returns the first ``limit`` tokens."""
    columns = {
        name: value[:limit] if name.endswith("_T") else value
        for name, value in tokens.columns.items()
    }
    return replace(
        tokens, ids_T=tokens.ids_T[:limit], weights_T=tokens.weights_T[:limit], columns=columns
    )


LONGEST = 2048
"""Longest sequence where neither the settings nor the tokenizer say another (tokens)."""
DROPPED = 0.01
"""Up to this share of the rows is dropped without being asked for."""


def default_limit(model_max_length: int | None) -> int:
    """Returns the tokenizer's own limit, at most ``LONGEST``; tokenizers that know none give a huge
    number.
    """
    return min(model_max_length or LONGEST, LONGEST)


def limits(run: Run, tokenizer: Tokenizer, limit: int | None) -> tuple[int, int]:
    """Returns the longest sequence that stays whole, and the longest that the model reads
    (tokens).
    """
    most = min(limit or 10**9, tokenizer.model_max_length)
    return run.data.max_length or default_limit(most), most


def kind_of(render: Render, *, windows: bool, asked: bool) -> str:
    """Returns what rows are to ``refuse_too_many``: ``windows`` of texts, prompts that are only
    ``asked``, or what ``render`` makes of them.
    """
    if asked:
        return "asked"
    if windows:
        return "texts"
    if render.sides:
        return "sides"
    return "chats" if render.converses else "read"


def refuse_too_many(
    lengths: Sequence[int], limit: int, policy: str | None, *, kind: str, most: int
) -> None:
    """Raises DataError with the numbers and the remedies where too many rows are too long for the
    policy.

    ``kind`` says what they are: texts, texts that are read, chats, chats on two sides, or prompts
    that are only asked; ``most`` is what the model reads.
    """
    if policy == "split" and kind != "texts":
        raise DataError(Problem("data.too_long", say("ledger.split_chat")))
    number = int(np.count_nonzero(np.asarray(lengths) > limit))
    allowed = {"stop": 0.0, None: DROPPED * len(lengths)}.get(policy, float("inf"))
    if number <= allowed:
        return
    quantiles_of = histogram(lengths)
    quantiles = {name: quantiles_of[name] for name in ("p50", "p90", "p99", "longest")}
    split = say("ledger.too_long_split") if kind == "texts" else ""
    cut = {
        "asked": "",
        "texts": say("ledger.cut_text"),
        "chats": say("ledger.cut_question"),
        "read": say("ledger.cut_text"),
        "sides": say("sides.cut"),
    }[kind]
    percent = f"{100 * number / len(lengths):.1f}"
    values = {"number": number, "rows": len(lengths), "percent": percent, "limit": limit}
    longer = ""
    if quantiles_of["longest"] <= most:
        longer = say("ledger.more_length", length=quantiles_of["longest"])
    elif limit < most:
        longer = say("ledger.most_length", length=most)
    values |= {"longer": longer, **quantiles}
    # Nothing of a prompt is cut: another question would be asked.
    text = (
        say("ledger.too_long_asked", **values)
        if kind == "asked"
        else say("ledger.too_long", **values, cut=cut, split=split)
    )
    raise DataError(Problem("data.max_length", text))


def unanswered_note(number: int, rows: int, limit: int) -> str | None:
    """Returns a note on rows whose answer lies wholly beyond the limit; raises DataError where they
    are more than may be dropped.
    """
    if not number:
        return None
    fields = {
        "number": number,
        "rows": rows,
        "limit": limit,
        "percent": f"{100 * number / rows:.1f}",
    }
    if number > DROPPED * rows:
        raise DataError(Problem("data.max_length", say("ledger.unanswered_stop", **fields)))
    return say("ledger.unanswered", **fields)


def truncate_row(
    sequences: Sequence[Tokens], limit: int, *, bos: Sequence[int] = (), ends: int = 0
) -> tuple[Tokens, ...]:
    """Cuts the sequences of a row to ``limit`` tokens; sequences that answer one prompt keep the
    same part of it.
    """
    sequences = [_shorter_source(tokens, limit, ends) for tokens in sequences]
    prompts = [tokens.ids_T[: _first(tokens)].tobytes() for tokens in sequences]
    kept = [_kept(tokens, limit, _head(tokens, bos)) for tokens in sequences]
    least = {
        prompt: min(k for p, k in zip(prompts, kept, strict=True) if p == prompt)
        for prompt in prompts
    }
    return tuple(
        _cut(tokens, limit, _head(tokens, bos), least[prompt])
        for tokens, prompt in zip(sequences, prompts, strict=True)
    )


def truncate(tokens: Tokens, limit: int, *, bos: Sequence[int] = (), ends: int = 0) -> Tokens:
    """Cuts the sequence to ``limit`` tokens: the beginning of its context goes first, so that the
    answers and their stop stay.

    A leading ``bos`` stays. Where the trained part alone is too long its end is cut, and up to half
    of the limit is left to the context right before it. An encoder's side has a limit of its own
    and loses its end, but for the last ``ends`` tokens, which say that it ends.
    """
    return truncate_row([tokens], limit, bos=bos, ends=ends)[0]


def _shorter_source(tokens: Tokens, limit: int, ends: int) -> Tokens:
    source_T = tokens.source_ids_T
    if source_T is None or len(source_T) <= limit:
        return tokens
    return replace(
        tokens, source_ids_T=np.r_[source_T[: limit - ends], source_T[len(source_T) - ends :]]
    )


def _first(tokens: Tokens) -> int:
    """Returns the index of the first trained token."""
    return int(np.argmax(tokens.weights_T != 0))


def _head(tokens: Tokens, bos: Sequence[int]) -> int:
    """Counts the tokens that the tokenizer itself put at the beginning."""
    return len(bos) if tokens.ids_T[: len(bos)].tolist() == list(bos) else 0


def _kept(tokens: Tokens, limit: int, head: int) -> int:
    """Counts the tokens of the context that may stay."""
    first = _first(tokens)
    context = first - head
    room = limit - head
    kept = min(context, room - (len(tokens.ids_T) - first))
    return min(context, room // 2) if kept < min(context, 1) else kept


def _cut(tokens: Tokens, limit: int, head: int, kept: int) -> Tokens:
    first = _first(tokens)
    if first - head == kept and len(tokens.ids_T) <= limit:
        return tokens
    keep = np.r_[np.arange(head), np.arange(first - kept, len(tokens.ids_T))][:limit]
    weights_T = tokens.weights_T[keep]
    weights_T[:1] = 0
    columns = {
        name: value[keep] if name.endswith("_T") else value
        for name, value in tokens.columns.items()
    }
    return replace(tokens, ids_T=tokens.ids_T[keep], weights_T=weights_T, columns=columns)
