"""Models whose head is no vocabulary: a classification head, or none. Which kind a model is, what
its checkpoint lacks.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tunesmith.batches.batch import Batch
from tunesmith.batches.sending import sent_together
from tunesmith.errors import ModelError, Problem
from tunesmith.examples import Outputs
from tunesmith.models.structure.kinds import HEADS, class_of, head_of, kind_of, plain
from tunesmith.models.structure.whole import refuse_other_weights
from tunesmith.plain import JsonObject
from tunesmith.settings.family import OBJECTIVES
from tunesmith.words import say

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

PARTS = ("score", "classifier", "pre_classifier", "pooler")
"""What transformers calls the parts of a classification head: new and trained, they are never
quantised.
"""

# Parts inside the trunk that the checkpoint lacks: random at the start, they are trained and saved
# like the head.
_fresh: weakref.WeakKeyDictionary[torch.nn.Module, tuple[str, ...]] = weakref.WeakKeyDictionary()


def score_of(inner: torch.nn.Module) -> torch.nn.Module | None:
    """Returns a decoder's classification head, which scores each token's own hidden state; None
    where the head pools by itself.
    """
    return inner._modules.get("score") if kind_of(inner.config) == "decoder" else None


def head_parts(model: torch.nn.Module) -> list[str]:
    """Returns the names of the parts of a classifier that are trained with every method: its head,
    and what its checkpoint lacked.
    """
    inner = plain(model)
    if not HEADS[head_of(model)].named:
        return []
    beside = [name for name, part in inner.named_children() if name != inner.base_model_prefix]
    return [
        name for name in beside if any(True for _ in inner.get_submodule(name).parameters())
    ] + list(_fresh.get(inner, ()))


def train_head(model: torch.nn.Module) -> None:
    """Gives a classifier's head its gradient back, which every method trains; peft's trains a copy
    of its own.
    """
    for part in map(plain(model).get_submodule, head_parts(model)):
        if type(part).__name__ != "ModulesToSaveWrapper":
            part.float().requires_grad_(True)


def head_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Returns the weights of those parts by full name in the model of transformers; none where it
    is not a classifier.
    """
    inner = plain(model)
    names = tuple(f"{name}." for name in head_parts(model))
    return (
        {name: weight for name, weight in inner.named_parameters() if name.startswith(names)}
        if names
        else {}
    )


def place_head(model: torch.nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Puts saved ``head_weights`` where they belong; raises ValueError where they are not those of
    this model.
    """
    # A model that somebody else loaded does not tell what its checkpoint lacked.
    places = dict(plain(model).named_parameters())
    other = {
        name
        for name, weight in weights.items()
        if name not in places or places[name].shape != weight.shape
    }
    odd = sorted(other | (head_weights(model).keys() - weights.keys()))
    if odd:
        raise ValueError(", ".join(odd[:3]))
    with torch.no_grad():
        for name, weight in weights.items():
            places[name].copy_(weight)


def for_trunk(config: Any, batch: Batch, inputs: dict[str, object]) -> dict[str, Any]:
    """Returns the keywords of a call without a vocabulary; an encoder takes no cache, but may
    distinguish a first text from a second.
    """
    if kind_of(config) == "decoder":
        return inputs
    del inputs["use_cache"]
    sequences = [tokens for example in batch.sequences for tokens in example]
    if (config.to_dict().get("type_vocab_size") or 0) > 1 and all(
        "types_T" in tokens.columns for tokens in sequences
    ):
        types_T = torch.zeros(len(batch.ids_T), dtype=torch.long)
        for tokens, place_t in zip(sequences, batch.layout.places, strict=True):
            types_T[torch.from_numpy(place_t)] = torch.from_numpy(
                tokens.columns["types_T"].astype("int64")
            )
        types_T = sent_together([types_T], batch.ids_T.device)[0]
        inputs["token_type_ids"] = types_T.view_as(batch.input_ids)
    return inputs


def refuse_kind(folder: Path, config: PreTrainedConfig, head: str) -> None:
    """Raises ModelError where a model of this kind cannot carry the head."""
    kind = kind_of(config)
    if kind not in HEADS[head].kinds:
        raise ModelError(
            Problem(
                str(folder),
                say(f"heads.not_{head}", kind=say(f"heads.kind_{kind.replace('-', '_')}")),
            )
        )


def with_outputs(config: PreTrainedConfig, outputs: Outputs) -> Any:
    """Writes into the config how many outputs there are, their names and how they are learned."""
    config.num_labels = len(outputs.names)
    config.id2label = dict(enumerate(outputs.names))
    config.label2id = {name: index for index, name in enumerate(outputs.names)}
    config.problem_type = outputs.problem
    return config


def load_headed(
    folder: Path, config: PreTrainedConfig, head: str, outputs: Outputs | None, **how: object
) -> tuple[object, bool]:
    """Loads the weights of ``folder`` under a classification head or none, and tells whether the
    head is the checkpoint's own.

    A head of the checkpoint is kept where its outputs have the same names in the same order;
    otherwise it is new.
    """
    how |= {"output_loading_info": True, "ignore_mismatched_sizes": True}
    if not HEADS[head].named:
        with quiet():
            model, info = class_of(config, head).from_pretrained(folder, config=config, **how)
        refuse_other_weights(folder, model, head, info, new=("pooler.",))
        _without_pooler(model)
        return model, False
    assert outputs is not None, "a classification head has outputs"
    names = tuple(config.to_dict().get("id2label", {}).values())
    config = with_outputs(config, outputs)
    with quiet():
        model, info = class_of(config, head).from_pretrained(folder, config=config, **how)
    if head == "classes" and kind_of(config) == "decoder" and score_of(model) is None:
        # It would look for a row's last token by the padding's id, or by its place.
        raise ModelError(Problem(str(folder), say("heads.pools_itself", name=type(model).__name__)))
    prefixes = tuple(f"{name}." for name in head_parts(model))
    # A pooler on top of the trunk is often left out of a checkpoint; anything else that lacks is
    # another model.
    poolers = {
        name.rpartition("pooler.")[0] + "pooler"
        for name in info["missing_keys"]
        if "pooler." in name and not name.startswith(prefixes)
    }
    new = (*prefixes, *(f"{pooler}." for pooler in poolers))
    refuse_other_weights(folder, model, head, info, new=new)
    _fresh[model] = tuple(sorted(poolers))
    whole = not any(
        name.startswith(prefixes)
        for name in [*info["missing_keys"], *(n for n, *_ in info["mismatched_keys"])]
    )
    if whole and names != outputs.names:
        _draw_anew(model)
    _cast_inputs(model)
    return model, whole and names == outputs.names


def _without_pooler(model: Any) -> None:
    """Removes the pooler: it was made for telling sentences apart, and vectors are pooled from the
    tokens.
    """
    if "pooler" in model._modules:
        model.pooler = None


@contextmanager
def quiet() -> Iterator[None]:
    """Silences transformers, which prints a table about a new head; ours is one line."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def told_of_head(outputs: Outputs, kept: bool) -> str:
    """Describes for a person what became of the head."""
    names = ", ".join(outputs.names[:8]) + (
        f", … ({len(outputs.names)})" if len(outputs.names) > 8 else ""
    )
    if len(outputs.names) == 1 and outputs.problem == "regression":
        names = say("heads.one_number")
    return say("heads.kept" if kept else "heads.new", names=names)


def _draw_anew(model: PreTrainedModel) -> None:
    """Draws the head's weights anew: a head for other labels is worth nothing, even where its size
    happens to fit.
    """
    # 0.02 is what transformers draws with where a class names nothing.
    spread = model.config.to_dict().get("initializer_range", 0.02)
    for name in head_parts(model):
        for weight in model.get_submodule(name).parameters():
            torch.nn.init.normal_(weight, std=spread) if weight.dim() > 1 else torch.nn.init.zeros_(
                weight
            )


def _cast_inputs(model: torch.nn.Module) -> None:
    """Casts the head's inputs to its type: what is trained is fp32, and a frozen trunk in another
    type must not fail there.
    """

    def cast(layer: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[object, ...]:
        weight = layer.weight
        assert isinstance(weight, torch.Tensor), "a linear layer has a weight"
        return (inputs[0].to(weight.dtype), *inputs[1:])

    for name in head_parts(model):
        for part in model.get_submodule(name).modules():
            if isinstance(part, torch.nn.Linear):
                part.register_forward_pre_hook(cast)


def head_in(facts: JsonObject) -> JsonObject:
    """Returns ``head`` and ``outputs`` for ``load_model``, from a saved model's tunesmith.json."""
    outputs = facts.get("outputs")
    classes = Outputs(tuple(outputs["names"]), outputs["problem"]) if outputs else None
    # Older runs name the objective alone.
    head = facts.get("head") or OBJECTIVES.get(facts["objective"]).head
    return {"head": head, "outputs": classes}
