"""A Hugging Face folder: written, loaded the usual way, and the lines that load it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from tunesmith.export.folders.source import Source

if TYPE_CHECKING:
    import torch

    from tunesmith.predicting.engine import TorchEngine

VECTORS = "SentenceTransformer"


def save_model(model: torch.nn.Module, place: Path, dtype: str) -> None:
    """Saves the weights in ``dtype``; the model itself is converted."""
    import torch

    from tunesmith.models.structure.whole import write_model

    model.to({"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[dtype])
    write_model(model, place)


def write_whole(source: Source, model: torch.nn.Module, place: Path, dtype: str) -> None:
    """Writes the model in ``dtype``; a whole one that keeps its type is copied bit by bit."""
    from tunesmith.export.folders.files import copy_model

    if not source.adapter and dtype == source.stored[0]:
        copy_model(source.place, place)
    else:
        save_model(model, place, dtype)


def open_adapter(place: Path, source: Source) -> TorchEngine:
    """Puts an adapter on its base with plain peft, in fp32."""
    import peft
    import torch

    engine = open_folder(source.base, source, dtype=torch.float32, words=place)
    engine.loaded.model = peft.PeftModel.from_pretrained(engine.loaded.model, place).eval()
    engine.name = f"peft {peft.__version__}"
    return engine


def open_folder(
    place: Path, source: Source, *, dtype: torch.dtype | None = None, words: Path | None = None
) -> TorchEngine:
    """Loads a folder by transformers' own class, as its users do; the tokenizer from ``words``
    where it stands elsewhere.
    """
    from transformers import AutoTokenizer

    from tunesmith.models.loading.load import Loaded
    from tunesmith.models.structure.heads import quiet
    from tunesmith.predicting.engine import TorchEngine

    code = source.run.model.trust_remote_code
    with quiet():  # a pooler that vectors do without is no news
        options = {"trust_remote_code": code, **({"dtype": dtype} if dtype else {})}
        model = source.loader.from_pretrained(place, **options).eval()
    tokenizer = AutoTokenizer.from_pretrained(words or place, trust_remote_code=code)
    return TorchEngine(Loaded(model, tokenizer, "padded"))


def python(source: Source, out: Path) -> list[str]:
    """Returns the lines of Python that load a folder."""
    more = ", trust_remote_code=True" if source.run.model.trust_remote_code else ""
    quoted = json.dumps(str(out), ensure_ascii=False)
    if source.head == "embedding":
        return [
            f"from sentence_transformers import {VECTORS}",
            f"model = {VECTORS}({quoted}{more})",
        ]
    kind = source.loader.__name__
    return [
        f"from transformers import {kind}, AutoTokenizer",
        f"model = {kind}.from_pretrained({quoted}{more})",
        f"tokenizer = AutoTokenizer.from_pretrained({quoted}{more})",
    ]
