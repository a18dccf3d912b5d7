"""Peers' settings whose value means another one here: when a run is saved and measured, what of a
data set is read, how a loss is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.plain import Named
from tunesmith.settings.peer_translation import Pairs, Translation
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.words import say

Change = Callable[[Any, Named, Translation], Pairs]
_OFF = (None, False, "", [], {}, "none", "null", "no")


def _every(path: str) -> Change:
    """Makes a change of a strategy: at the end of each epoch, or never; steps stand elsewhere."""

    def change(value: Any, settings: Named, found: Translation) -> Pairs:
        word = str(value).casefold()
        times = {"epoch": "epoch", "no": 0, "false": 0}
        return {path: times[word]} if word in times else {}

    return change


def _steps(path: str, *strategies: str) -> Change:
    """Makes a change of a number of steps, which counts where the strategy is steps."""

    def change(value: Any, settings: Named, found: Translation) -> Pairs:
        words = {str(settings.get(name)).casefold() for name in strategies}
        return {} if words & {"epoch", "no", "false"} else {path: value}

    return change


def _per_epoch(path: str) -> Change:
    """Makes a change of how often in an epoch, which here is a share of the run."""

    def change(value: Any, settings: Named, found: Translation) -> Pairs:
        times = float(value or 0)
        if times <= 0:
            return {path: 0}
        epochs = float(settings.get("num_epochs") or 1)
        return {path: "epoch" if times == 1 else round(1 / (times * epochs), 6)}

    return change


def _mapped(path: str, known: Mapping[str, Any], reason: str) -> Change:
    """Makes a change by a table of words, of which None is the default there and here; any other
    word would train something else.
    """

    def change(value: Any, settings: Named, found: Translation) -> Pairs:
        word = str(value).casefold()
        if word not in known:
            found.refuse(f"{path.rpartition('.')[2]}={value}", say(f"peers.nothing_{reason}"))
            return {}
        return {} if known[word] is None else {path: known[word]}

    return change


def _processes(value: Any, settings: Named, found: Translation) -> Pairs:
    return {"processes": int(value)} if str(value).isdecimal() and int(value) > 1 else {}


def _betas(value: Any, settings: Named, found: Translation) -> Pairs:
    first, second = (value if isinstance(value, list) else read_yaml(str(value)))[:2]
    return {"train.optimizer.beta1": first, "train.optimizer.beta2": second}


def _schedule_settings(value: Any, settings: Named, found: Translation) -> Pairs:
    options = read_yaml(value) if isinstance(value, str) else value
    held = dict(options) if isinstance(options, Mapping) else {}
    cycles = held.pop("num_cycles", None)
    if held.pop("power", 1) != 1:
        found.refuse("lr_scheduler_kwargs.power", say("peers.nothing_moments"))
    for name in held:
        found.left[f"lr_scheduler_kwargs.{name}"] = say("peers.nothing_moments")
    return {"train.cycles": cycles}


def _train_part(value: Any, settings: Named, found: Translation) -> Pairs:
    if value not in _OFF and not str(value).startswith("train"):
        found.refuse("dataset_train_split", say("peers.part", part=value))
    elif value not in _OFF and value != "train":
        found.refuse("dataset_train_split", say("peers.one_of_parts", part=value))
    return {}


def _last_blocks(value: Any, settings: Named, found: Translation) -> Pairs:
    if str(settings.get("finetuning_type")) != "freeze":
        return {}
    if int(value) < 0:  # the first ones, which no setting here names
        found.refuse("freeze_trainable_layers", say("peers.nothing_method"))
        return {}
    return {"method.last": int(value)}


def _parts(value: Any, settings: Named, found: Translation) -> Pairs:
    if value not in (*_OFF, "all"):
        found.refuse("freeze_trainable_modules", say("peers.nothing_method"))
    return {}


def _reference(value: Any, settings: Named, found: Translation) -> Pairs:
    """Translates the reference model: here it is always the model before training."""
    base = next((settings[key] for key in ("model_name_or_path", "model") if key in settings), None)
    if value in _OFF or value == base:
        found.left["ref_model"] = say("peers.needless_reference")
    else:
        found.refuse("ref_model", say("peers.nothing_reference"))
    return {}


def _columns(value: Any, settings: Named, found: Translation) -> Pairs:
    """Translates ms-swift's mapping of the file's columns to its own; here it is the other way."""
    mapping = read_yaml(value) if isinstance(value, str) else value
    return {"data.columns": {ours: theirs for theirs, ours in dict(mapping or {}).items()}}


def _chat_template(value: Any, settings: Named, found: Translation) -> Pairs:
    # A classifier and a model of vectors read texts as they are, there and here.
    if value is False and settings.get("task_type") not in ("seq_cls", "embedding"):
        found.refuse("use_chat_template", say("peers.nothing_own_format"))
    return {}


def _pretraining(value: Any, settings: Named, found: Translation) -> Pairs:
    first = value[0] if isinstance(value, list) and value else value
    held = dict(first) if isinstance(first, Mapping) else {"path": first}
    part = f"{held['path']}:{held['name']}" if held.get("name") else held["path"]
    column = held.get("text_column") or held.get("field")
    columns = {} if column in (None, "text") else {"data.columns": {"text": column}}
    return {"data": part, "objective": "pretrain", **columns}


def _on_policy(value: Any, settings: Named, found: Translation) -> Pairs:
    """Translates the share of answers that the student samples: here it samples all."""
    if float(value) != 1:
        found.refuse("lmbda", say("peers.nothing_other_loss"))
    return {}


def _two_sided(value: Any, settings: Named, found: Translation) -> Pairs:
    return {"objective.clip": "two_sided", "objective.cap": value} if value else {}


def loss_of_samples(name: str) -> Pairs | None:
    """Returns TRL's name of a loss on sampled answers in our settings; None where it is none."""
    losses: dict[str, Pairs] = {
        "grpo": {"objective.aggregation": "answer"},
        "bnpo": {"objective.aggregation": "token"},
        "dapo": {"objective.aggregation": "token"},
        "dr_grpo": {"objective.aggregation": "constant"},
        "cispo": {"objective.clip": "cispo"},
        "sapo": {"objective.clip": "sapo"},
    }
    return losses.get(name)


def _start(value: Any, settings: Named, found: Translation) -> Pairs:
    """Translates the start of an adapter; pissa_niter_16 is pissa by a faster decomposition."""
    name = "pissa" if str(value).casefold().startswith("pissa_niter_") else value
    return _mapped("method.init", _STARTS, "method")(name, settings, found)


_STARTS = {
    "true": None,
    "none": None,
    "gaussian": "gaussian",
    "orthogonal": "orthogonal",
    "pissa": "pissa",
    "olora": "olora",
    "eva": "eva",
    "loftq": "loftq",
}

TRAINING_CHANGES: dict[str, Change] = {
    "save_strategy": _every("train.keep.save"),
    "eval_strategy": _every("train.keep.evaluate"),
    "save_steps": _steps("train.keep.save", "save_strategy"),
    "eval_steps": _steps("train.keep.evaluate", "eval_strategy", "evaluation_strategy"),
    "saves_per_epoch": _per_epoch("train.keep.save"),
    "evals_per_epoch": _per_epoch("train.keep.evaluate"),
    "processes": _processes,
    "betas": _betas,
    "schedule_settings": _schedule_settings,
    "excess_length": _mapped(
        "data.too_long", {"drop": "drop", "truncate": "truncate", "raise": "stop"}, "too_long"
    ),
    "train_part": _train_part,
    "read": lambda value, settings, found: {},
    "last_blocks": _last_blocks,
    "parts": _parts,
    "thinking": lambda value, settings, found: {
        "data.reasoning": "drop" if value is False else None
    },
    "split_special": lambda value, settings, found: {
        "data.special_tokens": "as_text" if value else "as_tokens"
    },
    "no_checkpointing": lambda value, settings, found: {
        "train.machine.checkpointing": False if value is True else None
    },
    "start": _start,
    "divergence": _mapped("objective.loss", {"reverse_kl": None, "none": None}, "other_loss"),
    "reference": _reference,
    "overlong": lambda value, settings, found: {
        "objective.overlong": "masked" if value is True else None
    },
    "ratio": _mapped("objective.ratio", {"token": "token", "sequence": "sequence"}, "other_loss"),
    "advantage": _mapped(
        "objective.advantage",
        {
            "group": "group_std",
            "true": "group_std",
            "batch": "batch_std",
            "none": "group",
            "false": "group",
        },
        "other_loss",
    ),
    "two_sided": _two_sided,
    "columns": _columns,
    "chat_template": _chat_template,
    "pretraining": _pretraining,
    "on_policy": _on_policy,
}
