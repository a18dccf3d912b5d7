"""A run with an adapter, as training leaves it, and settings of an export as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import yaml
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from tunesmith.data.rendering.render import Render
from tunesmith.settings.export import Export, export_settings
from tunesmith.storage.run_folder import RunFolder

QUESTIONS = ["what is the name of this", "中医药知识问题"]


def asked(*settings: str) -> Export:
    return export_settings(Export(), settings)


def in_type(dtype: str) -> Export:
    """A merged folder in this number type."""
    return asked(f"format.dtype={dtype}")


def run_folder(place: Path, base: Path, **settings: object) -> RunFolder:
    place.mkdir(parents=True)
    run = {
        "model": str(base),
        "data": "rows.json",
        "out": str(place),
        "questions": QUESTIONS,
    } | settings
    (place / "run.yaml").write_text(yaml.safe_dump(run, allow_unicode=True), encoding="utf-8")
    return RunFolder(place)


def beside(folder: RunFolder, base: Path) -> None:
    """Tokenizer, generation settings and facts, as a finished run leaves them."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    fingerprint = Render(tokenizer, folder.resolved().run.data).fingerprint
    tokenizer.save_pretrained(folder.model)
    (folder.model / "generation_config.json").write_text(
        json.dumps({"eos_token_id": [2, 0], "pad_token_id": 3})
    )
    facts = {
        "base": str(base),
        "stop_ids": [2],
        "template_fingerprint": fingerprint,
        "objective": "sft",
        "method": "lora",
    }
    (folder.model / "tunesmith.json").write_text(json.dumps(facts))


def tuned(place: Path, base: Path, *, scale: float = 0.3, **settings: object) -> RunFolder:
    """A run whose adapter changes the base by random weights of size ``scale``."""
    folder = run_folder(place, base, **settings)
    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base),
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, scale)
    model.save_pretrained(folder.model)
    beside(folder, base)
    return folder
