"""A peer's whole YAML or command line, written again in our keys, with the list of what has no
translation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS, SCHEDULES, TRACKERS, Family
from tunesmith.settings.overrides import with_overrides
from tunesmith.settings.peer_names import BATCH, CHANGED, NEEDLESS, NOTHING, SAME
from tunesmith.settings.problems import group_of
from tunesmith.settings.run import Run
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.words import say

Pairs = dict[str, Any]
OBJECTIVE_NAMES = {"pt": "pretrain", "rm": "reward"}
SCHEDULE_NAMES = {"constant_with_warmup": "constant"}
PRECISION_NAMES = {
    "bfloat16": "bf16",
    "float16": "fp16",
    "float32": "fp32",
    "half": "fp16",
    "float": "fp32",
}
LLAMA_FACTORY = {
    "stage",
    "finetuning_type",
    "cutoff_len",
    "dataset_dir",
    "template",
    "lora_rank",
    "lora_target",
}
"""Keys that only LLaMA-Factory has; TRL's are lora_r and lora_target_modules."""
ADAMW_NAMES = ("adamw", "paged_adamw")
EIGHT_BIT_NAMES = {
    "adamw_bnb_8bit": "adamw_8bit",
    "adamw_8bit": "adamw_8bit",
    "paged_adamw_8bit": "paged_adamw_8bit",
}


@dataclass
class Translation:
    """``pairs`` are ours by dotted path; ``left`` is what has no translation, with the reason."""

    peer: str
    pairs: Pairs = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)

    def settings(self) -> dict[str, Any]:
        """Our settings as the mapping that a run.yaml holds."""
        order = {name: index for index, name in enumerate(Run.model_fields)}
        paths = sorted(
            self.pairs, key=lambda path: (order[path.partition(".")[0]], path.count("."))
        )
        return with_overrides({}, {path: self.pairs[path] for path in paths})

    def text(self, verb: str = "train") -> str:
        """What is printed: our YAML, ready to paste, and what is left."""
        missing = [
            key
            for key in ("model", "data", "out")
            if not any(path.split(".")[0] == key for path in self.pairs)
        ]
        lines = [say("peers.head", peer=self.peer, verb=verb), ""]
        lines.append(
            yaml.safe_dump(self.settings(), allow_unicode=True, sort_keys=False, width=120).rstrip()
        )
        if missing:
            lines.append(say("peers.fill", keys=", ".join(missing)))
        if self.left:
            lines += [
                "",
                say("peers.no_translation"),
                *(f"  {key}: {reason}" for key, reason in self.left.items()),
            ]
        return "\n".join(lines)


def peer_of(settings: Mapping[str, Any]) -> str | None:
    """The toolkit whose settings these look like; None for ours, and where it cannot be told."""
    keys = set(settings)
    if {"data", "out"} & keys or not keys - set(Run.model_fields):
        return None
    if "base_model" in keys:
        return "axolotl"
    if "model_name_or_path" in keys:
        return "LLaMA-Factory" if LLAMA_FACTORY & keys else "TRL"
    if {
        "tuner_type",
        "train_type",
        "sft_type",
        "dataset",
        "rlhf_type",
        "split_dataset_ratio",
    } & keys:
        return "ms-swift"
    return None


def command_line(words: Sequence[str]) -> dict[str, Any] | None:
    """The settings of ``--key value …`` as a peer would read them; None where the words are no such
    line.
    """
    settings: dict[str, Any] = {}
    key = None
    for word in words:
        if word.startswith("--") and len(word) > 2:
            key, equals, value = word[2:].partition("=")
            key = key.replace("-", "_")
            settings[key] = read_yaml(value) if equals else True
            key = None if equals else key
        elif key is None:
            return None
        else:
            value = read_yaml(word) if not word.startswith(("[", "{")) else word
            before = settings[key]
            settings[key] = (
                value
                if before is True
                else [*before, value]
                if isinstance(before, list)
                else [before, value]
            )
    return settings or None


def translate(settings: Mapping[str, Any], peer: str) -> Translation:
    """``settings`` of ``peer`` in our keys."""
    found = Translation(peer)
    for key, value in settings.items():
        if key in BATCH:
            continue
        if key in SAME:
            _put(found, key, {SAME[key]: value})
        elif key in CHANGED:
            _put(found, key, CHANGES[CHANGED[key][1]](value, settings, found))
        elif key in NEEDLESS:
            found.left[key] = say(f"peers.needless_{NEEDLESS[key]}")
        elif key in NOTHING:
            found.left[key] = say(f"peers.nothing_{NOTHING[key]}" if value else "peers.off")
        else:
            found.left[key] = say("peers.unknown")
    factors = [_whole(key, settings[key], found) for key in BATCH if key in settings]
    if any(key in settings for key in BATCH[:2]) and None not in factors:
        found.pairs["train.batch"] = math.prod(filter(None, factors))
    switch = {"TRL": "use_peft", "axolotl": "adapter"}.get(peer)
    if switch and "method" not in found.pairs:
        # Theirs train all weights unless an adapter is asked for; a rank says that one was meant.
        asked = any(path.startswith("method.") for path in found.pairs)
        found.pairs["method"] = "lora" if asked else "full"
        if asked:
            found.left[switch] = say("peers.not_switched_on", peer=peer, switch=switch)
    if "method" not in found.pairs and any(path.startswith("method.") for path in found.pairs):
        found.pairs["method"] = "lora"
    return _checked(found)


def _put(found: Translation, key: str, pairs: Pairs) -> None:
    for path, value in pairs.items():
        if value is None:
            found.left.setdefault(key, say("peers.off"))
        else:
            found.pairs[path] = value


def _checked(found: Translation) -> Translation:
    """Without what our spec does not know, such as a method's setting that this method lacks."""
    for path in list(found.pairs):
        if not _exists(
            path, str(found.pairs.get("method", "lora")), str(found.pairs.get("objective", "sft"))
        ):
            del found.pairs[path]
            found.left[path] = say("peers.no_setting", name=path)
    return found


def _exists(path: str, method: str, objective: str) -> bool:
    group: Any = Run
    plug_ins = {"method": METHODS.get(method).Config, "objective": OBJECTIVES.get(objective).Config}
    for part in path.split("."):
        if group is None or part not in group.model_fields:
            return False
        own = plug_ins.get(part) if group is Run else None
        group = own or group_of(group.model_fields[part].annotation)
    return True


def _named(
    family: Family, key: str, names: Mapping[str, str] | None = None
) -> Callable[..., Pairs]:
    """A change of value that looks the name up in ``family``."""

    def change(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
        name = (names or {}).get(str(value), str(value))
        if name in family.names():
            return {key: name}
        found.left[str(value)] = say(
            "peers.no_name", name=f"{family.called} {value}", known=", ".join(family.names())
        )
        return {}

    return change


def _objective(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """The stage by name; where LLaMA-Factory's loss of that stage is an objective of its own here,
    that one.
    """
    loss = settings.get("pref_loss")
    return _named(OBJECTIVES, "objective", OBJECTIVE_NAMES)(
        loss if loss in OBJECTIVES.names() else value, settings, found
    )


def _preference_loss(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    """A loss that is an objective of its own here, or dpo's loss of that name."""
    name = str(value[0] if isinstance(value, list) else value)
    if name in OBJECTIVES.names():
        return {"objective": name}
    if name == "sigmoid_norm":
        return {"objective.loss": "sigmoid", "objective.length_normalized": True}
    return {"objective.loss": {"kto_pair": "bco_pair"}.get(name, name)}


def _optimizer(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    name = EIGHT_BIT_NAMES.get(
        str(value), "adamw" if str(value).startswith(ADAMW_NAMES) else str(value)
    )
    return _named(OPTIMIZERS, "train.optimizer")(name, settings, found)


def _bits(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    kind = {"4": "nf4", "8": "int8"}.get(str(value))
    if kind is None and value:
        found.left[f"{value} bit"] = say("peers.bits", value=value)
    return {"model.quantize": kind} if kind or not value else {}


def _tokens(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    texts = value.split(",") if isinstance(value, str) else value or []
    return {"model.add_tokens": [str(text).strip() for text in texts] or None}


def _trackers(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    names = [
        str(name)
        for name in (value if isinstance(value, list) else [value])
        if name not in ("none", None, False)
    ]
    for name in set(names) - set(TRACKERS.names()):
        found.left[name] = say(
            "peers.no_name", name=f"{TRACKERS.called} {name}", known=", ".join(TRACKERS.names())
        )
    known = [name for name in names if name in TRACKERS.names()]
    return {"track": known or None}


def _datasets(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    sources: list[str] = []
    if isinstance(value, str) and found.peer == "LLaMA-Factory":
        value = value.split(",")
    names = value if isinstance(value, list) else [value]
    for name in names:
        path = str(name.get("path", "")) if isinstance(name, Mapping) else str(name).strip()
        if isinstance(name, Mapping):
            for key in set(name) - {"path", "type", "ds_type"}:
                found.left[f"datasets.{key}"] = say("peers.split", name=key)
        if found.peer == "LLaMA-Factory":
            path = _registered(path, settings, found)
        elif found.peer == "ms-swift" and _is_id(path) and not settings.get("use_hf"):
            path = f"ms:{path}"
        sources.append(path)
    return {"data": sources[0]} if len(sources) == 1 else {"data.path": sources}


def _whole(key: str, value: Any, found: Translation) -> int | None:
    """A whole number; what is none, such as auto, is left."""
    if isinstance(value, int | float) or str(value).lstrip("-").isdecimal():
        return int(value)
    found.left[key] = say("peers.not_whole", value=value)
    return None


def _is_id(path: str) -> bool:
    bare = path.partition("#")[0]
    return (
        bare.count("/") == 1
        and not bare.startswith((".", "/", "~", "ms:"))
        and not Path(bare).exists()
    )


def _registered(name: str, settings: Mapping[str, Any], found: Translation) -> str:
    """The file behind a name of LLaMA-Factory's dataset_info.json, where that file is there."""
    folder = Path(str(settings.get("dataset_dir", "data")))
    info = folder / "dataset_info.json"
    if info.is_file():
        entry = json.loads(info.read_text(encoding="utf-8")).get(name, {})
        if "file_name" in entry:
            return str(folder / entry["file_name"])
        if "hf_hub_url" in entry:
            return str(entry["hf_hub_url"])
    if not Path(name).exists():
        found.left[f"dataset {name}"] = say("peers.registered", name=name, peer=found.peer)
    return name


def _one_dataset(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    many = value if isinstance(value, list) else [value]
    if len(many) > 1:
        found.left["held-out files"] = say("peers.several")
    first = many[0].get("path") if isinstance(many[0], Mapping) else many[0]
    return {"data.held_out": first}


def _model(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
    path = str(value)
    return {
        "model": f"ms:{path}"
        if found.peer == "ms-swift" and _is_id(path) and not settings.get("use_hf")
        else path
    }


def _targets(value: Any, settings: Mapping[str, Any], found: Translation) -> Pairs:
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
    """A switch that stands for one value of ours when it is on."""
    return lambda value, settings, found: {path: here if value is True else None}


CHANGES: dict[str, Callable[[Any, Mapping[str, Any], Translation], Pairs]] = {
    "swift_model": _model,
    "objective": _objective,
    "preference_loss": _preference_loss,
    "method": _named(METHODS, "method"),
    "use_peft": _when("method", "lora"),
    "datasets": _datasets,
    "one_dataset": _one_dataset,
    "steps": lambda value, settings, found: {
        "train.steps": value if (_whole("max_steps", value, found) or 0) > 0 else None
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
    "train_on_inputs": _when("data.train_on", "everything"),
    "mask_history": _when("data.train_on", "last"),
}
