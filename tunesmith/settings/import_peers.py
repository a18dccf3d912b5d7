"""A peer's whole YAML or command line, written again in our keys, with the list of what has no
translation.
"""

from __future__ import annotations

import math
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tunesmith.errors import Problem, SpecError
from tunesmith.settings.family import METHODS, OBJECTIVES, OPTIMIZERS, SOURCES
from tunesmith.settings.peer_names import BATCH, CHANGED, SAME
from tunesmith.settings.peer_sampling import settle_sampling
from tunesmith.settings.peer_sections import sectioned, taken_out
from tunesmith.settings.peer_translation import Pairs, Translation
from tunesmith.settings.peer_unmatched import NEEDLESS, NOTHING
from tunesmith.settings.peer_values import CHANGES, whole
from tunesmith.settings.problems import group_of
from tunesmith.settings.run import Run, validate
from tunesmith.settings.yaml_file import read_yaml
from tunesmith.words import say

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
_OF_SFT = {"objective.neftune", "objective.label_smoothing"}
PROGRAMS = {
    "swift": "ms-swift",
    "llamafactory-cli": "LLaMA-Factory",
    "lmf": "LLaMA-Factory",
    "trl": "TRL",
    "axolotl": "axolotl",
    "litgpt": "LitGPT",
    "unsloth": "Unsloth",
}
"""The commands of other toolkits."""
_DEFAULT_TASK = {("ms-swift", "rlhf"): "dpo"}
"""What a command trains where no key says it."""
_VERBS = {
    "infer": "predict",
    "chat": "chat",
    "deploy": "chat",
    "eval": "prove",
    "evaluate": "prove",
    "export": "export",
    "merge-lora": "export",
}
"""What their commands that train nothing are called here."""
_LAUNCHERS = frozenset(("python", "python3", "accelerate", "torchrun", "deepspeed"))
_TRL_SCRIPTS = {
    name: name for name in ("sft", "dpo", "kto", "grpo", "orpo", "cpo", "gkd", "ppo")
} | {
    "reward_modeling": "reward",
    "reward": "reward",
}
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=.*")


def peer_of(settings: Mapping[str, object]) -> str | None:
    """Recognises the toolkit whose settings these look like; None for ours, and where it cannot be
    told.
    """
    keys = set(settings)
    if "out" not in keys and (peer := sectioned(settings)):
        return peer
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


def command_line(words: Sequence[str]) -> dict[str, object] | None:
    """Reads ``--key value …`` as a peer would; None where the words are not such a line."""
    settings: dict[str, object] = {}
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
            if before is True:
                settings[key] = value
            else:
                several = before if isinstance(before, list) else [before]
                settings[key] = [*several, value]
    return settings or None


def translate(
    settings: Mapping[str, object], peer: str, objective: str | None = None
) -> Translation:
    """Translates ``settings`` of ``peer`` into our keys; ``objective`` is what its command says it
    is for.
    """
    translation, settings = Translation(peer), taken_out(settings, peer)
    if objective is not None:
        _put(translation, "objective", CHANGES["objective"](objective, settings, translation))
    for key, value in settings.items():
        if key in BATCH:
            if "global_batch_size" in settings:
                translation.left[key] = say("peers.needless_probe")
            continue
        if key in SAME:
            _put(translation, key, {SAME[key]: value})
        elif key in CHANGED:
            _put(translation, key, CHANGES[CHANGED[key][1]](value, settings, translation))
        elif key in NEEDLESS:
            translation.left[key] = say(f"peers.needless_{NEEDLESS[key]}")
        elif key in NOTHING:
            translation.left[key] = say(f"peers.nothing_{NOTHING[key]}" if value else "peers.off")
        elif value in (None, False, "", [], {}):
            translation.left[key] = say("peers.off")
        else:
            translation.refuse(key, say("peers.unknown_key"))
    factors = [whole(key, settings[key], translation) for key in BATCH if key in settings]
    rows = any(key in settings for key in BATCH[:-1]) and "global_batch_size" not in settings
    if rows and None not in factors:
        translation.pairs["train.batch"] = math.prod(filter(None, factors))
    switch = {"TRL": "use_peft", "axolotl": "adapter"}.get(peer)
    if switch and "method" not in translation.pairs:
        # Theirs train all weights unless an adapter is asked for; a rank says that one was meant.
        asked = any(path.startswith("method.") for path in translation.pairs)
        translation.pairs["method"] = "lora" if asked else "full"
        if asked:
            translation.left[switch] = say("peers.not_switched_on", peer=peer, switch=switch)
    if "method" not in translation.pairs and not translation.other:
        translation.pairs["method"] = "lora"  # the default of LLaMA-Factory and ms-swift too
    same_paths = {SAME[key] for key in settings if key in SAME}
    # TRL's files do not say which trainer they are for; these keys are none of sft's.
    others = any(path.startswith(("objective.", "source.")) for path in same_paths - _OF_SFT)
    if peer == "TRL" and others and "objective" not in translation.pairs:
        translation.refuse("objective", say("peers.no_task"))
    settle_sampling(translation)
    return _valid(_checked(translation))


def _put(found: Translation, key: str, pairs: Pairs) -> None:
    for path, value in pairs.items():
        if value is None:
            found.left.setdefault(key, say("peers.off"))
        else:
            found.pairs[path] = value


_PLUG_INS = {"method": "lora", "objective": "sft", "train.optimizer": "adamw"}


def _checked(found: Translation) -> Translation:
    """Removes what our spec does not know, such as a setting that this method lacks."""
    for path in list(found.pairs):
        named = [found.pairs.get(key, name) for key, name in _PLUG_INS.items()]
        if not _exists(path, *map(str, named)):
            value = found.pairs.pop(path)
            text = say("peers.no_setting", name=path)
            if path == "objective.loss" and value not in ("nll", "sigmoid"):
                found.refuse(f"{path}={value}", text)
            else:
                found.left[path] = text
    return found


def _valid(found: Translation) -> Translation:
    """Removes each value that our spec refuses, so that nothing is offered that is refused then;
    without one of objective, method or data something else would be trained.
    """
    for _ in [*found.pairs]:
        try:
            validate({"model": "m", "data": "d", "out": "o", **found.settings()})
        except SpecError as error:
            wrong = [problem for problem in error.problems if problem.where in found.pairs]
            for problem in wrong:
                value = found.pairs.pop(problem.where)
                named = f"{problem.where}={value}"
                if problem.where.partition(".")[0] in ("objective", "method", "data", "source"):
                    found.refuse(named, problem.text)
                else:
                    found.left[named] = problem.text
            if wrong:
                continue
        break
    return found


def _exists(path: str, method: str, objective: str, optimizer: str) -> bool:
    group: Any = Run
    plug_ins = {
        "optimizer": OPTIMIZERS.get(optimizer).Config,
        "method": METHODS.get(method).Config,
        "objective": OBJECTIVES.get(objective).Config,
    }
    if OBJECTIVES.get(objective).samples:
        plug_ins["source"] = SOURCES.get("rollout").Config
    for part in path.split("."):
        if group is None or part not in group.model_fields:
            return False
        plug_in = plug_ins.get(part) if group is Run or part == "optimizer" else None
        group = plug_in or group_of(group.model_fields[part].annotation)
    return True


def peer_command(words: Sequence[str]) -> str | None:
    """Answers another toolkit's whole command, such as ``swift sft --model …``; None where these
    words are not one.
    """
    rest, around = _launched(list(words))
    if not rest or rest[0] not in PROGRAMS:
        return None
    peer = PROGRAMS[rest[0]]
    task = next(iter(rest[1:]), "")
    flags = rest[2:]
    if task.startswith("--"):
        task = ""
        flags = rest[1:]
    if task in _VERBS:
        return say("peers.verb", theirs=f"{rest[0]} {task}", here=_VERBS[task])
    settings: dict[str, object] = {}
    if flags and Path(flags[0]).suffix in (".yaml", ".yml", ".json"):
        settings = _of_file(flags.pop(0))
    if peer == "LitGPT":
        flags, method = _litgpt(task, flags)
        settings |= method
    over = [word for word in flags if _ASSIGNED.fullmatch(word)]
    settings |= {word.partition("=")[0]: read_yaml(word.partition("=")[2]) for word in over}
    given = command_line([word for word in flags if word not in over]) or {}
    settings |= _of_file(str(given.pop("config"))) if "config" in given else {}
    settings |= given | around
    named = task if peer in ("ms-swift", "TRL") else None
    if named is not None and not {"rlhf_type", "task_type"} & settings.keys():
        named = _DEFAULT_TASK.get((peer, task), task)
    elif named is not None:
        named = None
    return translate(settings, peer, named).text()


def _of_file(path: str) -> dict[str, object]:
    """Reads the settings that a command names by their file."""
    file = Path(path)
    if not file.is_file():
        raise SpecError(Problem(path, say("spec.no_file")))
    return dict(read_yaml(file.read_text(encoding="utf-8")) or {})


def _launched(words: list[str]) -> tuple[list[str], dict[str, object]]:
    """Returns a command of another toolkit without what starts it, as its own program would be
    called, and the number of processes that this says.
    """
    around: dict[str, object] = {}
    while words and _ASSIGNED.fullmatch(words[0]) and not os.path.exists(words[0]):
        name, _, value = words.pop(0).partition("=")  # CUDA_VISIBLE_DEVICES=0
        if name == "NPROC_PER_NODE":
            around["nproc_per_node"] = value
    if not words or Path(words[0]).name not in _LAUNCHERS:
        return words, around
    for index, word in enumerate(words):
        flag, _, value = word.partition("=")
        if flag.lstrip("-").replace("-", "_") in ("nproc_per_node", "num_gpus", "num_processes"):
            around["nproc_per_node"] = value or "".join(words[index + 1 : index + 2])
        script = re.fullmatch(
            r"(?:.*/)?(\w+)\.py|(?:trl\.scripts|swift\.cli|axolotl\.cli)\.(\w+)", word
        )
        if script is None:
            continue
        name = script[1] or script[2]
        whole = word.replace(".", "/")
        program = next(
            (toolkit for toolkit in ("swift", "axolotl") if f"{toolkit}/" in whole), None
        )
        if program is None and name in ("train", "train_bash"):
            program = "llamafactory-cli"
        elif program is None and name in _TRL_SCRIPTS:
            program, name = "trl", _TRL_SCRIPTS[name]
        return ([program, name, *words[index + 1 :]] if program else words), around
    return words, around


def _litgpt(task: str, flags: list[str]) -> tuple[list[str], dict[str, Any]]:
    """Splits ``litgpt finetune_lora MODEL --key value`` into its flags, and what the words before
    them say.
    """
    first = next((n for n, word in enumerate(flags) if word.startswith("--")), len(flags))
    named_words = [*task.split("_"), *flags[:first]]
    model = next((word for word in flags[:first] if "/" in word or len(flags[:first]) == 1), None)
    kind = next(
        (word for word in named_words if word in ("full", "adapter", "lora", "qlora")), "lora"
    )
    said: dict[str, Any] = {} if model is None or model == kind else {"checkpoint_dir": model}
    said |= {"stage": "pretrain"} if task == "pretrain" else {"finetuning_type": kind}
    return flags[first:], said


def shell_words(text: str) -> list[str]:
    """Finds the words of the first command of another toolkit in a shell script."""
    joined = re.sub(r"\\\s*\n", " ", text)
    for line in joined.splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise SpecError(say("peers.shell", error=error)) from None
        named = [PROGRAMS.keys(), _LAUNCHERS]
        start = next(
            (n for n, word in enumerate(words) if any(word in names for names in named)), None
        )
        if start is not None and (_launched(words[start:])[0] or [""])[0] in PROGRAMS:
            return words
    return []
