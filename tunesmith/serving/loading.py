"""Loads what is served: adapters on one base share it, and stand in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from tunesmith.machine.memory import free_memory
from tunesmith.models.loading.load import Loaded
from tunesmith.models.loading.tokenizer import load_tokenizer
from tunesmith.models.saved import renderer
from tunesmith.predicting.predictor import Predictor
from tunesmith.serving.alone import Alone
from tunesmith.serving.engine import Engine, Sizes, Tell
from tunesmith.serving.grammar import Grammars
from tunesmith.serving.reader import Reader
from tunesmith.serving.rows import Row
from tunesmith.serving.served import Asked, Served
from tunesmith.settings.family import METHODS
from tunesmith.settings.run import Generate

SHARE = 0.5
"""Of the memory that is free once the weights are loaded, what keys and values may take."""
TOLERANCE = 1e-3
"""How much of the logits' range the running batch may differ from the model alone, in fp32."""


def load(runs: Sequence[Asked], sizes: Sizes, tell: Tell) -> list[Served]:
    """Loads the runs; those that can share a base do, and its name answers without an adapter."""
    served: list[Served] = []
    groups: dict[tuple[str, str | None], Served] = {}
    for run in runs:
        if not run.tuned and run.base in groups:
            continue
        first = groups.get(run.base) if run.mixes else None
        if first is not None:
            served.append(_beside(first, run))
            continue
        loaded = _alone(run, sizes, tell)
        served.append(loaded)
        if run.mixes and isinstance(loaded.engine, Engine):
            loaded.adapter = "default"
            groups[run.base] = loaded
    names = {loaded_run.name for loaded_run in served}
    for first in groups.values():
        name = Path(first.predictor.run.model.path).name
        if name not in names:
            served.append(replace(first, name=name, adapter=""))
            names.add(name)
    for run in served:
        if run.reader is not None:
            run.reader.start()
    for engine in {id(run.engine): run.engine for run in served if run.engine}.values():
        engine.start()
    return served


def _alone(one: Asked, sizes: Sizes, tell: Tell) -> Served:
    """Loads a run with a model of its own."""
    predictor = Predictor(one.folder, tuned=one.tuned)
    if not predictor.objective.output.writes:
        return Served(one.name, predictor, reader=Reader(predictor, sizes.waiting * 4))
    loaded, tokenizer = predictor.loaded, load_tokenizer(one.folder.model)
    stop_ids = tuple(predictor.render.stop_ids)
    engine: Engine | Alone = Engine(loaded, tokenizer, sizes, tell)
    method = METHODS.make(one.run.method)
    joins = loaded.layout == "forest" and "forest" in method.layouts and not method.virtual_tokens
    if joins and plain_cache(loaded) and agrees(engine):
        engine.sizes = _within(loaded, engine, sizes)
        engine.kept.most = min(sizes.kept, engine.sizes.tokens // 4)
    else:
        engine = Alone(loaded, tokenizer, sizes, tell)
    return Served(one.name, predictor, engine=engine, grammars=Grammars(tokenizer, stop_ids))


def _beside(first: Served, one: Asked) -> Served:
    """Puts a further adapter on a base that is loaded."""
    model = first.predictor.loaded.model
    adapter = one.folder.model
    model.load_adapter(str(adapter), one.name, is_trainable=False)
    tokenizer = load_tokenizer(adapter)
    loaded = replace(
        first.predictor.loaded, tokenizer=tokenizer, render=renderer(adapter, tokenizer, one.run)
    )
    predictor = Predictor(one.folder, loaded=loaded)
    return replace(first, name=one.name, predictor=predictor, adapter=one.name)


@torch.inference_mode()
def agrees(engine: Engine) -> bool:
    """Tells whether the model answers in the running batch as it does alone: layers that see
    more than the mask and the positions do not.
    """
    model, size = engine.loaded.model, model_vocabulary(engine.loaded)
    ids = np.random.default_rng(0).integers(0, size, 12).astype(np.int32)
    wanted_V = model(input_ids=torch.from_numpy(ids).long()[None].to(model.device)).logits[0, -1]
    tensors: list[torch.Tensor] = []
    rows = [Row(ids[start:], Generate(), (), lambda _: None) for start in (0, 5)]
    rows[0].prompt = ids[:7]
    try:
        engine.forward(rows, 0)
        rows[0].prompt = ids
        tensors.append(engine.forward(rows[:1], 0)[0])
    except (RuntimeError, TypeError, ValueError, AttributeError, NotImplementedError):
        return False
    finally:
        engine.computed = 0
    scale = float(wanted_V.float().abs().max())
    tolerance = TOLERANCE if wanted_V.dtype == torch.float32 else 0.1
    return float((wanted_V - tensors[0]).float().abs().max()) <= tolerance * scale


def plain_cache(loaded: Loaded) -> bool:
    """Tells whether every layer keeps keys and values of all tokens."""
    layers = DynamicCache(config=loaded.model.config).layers
    return all(type(layer) is DynamicLayer for layer in layers)


def model_vocabulary(loaded: Loaded) -> int:
    """Returns the number of tokens that the model knows."""
    return int(loaded.model.get_input_embeddings().weight.shape[0])


def _within(loaded: Loaded, engine: Engine, sizes: Sizes) -> Sizes:
    """Returns ``sizes`` with no more tokens than the memory that is free has places for."""
    tokens = int(SHARE * free_memory(loaded.model.device) / max(1, engine.slots.token_bytes()))
    engine.slots.clear()
    return replace(sizes, tokens=min(sizes.tokens, tokens))
