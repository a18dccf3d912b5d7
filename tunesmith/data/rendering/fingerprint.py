"""Which tokenizer, template and settings a render has, told by what it makes of fixed rows."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from tunesmith.errors import DataError
from tunesmith.examples import Chat, Turn

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render

PROBES = (
    Chat((Turn("user", "What is the capital of France?"), Turn("assistant", "Paris."))),
    Chat(
        (
            Turn("system", "你是一名医生。"),
            Turn("user", "头痛怎么办？"),
            Turn("assistant", "多休息，必要时就医。", reasoning="病因很多。"),
        )
    ),
    Chat(
        (
            Turn("user", "Hi 🙂"),
            Turn("assistant", "Hello!\n\n- a\n- b"),
            Turn("user", "  spaces  "),
            Turn("assistant", "1 234,5"),
        )
    ),
)


def fingerprint(render: Render) -> str:
    """Hashes what a render makes of fixed rows: it distinguishes tokenizers, templates and
    settings.
    """
    if not render.converses:
        read = [
            render.sequence(turn.content, other)
            for chat in PROBES
            for turn in chat.turns
            for other in (None, "b")
        ]
        return hashlib.sha256(
            b"".join(np.append(tokens.ids_T, -1).tobytes() for tokens in read)
        ).hexdigest()
    fixed = render.sides.fixed if render.sides else ()
    digest = hashlib.sha256(repr((render.stop_ids, render.data.template, *fixed)).encode())
    for chat in PROBES:
        try:
            texts = [
                render.conversation.prompt(chat.turns[:-1], ()),
                render.conversation.answer(chat.turns, (), ""),
            ]
        except DataError:
            texts = []
        for text in [*texts, *(turn.content for turn in chat.turns)]:
            digest.update(
                np.array([*render.pieces.bos, *render.pieces.start(text), -1], np.int32).tobytes()
            )
    return digest.hexdigest()
