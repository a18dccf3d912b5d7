"""Values of peers' settings that mean something else here, or that nothing here means."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.plain import JsonObject, Named
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS, SCHEDULES, TRACKERS, Family
from tunesmith.settings.peer_datasets import at_most, registered
from tunesmith.settings.peer_sections import SECTION_CHANGES
from tunesmith.settings.peer_training import TRAINING_CHANGES, loss_of_samples
from tunesmith.settings.peer_translation import Pairs, Translation
from tunesmith.settings.peer_unmatched import REFUSED
from tunesmith.words import say

OBJECTIVE_NAMES = {"pt": "pretrain", "rm": "reward"}
SCHEDULE_NAMES = {"constant_with_warmup": "constant", "polynomial": "linear"}
"""A polynomial of power 1, its default, is a line."""
PRECISION_NAMES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    "half": "fp16",
    "float": "fp32",
}
ADAMW_NAMES = ("adamw", "paged_adamw")
EIGHT_BIT_NAMES = {
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw8bit": "adamw_8bit",
    "adamw_torch_8bit": "adamw_8bit",
    "adamw_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
}


def _named(
    family: Family, key: str, names: Mapping[str, str] | None = None
) -> Callable[..., Pairs]:
    """Makes a change of value that looks the name up in ``family``; by one that is not there,
    something else would be trained.
    """

    def change(value: object, settings: Named, found: Translation) -> Pairs:
        name = (names or {}).get(str(value), str(value))
        name = name if name in family.names() else name.rpartition(".")[2].casefold()
        if name in family.names():
            return {key: name}
        text = say(
            "peers.no_name", name=f"{family.called} {value}", known=", ".join(family.names())
        )
        found.refuse(str(value), text)
        return {}

    return change


def _objective(value: object, settings: Named, found: Translation) -> Pairs:
    """Translates the stage by name; where LLaMA-Factory's loss of that stage is an objective here,
    into that one.
    """
    if value == "ipo":
        return {"objective": "dpo", "objective.loss": "ipo"}
    loss = settings.get("pref_loss")
    return _named(OBJECTIVES, "objective", OBJECTIVE_NAMES)(
        loss if loss in OBJECTIVES.names() else value, settings, found
    )


def _preference_loss(value: object, settings: Named, found: Translation) -> Pairs:
    """Translates a loss into an objective of that name here, or into dpo's loss of that name."""
    name = str(value[0] if isinstance(value, list) else value)
    if isinstance(value, list) and len(value) > 1:
        found.refuse("loss_type", say("peers.nothing_other_loss"))
    tasks = {found.pairs.get("objective"), *(settings.get(key) for key in ("rlhf_type", "rl"))}
    sampled = loss_of_samples(name) if "grpo" in tasks else None
    if sampled is not None:
        return sampled
    if name in OBJECTIVES.names():
        return {"objective": name}
    if name == "sigmoid_norm":
        return {"objective.loss": "sigmoid", "objective.length_normalized": True}
    return {"objective.loss": {"kto_pair": "bco_pair"}.get(name, name)}


def _optimizer(value: object, settings: Named, found: Translation) -> Pairs:
    name = str(value).casefold()
    name = EIGHT_BIT_NAMES.get(name, "adamw" if name.startswith(ADAMW_NAMES) else str(value))
    return _named(OPTIMIZERS, "train.optimizer")(name, settings, found)


def _bits(value: object, settings: Named, found: Translation) -> Pairs:
    kind = {"4": "nf4", "8": "int8"}.get(str(value))
    if kind is None and value:
        found.refuse(f"{value} bit", say("peers.bits", value=value))
    return {"model.quantize": kind} if kind or not value else {}


def _tokens(value: Any, settings: Named, found: Translation) -> Pairs:
    texts = value.split(",") if isinstance(value, str) else value or []
    return {"model.add_tokens": [str(text).strip() for text in texts] or None}


def _trackers(value: object, settings: Named, found: Translation) -> Pairs:
    names = [
        str(name)
        for name in (value if isinstance(value, list) else [value])
        if name not in ("none", None, False)
    ]
    for name in set(names) - set(TRACKERS.names()):
        found.left[name] = say(
            "peers.no_name", name=f"{TRACKERS.called} {name}", known=", ".join(TRACKERS.names())
        )
    trackers = [name for name in names if name in TRACKERS.names()]
    return {"track": trackers or None}


def _datasets(value: object, settings: Named, found: Translation) -> Pairs:
    sources: list[str | JsonObject] = []
    if isinstance(value, str) and found.peer == "LLaMA-Factory":
        value = value.split(",")
    names = value if isinstance(value, list) else [value]
    for name in names:
        path = str(name.get("path", "")) if isinstance(name, Mapping) else str(name).strip()
        if isinstance(name, Mapping):
            path = _part_of(path, name, found)
        if found.peer == "LLaMA-Factory":
            sources.append(registered(path, settings, found))
            continue
        if found.peer == "ms-swift" and _is_id(path) and not settings.get("use_hf"):
            path = f"ms:{path}"
        if found.peer == "TRL" and settings.get("dataset_config"):
            path = f"{path}:{settings['dataset_config']}"
        sources.append(path)
    return {"data": sources[0]} if len(sources) == 1 else {"data.path": sources}


def _part_of(path: str, source: Named, found: Translation) -> str:
    """Returns an axolotl source's path with its subset, and notes what else it says of the
    source.
    """
    kind = source.get("type")
    part = str(source.get("split", "train"))
    if kind == "completion":
        found.pairs.setdefault("objective", "pretrain")
        if source.get("field", "text") != "text":
            found.pairs["data.columns"] = {"text": source["field"]}
    elif isinstance(kind, Mapping):
        found.refuse("datasets.type", say("peers.nothing_own_format"))
    elif kind == "input_output":
        found.refuse("datasets.type", say("peers.nothing_segments"))
    if not part.startswith("train"):
        found.refuse("datasets.split", say("peers.part", part=part))
    _trained_roles(source.get("roles_to_train"), source, found)
    read = {"path", "type", "ds_type", "split", "name", "field", "roles_to_train"}
    for key in sorted(set(source) - read):
        found.left[f"datasets.{key}"] = say("peers.split", name=key)
    return f"{path}:{source['name']}" if source.get("name") else path


def _reward_model(value: object, settings: Named, found: Translation) -> Pairs:
    """Translates axolotl's switch that a reward model is trained; elsewhere the model that is asked
    what an answer is worth, of ms-swift several.
    """
    if value is True:
        return {"objective": "reward"}
    many = value if isinstance(value, list) else [value]
    runs = [_model(model, settings, found)["model"] for model in many if model]
    return {"source.rewards": [{"name": "model", "run": run} for run in runs] or None}


def _reward_kind(value: object, settings: Named, found: Translation) -> Pairs:
    """Translates how LLaMA-Factory keeps its reward model; here a run's folder says so itself."""
    if value == "api":
        found.refuse("reward_model_type", say("peers.nothing_reward_api"))
    return {}


def _task_type(value: object, settings: Named, found: Translation) -> Pairs:
    """Translates what ms-swift and transformers call the kind of head."""
    task = str(value).casefold()
    objectives = {"seq_cls": "classify", "embedding": "embed"}
    if task in objectives:
        return {"objective": objectives[task]}
    if task != "causal_lm":
        found.refuse("task_type", say("peers.task_type", value=value))
    return {}


def _mixed(value: object, settings: Named, found: Translation) -> Pairs:
    """Translates how sources are mixed: here they are joined, each with its weight."""
    if value not in (None, "concat", False):
        found.refuse("mix_strategy", say("peers.nothing_mixing"))
    return {}


def _limit(value: object, settings: Named, found: Translation) -> Pairs:
    """Translates LLaMA-Factory's ``max_samples``, which is for each data set; ``data.limit`` is for
    all together.
    """
    sources = found.pairs.get("data.path")
    if not isinstance(sources, list):
        sources = _datasets(settings.get("dataset") or "", settings, Translation(found.peer))
        sources = sources.get("data.path")
    if not isinstance(sources, list):
        return {"data.limit": value}
    return {"data.path": [at_most(source, int(str(value))) for source in sources]}


def _trained_roles(value: object, settings: Named, found: Translation) -> Pairs:
    roles = {str(role) for role in (value if isinstance(value, list) else [value])}
    if roles - {"assistant", "gpt", "None"}:
        found.refuse("roles_to_train", say("peers.roles", roles=", ".join(sorted(roles))))
    return {}


def _loss_scale(value: object, settings: Named, found: Translation) -> Pairs:
    parts = {"all": "everything", "last_round": "last", "default": "answers", None: "answers"}
    if value in parts:
        return {"data.train_on": parts[value]}
    found.refuse("loss_scale", say("peers.nothing_other_loss"))
    return {}


def _refused(reason: str, key: str) -> Callable[..., Pairs]:
    """Makes a change that refuses a key without a counterpart, which, where it is on, would train
    something else.
    """

    def change(value: object, settings: Named, found: Translation) -> Pairs:
        if value in (None, False, "", [], "none", "null"):
            return {key: None}
        found.refuse(key, say(f"peers.nothing_{reason}"))
        return {}

    return change


def whole(key: str, value: Any, translation: Translation) -> int | None:
    """Reads a whole number; anything else, such as auto, is noted as left out."""
    if isinstance(value, int | float) or str(value).lstrip("-").isdecimal():
        return int(value)
    translation.left[key] = say("peers.not_whole", value=value)
    return None


def _is_id(path: str) -> bool:
    bare = path.partition("#")[0]
    return (
        bare.count("/") == 1
        and not bare.startswith((".", "/", "~", "ms:"))
        and not os.path.exists(bare)
    )


def _one_dataset(value: object, settings: Named, found: Translation) -> Pairs:
    many = value if isinstance(value, list) else [value]
    if found.peer == "LLaMA-Factory" and isinstance(value, str):
        many = [registered(name.strip(), settings, found) for name in value.split(",")]
    if len(many) > 1:
        found.left["held-out files"] = say("peers.several")
    first = many[0].get("path") if isinstance(many[0], Mapping) else many[0]
    return {"data.held_out": first}


def _model(value: object, settings: Named, found: Translation) -> Pairs:
    path = str(value)
    return {
        "model": f"ms:{path}"
        if found.peer == "ms-swift" and _is_id(path) and not settings.get("use_hf")
        else path
    }


def _targets(value: Any, settings: Named, found: Translation) -> Pairs:
    if not value:
        return {}
    names = (
        [part.strip() for part in value.split(",")]
        if isinstance(value, str)
        else [str(part) for part in value]
    )
    return {
        "method.targets": "all-linear"
        if names in (["all"], ["all-linear"], ["all_linear"])
        else names
    }


def _when(path: str, here: Any) -> Callable[..., Pairs]:
    """Makes a change for a switch that stands for one value of ours when it is on."""

    def change(value: object, settings: Named, found: Translation) -> Pairs:
        if value == "auto" and here in ("bf16", "fp16"):
            return {path: "auto"}
        return {path: here if value is True else None}

    return change


CHANGES: dict[str, Callable[[object, Named, Translation], Pairs]] = {
    "swift_model": _model,
    "objective": _objective,
    "preference_loss": _preference_loss,
    "method": _named(METHODS, "method"),
    "use_peft": _when("method", "lora"),
    "datasets": _datasets,
    "one_dataset": _one_dataset,
    "steps": lambda value, settings, found: {
        "train.steps": value if (whole("max_steps", value, found) or 0) > 0 else None
    },
    "schedule": _named(SCHEDULES, "train.schedule", SCHEDULE_NAMES),
    "optimizer": _optimizer,
    "precision": lambda value, settings, found: {
        "train.machine.precision": PRECISION_NAMES.get(str(value), str(value))
    },
    "bf16": _when("train.machine.precision", "bf16"),
    "fp16": _when("train.machine.precision", "fp16"),
    "targets": _targets,
    "rslora": _when("method.variant", "rslora"),
    "dora": _when("method.variant", "dora"),
    "pissa": _when("method.init", "pissa"),
    "bits": _bits,
    "nf4": _when("model.quantize", "nf4"),
    "int8": _when("model.quantize", "int8"),
    "tokens": _tokens,
    "linear": _when("method.targets", "all-linear"),
    "best_by": lambda value, settings, found: {
        "train.keep.best_by": str(value).removeprefix("eval_")
    },
    "trackers": _trackers,
    "too_long": lambda value, settings, found: {
        "data.too_long": "drop" if value == "delete" else "truncate"
    },
    "limit": _limit,
    "task_type": _task_type,
    "reward_model": _reward_model,
    "reward_kind": _reward_kind,
    "mixed": _mixed,
    "roles": _trained_roles,
    "loss_scale": _loss_scale,
    "warmup_steps": lambda value, settings, found: {"train.warmup": value or None},
    "warmup_ratio": lambda value, settings, found: {
        "train.warmup": None if settings.get("warmup_steps") else value
    },
    "problem": lambda value, settings, found: {
        "objective.problem": str(value).partition("_label")[0]
    },
    "muon": _when("train.optimizer", "muon"),
    "loftq": _when("method.init", "loftq"),
    "swanlab": lambda value, settings, found: {"track": ["swanlab"] if value is True else None},
    "wandb": lambda value, settings, found: {"track": ["wandb"] if value is True else None},
    **SECTION_CHANGES,
    **TRAINING_CHANGES,
    **{f"refuse_{key}": _refused(reason, key) for key, reason in REFUSED.items()},
    "train_on_inputs": _when("data.train_on", "everything"),
    "mask_history": _when("data.train_on", "last"),
}
