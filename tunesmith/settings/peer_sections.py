"""Settings of LitGPT, Unsloth and H2O LLM Studio, which stand in sections: taken out of them, under
the names that the tables of ``peer_names`` know, and their values that mean something else here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tunesmith.settings.peer_translation import Pairs, Translation
from tunesmith.words import say

SECTIONED = {
    "H2O LLM Studio": frozenset({"llm_backbone"}),
    "LitGPT": frozenset({"checkpoint_dir"}),
    "Unsloth": frozenset({"training", "training_type", "format_type", "local_dataset"}),
}
"""Keys by which each is recognised."""
RENAMED = {
    "LitGPT": {
        "data": "class_path",
        "data.init_args.seed": "data_seed",
        "train.save_interval": "save_steps",
        "train.log_interval": "logging_steps",
        "train.lr_warmup_steps": "warmup_steps",
        "train.lr_warmup_fraction": "warmup_ratio",
        "train.epochs": "num_epochs",
        "train.max_norm": "max_grad_norm",
        "eval.interval": "eval_steps",
        "eval.max_new_tokens": "eval_max_new_tokens",
        "optimizer.class_path": "optimizer",
        "devices": "nproc_per_node",
        "quantize": "bnb_quantize",
    },
    "Unsloth": {},
    "H2O LLM Studio": {
        "training.epochs": "num_epochs",
        "training.grad_accumulation": "gradient_accumulation_steps",
        "training.lora": "use_lora",
        "tokenizer.max_length": "max_length",
        "problem_type": "h2o_problem",
    },
}
"""Keys by their place, and what the tables call them; any other is called by its last part."""
LORA_PARTS = {
    "lora_query": (True, ["q_proj"]),
    "lora_key": (False, ["k_proj"]),
    "lora_value": (True, ["v_proj"]),
    "lora_projection": (False, ["o_proj"]),
    "lora_mlp": (False, ["gate_proj", "up_proj", "down_proj"]),
}
"""LitGPT's switches: whether each is on by default, and which layers it is for."""


def sectioned(settings: Mapping[str, Any]) -> str | None:
    """Recognises one of these toolkits by its keys."""
    names = {str(key).rpartition(".")[2] for key in settings}
    return next((peer for peer, keys in SECTIONED.items() if keys & names), None)


def taken_out(settings: Mapping[str, Any], peer: str) -> dict[str, Any]:
    """Returns the settings of a toolkit's sections side by side, under the names of our tables;
    what the file leaves at null is left out.
    """
    renamed = RENAMED.get(peer)
    if renamed is None:
        inner = settings.get("trl") if peer == "axolotl" else None
        rest = {key: value for key, value in settings.items() if key != "trl" or inner is None}
        return {**rest, **inner} if isinstance(inner, Mapping) else rest
    flat: dict[str, Any] = {}
    for path, value in _places(settings, ""):
        if value is not None and value != "None":
            flat.setdefault(renamed.get(path, path.rpartition(".")[2]), value)
    if peer == "LitGPT" and "lora_r" in flat:
        flat |= {name: flat.get(name, on) for name, (on, _) in LORA_PARTS.items()}
    return flat


def _places(settings: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in settings.items():
        path = f"{prefix}{key}"
        nested = isinstance(value, Mapping)
        flat += _places(value, f"{path}.") if nested else [(path, value)]
    return flat


def _checkpoint(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates LitGPT's folder, which is named after a hub id."""
    return {"model": str(value).removeprefix("checkpoints/")}


def _model_name(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates the base's name; ms-swift means the name that the model gives itself."""
    if found.peer == "LitGPT":
        if "initial_checkpoint_dir" not in settings:
            found.refuse("model_name", say("peers.nothing_other_base"))
        return {}
    if found.peer != "ms-swift":
        return {"model": value}
    found.left["model_name"] = say("peers.nothing_identity")
    return {}


def _lora_parts(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    on = [name for name, (default, _) in LORA_PARTS.items() if settings.get(name, default)]
    if len(on) == len(LORA_PARTS):
        return {"method.targets": "all-linear"}
    return {"method.targets": [layer for name in on for layer in LORA_PARTS[name][1]]}


def _answers_only(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates a switch that masks what is asked; off, all tokens are trained."""
    return {"data.train_on": "everything" if value is False else "answers"}


def _format(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates Unsloth's layout of the rows: raw text is learned whole, others are recognised."""
    return {"objective": "pretrain"} if str(value).casefold() == "raw" else {}


def _use_lora(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    return {"method": "full" if value is False else "lora"}


def _precision(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates Lightning's precision: bf16-true, 16-mixed, 32-true."""
    width = str(value).partition("-")[0].removeprefix("fp")
    names = {"bf16": "bf16", "16": "fp16", "32": "fp32"}
    if width not in names:
        found.left["precision"] = say("peers.unknown")
    return {"train.machine.precision": names[width]} if width in names else {}


def _rounded(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates the name of a quantised type: bnb.nf4-dq, int4, bnb.int8-training."""
    name = str(value).removeprefix("bnb.")
    if name.startswith(("nf4", "int4")):
        return {"model.quantize": "nf4"}
    if name.startswith("int8"):
        return {"model.quantize": "int8"}
    return _precision(name.replace("float", "").replace("b16", "bf16"), settings, found)


def _checkpointing(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    off = value is False or str(value).casefold() in ("none", "false")
    return {"train.machine.checkpointing": not off}


def _tracker(name: str) -> Callable[..., Pairs]:
    return lambda value, settings, found: {"track": [name] if value is True else None}


def _logger(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    name = str(value).casefold()
    return {"track": [name] if name in ("wandb", "tensorboard", "mlflow") else None}


_LABELLED = {"question": "text", "answer": "label"}
_COLUMNS = {
    "text_dpo_modeling": {"answer": "chosen"},
    "text_causal_classification_modeling": _LABELLED,
    "text_causal_regression_modeling": _LABELLED,
}
"""What H2O's columns of a question and its answer hold, by what is learned."""


def _column(ours: str) -> Callable[..., Pairs]:
    """Makes a change that names one of the file's columns."""

    def change(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
        name = _COLUMNS.get(str(settings.get("h2o_problem")), {}).get(ours, ours)
        many = value if isinstance(value, list) else [value]
        if len(many) > 1:
            found.refuse(f"{name} columns", say("peers.several_columns", names=", ".join(many)))
            return {}
        return {"data.columns": {**found.pairs.get("data.columns", {}), name: str(many[0])}}

    return change


def _h2o_problem(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    objectives = {"text_causal_language_modeling": "sft", "text_dpo_modeling": "dpo"}
    objectives |= {"text_causal_classification_modeling": "classify"}
    if value == "text_causal_regression_modeling":
        return {"objective": "classify", "objective.problem": "regression"}
    if value not in objectives:
        found.refuse("problem_type", say("peers.task_type", value=value))
        return {}
    return {"objective": objectives[value]}


_LOSSES: dict[str, Pairs] = {
    "tokenaveragedcrossentropy": {},
    "crossentropyloss": {},
    "mseloss": {},
    "dpoloss": {},
    "hingeloss": {"objective.loss": "hinge"},
    "ipoloss": {"objective.loss": "ipo"},
    "cpoloss": {"objective": "cpo"},
    "simpoloss": {"objective": "simpo"},
}


def _h2o_loss(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates H2O's losses; those of its sorts of problem are ours."""
    word = str(value).casefold()
    if word not in _LOSSES:
        found.refuse("loss_function", say("peers.nothing_other_loss"))
    return _LOSSES.get(word, {})


def _of_epochs(path: str) -> Callable[..., Pairs]:
    """Makes a change of a number of epochs, which here is a share of the run."""

    def change(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
        share = float(value or 0) / float(settings.get("num_epochs") or 1)
        whole = path == "train.keep.evaluate" and float(value) == 1
        return {path: "epoch" if whole else round(share, 6)} if value else {}

    return change


def _saved(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    meanings = {
        "best": {"train.keep.final": "best"},
        "each_evaluation_epoch": {"train.keep.save": "epoch"},
    }
    return meanings.get(str(value), {})


def _pretrained(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    if value is False:
        found.refuse("pretrained", say("peers.nothing_other_base"))
    return {}


def _data_sample(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    if float(value) != 1:
        found.refuse("data_sample", say("peers.nothing_order"))
    return {}


def _max_tokens(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Notes LitGPT's length of a run in tokens; where nothing else says it, another is trained."""
    text = say("peers.nothing_moments")
    if value and found.peer == "LitGPT" and not settings.keys() & {"num_epochs", "max_steps"}:
        found.refuse("max_tokens", text)
    elif value:
        found.left["max_tokens"] = text
    return {}


def _text_files(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """Translates LitGPT's folder of plain texts."""
    return {"data": value, "objective": "pretrain"}


def _unless_none(path: str) -> Callable[..., Pairs]:
    """Makes a change of a value that is empty, or -1, where there is none."""
    return lambda value, settings, found: {} if value in ("", -1) else {path: value}


SECTION_CHANGES: dict[str, Callable[[Any, Mapping[str, Any], Translation], Pairs]] = {
    "checkpoint": _checkpoint,
    "lora_parts": _lora_parts,
    "model_name": _model_name,
    "answers_only": _answers_only,
    "format": _format,
    "use_lora": _use_lora,
    "lightning_precision": _precision,
    "rounded": _rounded,
    "checkpointing": _checkpointing,
    "tensorboard": _tracker("tensorboard"),
    "logger": _logger,
    "question_column": _column("question"),
    "answer_column": _column("answer"),
    "system_column": _column("system"),
    "text_column": _column("text"),
    "h2o_problem": _h2o_problem,
    "validation_file": _unless_none("data.held_out"),
    "validation_size": lambda value, settings, found: (
        {} if settings.get("validation_dataframe") else {"data.held_out": value}
    ),
    "rejected_column": _column("rejected"),
    "h2o_loss": _h2o_loss,
    "evaluation_epochs": _of_epochs("train.keep.evaluate"),
    "warmup_epochs": _of_epochs("train.warmup"),
    "save_checkpoint": _saved,
    "save_best": lambda value, settings, found: _saved(value and "best", settings, found),
    "pretrained": _pretrained,
    "text_files": _text_files,
    "max_tokens": _max_tokens,
    "data_sample": _data_sample,
    "branch": lambda value, settings, found: {} if value == "main" else {"model.revision": value},
    "gpus": lambda value, settings, found: (
        {"processes": len(value)} if isinstance(value, list) and len(value) > 1 else {}
    ),
    "h2o_seed": _unless_none("train.seed"),
}
