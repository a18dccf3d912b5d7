"""A finished adapter as a model to go on from: merged into its base once, and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tunesmith.data.packages import cache_folder, digest, locked, notice
from tunesmith.errors import ModelError, Problem
from tunesmith.models.starter import drafted, finish, made
from tunesmith.words import say


def merged(adapter: Path, find: Callable[[str, str | None], Path]) -> Path:
    """The folder of the base with ``adapter`` merged in, in the base's own dtype; ``find`` finds the base by its name."""
    told = adapter / "tunesmith.json"
    if told.is_file():
        facts = json.loads(told.read_text(encoding="utf-8"))
        name = facts["base"]
    else:
        facts = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        name = str(facts.get("base_model_name_or_path") or "")
    if not name:
        raise ModelError(Problem(str(adapter), say("hub.adapter_without_base")))
    base = find(name, facts.get("revision"))
    weights = digest(adapter / "adapter_model.safetensors")
    key = hashlib.sha256(f"{base.resolve()} {weights}".encode()).hexdigest()
    target = cache_folder() / "models" / f"merged-{key[:12]}"
    if made(target):
        return target
    with locked("models"):
        if not made(target):  # by another process, meanwhile
            notice(say("hub.merging", adapter=adapter, base=name))
            with drafted(target) as draft:
                _merge(base, adapter, draft)
                finish(draft, {"source": str(adapter), "sha256": weights})
    return target


def _merge(base: Path, adapter: Path, draft: Path) -> None:
    import torch
    from transformers import AutoTokenizer

    from tunesmith.models import own
    from tunesmith.models.load import attach, language_class, load_config

    if own.is_own(adapter) and not own.method_of(adapter).merges:
        raise ModelError(Problem(str(adapter), say("own.cannot_go_on", method=own.method_of(adapter).name)))
    kind = language_class(load_config(base))
    plain: Any = kind.from_pretrained(base, dtype="auto", use_safetensors=True, local_files_only=True)
    stored = plain.dtype
    # In fp32, so that the change is rounded once, when it is stored.
    model = own.merge(attach(plain.to(torch.float32), adapter))
    model.to(stored).save_pretrained(draft)
    with_tokenizer = (adapter / "tokenizer_config.json").is_file()
    AutoTokenizer.from_pretrained(adapter if with_tokenizer else base, local_files_only=True).save_pretrained(draft)
