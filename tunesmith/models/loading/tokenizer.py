"""Reads the tokenizer of a folder, and holds it against the model's config."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.data.rendering.encoder_decoder import KEY
from tunesmith.data.rendering.tokenizers import Tokenizer
from tunesmith.errors import ModelError, Problem, first_line
from tunesmith.models.structure import added_tokens
from tunesmith.models.structure.kinds import load_config, named
from tunesmith.plain import JsonObject
from tunesmith.words import say

_PLAIN = frozenset({"TokenizersBackend", "PreTrainedTokenizerFast"})
QUICK = {
    "bert": _PLAIN | {"BertTokenizer"},
    "gpt2": _PLAIN | {"GPT2Tokenizer"},
    "llama": _PLAIN | {"GPT2Tokenizer"},
    "qwen2": frozenset({"Qwen2Tokenizer"}),
    "qwen3": _PLAIN | {"Qwen2Tokenizer"},
}
"""Model types with one side, and classes of tokenizers for which AutoTokenizer only finds the class
that they name; it costs 4 seconds more, for it imports every kind of model."""


def load_tokenizer(
    folder: Path, *, trust_remote_code: bool = False, add_tokens: tuple[str, ...] = ()
) -> Any:
    """Loads the folder's tokenizer with ``add_tokens``; raises ModelError where there is none."""
    config = _json(folder / "config.json")
    try:
        cls = _named_class(folder, config)
        if cls is not None:
            tokenizer = cls.from_pretrained(folder, local_files_only=True, _from_auto=True)
        else:
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=trust_remote_code
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            Problem(str(folder), say("load.no_tokenizer", error=first_line(error)))
        ) from None
    sides = _sides(folder, config, trust_remote_code) if config is not None else None
    if sides is not None:
        sides.tell(tokenizer)
        _refuse_larger(folder, tokenizer, sides.vocabulary)
    if add_tokens:
        added_tokens.add_to(tokenizer, add_tokens)
    return tokenizer


def _json(path: Path) -> JsonObject | None:
    """Reads the object in a JSON file; empty where it holds something else, None where there is no
    file.
    """
    if not path.is_file():
        return None
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _named_class(folder: Path, config: JsonObject | None) -> Any:
    """Returns the class that AutoTokenizer would take, where the names alone settle it."""
    settings = _json(folder / "tokenizer_config.json") or {}
    name = str(settings.get("tokenizer_class"))
    classes = QUICK.get(str((config or {}).get("model_type")), frozenset())
    if name not in classes or "auto_map" in settings or not (folder / "tokenizer.json").is_file():
        return None
    return named(name)


@dataclass(frozen=True)
class _Sides:
    """What the renderer must know of a model's config."""

    vocabulary: int | None
    two: bool = False
    start: int | None = None
    end: int | None = None

    def tell(self, tokenizer: Tokenizer) -> None:
        """Gives the tokenizer what the renderer of an encoder–decoder model needs."""
        if not self.two:
            return
        if self.start is None:
            raise ModelError(Problem("model.path", say("sides.no_start")))
        tokenizer.init_kwargs[KEY] = {"start": self.start, "end": self.end}


def _sides(folder: Path, told: JsonObject, trust_remote_code: bool) -> _Sides | None:
    """Reads the sides from the file alone where this is enough, else from transformers' config;
    None where that is wrong, which is reported where the model is loaded or planned.
    """
    if told.get("model_type") in QUICK and isinstance(told.get("vocab_size"), int):
        return _Sides(told["vocab_size"])
    try:
        config = load_config(folder, trust_remote_code=trust_remote_code)
    except ModelError:
        return None
    rows = config.get_text_config().vocab_size
    if not config.is_encoder_decoder:
        return _Sides(rows)
    names = ("decoder_start_token_id", "bos_token_id")
    values = config.to_dict()
    start = next((token for name in names if (token := values.get(name)) is not None), None)
    end = config.eos_token_id[0] if isinstance(config.eos_token_id, list) else config.eos_token_id
    return _Sides(rows, True, start, end)


def _refuse_larger(folder: Path, tokenizer: Tokenizer, rows: int | None) -> None:
    """Raises ModelError where the tokenizer has ids for which the embedding has no row."""
    added = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
    highest = max([len(tokenizer) - 1, *added])
    if rows is None or highest < rows:
        return
    beyond = range(max(rows, 0), highest + 1)
    shown = [repr(added.get(id) or tokenizer.convert_ids_to_tokens(id)) for id in beyond[:4]]
    names = ", ".join(shown) + (", …" if len(beyond) > 4 else "")
    fields = {"ids": highest + 1, "rows": rows, "names": names}
    raise ModelError(Problem(str(folder), say("load.larger_tokenizer", **fields)))
