"""What vLLM needs beside weights: a command line, and a chat template that asks as the run does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tunesmith.examples import Chat, Turn

if TYPE_CHECKING:
    from tunesmith.data.rendering.render import Render

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The values that ``--max-lora-rank`` takes; what a rank below 8 needs is 8."""
TEMPLATE = "chat_template.jinja"
QUESTION = "Is it so? 你好"


def room_for(rank: int) -> int | None:
    """Returns the smallest room for adapters that holds this rank; None above the largest."""
    return next((known_rank for known_rank in RANKS if known_rank >= rank), None)


def vllm_command(
    model: str | Path,
    names: Sequence[str],
    adapters: Mapping[str, Path],
    *,
    rank: int = 0,
    template: bool = True,
    code: bool = False,
) -> list[str]:
    """Returns the words of the command that serves ``model`` as ``names`` with the ``adapters`` by
    name, the largest of them of ``rank``. Tokenizer, chat template and the tokens that end an
    answer are those of the first adapter's folder, not the base's.
    """
    words = ["vllm", "serve", str(model), "--served-model-name", *names]
    if adapters:
        first = next(iter(adapters.values()))
        words += ["--enable-lora", "--max-lora-rank", str(room_for(rank)), "--lora-modules"]
        words += [f"{name}={adapter}" for name, adapter in adapters.items()]
        words += ["--tokenizer", str(first), "--generation-config", str(first)]
        words += ["--chat-template", str(first / TEMPLATE)] if template else []
    return [*words, "--trust-remote-code"] if code else words


def asking_template(render: Render) -> str | None:
    """Returns a chat template that asks a question as the run does, its system text included; None
    where there is none: the run asks without a chat template, or its system text stands otherwise.
    """
    tokenizer: Any = render.tokenizer
    template = tokenizer.chat_template
    if not isinstance(template, str) or render.template is not None:
        return None
    if render.system:
        turn = json.dumps({"role": "system", "content": render.system}, ensure_ascii=False)
        template = (
            "{%- if messages[0]['role'] != 'system' -%}{%- set messages = [" + turn
            + "] + messages -%}{%- endif -%}" + template
        )  # fmt: skip
    asked = [{"role": "user", "content": QUESTION}]
    text = tokenizer.apply_chat_template(
        asked, chat_template=template, tokenize=False, add_generation_prompt=True
    )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    wanted = render.prompt(Chat((Turn("user", QUESTION),)))
    return template if ids == wanted.tolist() else None
