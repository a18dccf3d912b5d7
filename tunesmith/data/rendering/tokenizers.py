"""What a tokenizer can do with a row: write it as a conversation, tell two texts apart, take slots
in.
"""

from __future__ import annotations

from typing import Any

from tunesmith.examples import Chat, Feedback, Preference


def converses(tokenizer: Any, head: str, eats: type) -> bool:
    """Tells whether rows are written as conversations. A model that only reads them, with a
    tokenizer for two texts and no chat template of its own, is given question and answer as these
    two.
    """
    if head == "language":
        return True
    return eats in (Chat, Preference, Feedback) and (
        tokenizer.chat_template is not None or not keeps_apart(tokenizer)
    )


def keeps_apart(tokenizer: Any) -> bool:
    """Tells whether the tokenizer marks where a second text begins."""
    joined, first = (
        tokenizer("a", "a")["input_ids"],
        tokenizer("a", add_special_tokens=False)["input_ids"],
    )
    inner = joined[joined.index(first[0]) + 1 :] if first and first[0] in joined else []
    return bool(inner) and inner[0] != first[0]


def add_slots(tokenizer: Any, names: list[str]) -> set[int]:
    """Adds a template's slots to the tokenizer, behind its own tokens, and returns their ids."""
    if names:
        tokenizer.add_tokens(names, special_tokens=True)
    return set(tokenizer.convert_tokens_to_ids(names)) if names else set()
