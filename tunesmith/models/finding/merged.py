"""A finished adapter as a model to go on from: merged into its base once, and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tunesmith.errors import ModelError, Problem
from tunesmith.events.stream import notice
from tunesmith.plain import JsonObject
from tunesmith.storage.cache import cache_folder, digest, drafted, finish, locked, made
from tunesmith.words import say


def merged(adapter: Path, find: Callable[[str, str | None], Path]) -> Path:
    """Returns the folder of the base with ``adapter`` merged in, in the base's own dtype; ``find``
    finds the base by its name.
    """
    facts_file = adapter / "tunesmith.json"
    if facts_file.is_file():
        facts = json.loads(facts_file.read_text(encoding="utf-8"))
        name = facts["base"]
    else:
        facts = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        name = str(facts.get("base_model_name_or_path") or "")
    if not name:
        raise ModelError(Problem(str(adapter), say("hub.adapter_without_base")))
    _refuse_unmerged(adapter, facts)
    base = find(name, facts.get("revision"))
    weights = digest(adapter / "adapter_model.safetensors")
    key = hashlib.sha256(f"{base.resolve()} {weights}".encode()).hexdigest()
    target = cache_folder() / "merged" / key[:12]
    if made(target):
        return target
    with locked("merged"):
        if not made(target):  # by another process, meanwhile
            notice(say("hub.merging", adapter=adapter, base=name))
            with drafted(target) as draft:
                _merge(base, adapter, draft, facts)
                finish(draft, {"source": str(adapter), "sha256": weights})
    return target


def _refuse_unmerged(adapter: Path, facts: Mapping[str, object]) -> None:
    """Raises ModelError for an adapter that cannot be folded into its base: one of our own, or
    virtual tokens.
    """
    from tunesmith.models.adapters import beside_base
    from tunesmith.models.adapters.soft_prompt import holds_prompt

    config = json.loads((adapter / beside_base.CONFIG).read_text(encoding="utf-8"))
    if beside_base.is_own(adapter):
        method = beside_base.method_of(adapter)
        refused = None if method.merges else method.name
    else:
        refused = (
            str(facts.get("method") or config["peft_type"].lower())
            if holds_prompt(config)
            else None
        )
    if refused:
        raise ModelError(Problem(str(adapter), say("own.cannot_go_on", method=refused)))


def _merge(base: Path, adapter: Path, draft: Path, facts: JsonObject) -> None:
    import torch
    from transformers import AutoTokenizer

    from tunesmith.models.adapters import beside_base
    from tunesmith.models.adapters.attach import attach
    from tunesmith.models.loading.load import load_model, weights_under
    from tunesmith.models.loading.tokenizer import load_tokenizer
    from tunesmith.models.structure import added_tokens
    from tunesmith.models.structure.heads import head_in
    from tunesmith.models.structure.kinds import load_config
    from tunesmith.models.structure.quantize import make_plain
    from tunesmith.models.structure.whole import write_model

    config = load_config(base)
    head_facts: JsonObject = head_in(facts) if "objective" in facts else {"head": "language"}
    options: dict[str, Any] = {"dtype": "auto", "use_safetensors": True, "local_files_only": True}
    plain: Any
    plain, _ = weights_under(base, config, head_facts["head"], head_facts.get("outputs"), options)
    stored = plain.dtype
    if facts.get("quantize"):
        plain = make_plain(
            load_model(
                base, dtype=torch.float32, device="cpu", quantize=facts["quantize"], **head_facts
            ).model
        )
    if facts.get("add_tokens"):
        added_tokens.grow(plain, load_tokenizer(base), facts["add_tokens"])
    # In fp32, so that the change is rounded once, when it is stored.
    model = beside_base.merge(attach(plain.to(torch.float32), adapter))
    write_model(model.to(stored), draft)
    with_tokenizer = (adapter / "tokenizer_config.json").is_file()
    AutoTokenizer.from_pretrained(
        adapter if with_tokenizer else base, local_files_only=True
    ).save_pretrained(draft)
