"""What a tokenizer can do with a row: write it as a conversation, tell two texts apart, take slots
in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol


class Tokenizer(Protocol):
    """What is used of a tokenizer of transformers, whose own types name more than it gives."""

    bos_token: str | None
    eos_token: str | None
    pad_token: str | None
    unk_token: str | None
    mask_token: str | None
    bos_token_id: int | None
    eos_token_id: int | None
    pad_token_id: int | None
    unk_token_id: int | None
    mask_token_id: int | None
    all_special_ids: list[int]
    all_special_tokens: list[str]
    chat_template: str | None
    clean_up_tokenization_spaces: bool
    split_special_tokens: bool
    model_max_length: int
    model_input_names: list[str]
    init_kwargs: dict[str, Any]

    @property
    def is_fast(self) -> bool:
        """Whether it tells where in the text each token lies."""
        ...

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]:
        """The tokens beside the vocabulary, by number: AddedToken."""
        ...

    @property
    def backend_tokenizer(self) -> Any:
        """The tokenizer of ``tokenizers`` below a fast one."""
        ...

    def __len__(self) -> int: ...

    def __call__(self, *texts: str | Sequence[str] | None, **how: object) -> Any:
        """Returns the BatchEncoding of a text, of two or of many: ``input_ids`` and what is asked
        for.
        """
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Returns the numbers of the tokens alone."""
        ...

    def decode(self, token_ids: Sequence[int], **how: object) -> str:
        """Returns tokens as text."""
        ...

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        """Returns a token's name for a number, or a list of them for several."""
        ...

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Returns a token's number for a name, or a list of them for several."""
        ...

    def get_vocab(self) -> dict[str, int]:
        """Returns all tokens with their numbers."""
        ...

    def get_added_vocab(self) -> dict[str, int]:
        """Returns those beside the vocabulary."""
        ...

    def add_tokens(self, new_tokens: Sequence[object], special_tokens: bool = False) -> int:
        """Takes new tokens behind its own; how many were new."""
        ...

    def get_chat_template(self, **how: object) -> str:
        """Returns the template that a conversation is written by."""
        ...

    def apply_chat_template(self, conversation: Sequence[object], **how: object) -> Any:
        """Returns a conversation as text, or as tokens."""
        ...

    def save_pretrained(self, save_directory: Path) -> object:
        """Writes its files into a folder."""
        ...


def converses(tokenizer: Tokenizer, head: str, *, chats: bool) -> bool:
    """Tells whether rows, given whether they are ``chats``, are written as conversations. A model
    that only reads them, with a tokenizer for two texts and no chat template of its own, is given
    question and answer as these two.
    """
    if head == "language":
        return True
    return chats and (tokenizer.chat_template is not None or not keeps_apart(tokenizer))


def keeps_apart(tokenizer: Tokenizer) -> bool:
    """Tells whether the tokenizer marks where a second text begins."""
    joined = tokenizer("a", "a")["input_ids"]
    first = tokenizer("a", add_special_tokens=False)["input_ids"]
    inner = joined[joined.index(first[0]) + 1 :] if first and first[0] in joined else []
    return bool(inner) and inner[0] != first[0]


def add_slots(tokenizer: Tokenizer, names: list[str]) -> set[int]:
    """Adds a template's slots to the tokenizer, behind its own tokens, and returns their ids."""
    if names:
        tokenizer.add_tokens(names, special_tokens=True)
    return set(tokenizer.convert_tokens_to_ids(names)) if names else set()
