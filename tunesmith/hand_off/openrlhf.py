"""OpenRLHF 0.11: ``python -m openrlhf.cli.train_ppo_ray --group.option value …``."""

from __future__ import annotations

from tunesmith.hand_off.recipe import Recipe, Translated

UNCLIPPED = "-1000000000 1000000000"
"""Rewards are cut to -10 and 10 there, unless told otherwise."""
ONE_CARD: dict[str, object] = {
    **{f"{role}.num_nodes": 1 for role in ("actor", "ref")},
    **{f"{role}.num_gpus_per_node": 1 for role in ("actor", "ref")},
    "vllm.num_engines": 1,
    "vllm.tensor_parallel_size": 1,
    "vllm.gpu_memory_utilization": 0.5,
    "vllm.enable_sleep": None,
    "ds.enable_sleep": None,
    "train.colocate_all": None,
}
"""All models on one card; it would take eight for each, and samples by no engine without a number
of them.
"""


def translate(recipe: Recipe) -> Translated:
    """Translates a run into OpenRLHF's options; an option without a value is a flag."""
    run, objective, source = recipe.run, recipe.objective, recipe.source
    batch = run.train.batch or 1
    high = objective["high"] or objective["low"]
    translated = Translated(
        {
            "actor.model_name_or_path": recipe.model,
            "data.prompt_dataset": "rows/train.jsonl",
            "data.input_key": "input",
            "data.label_key": "label",
            "data.apply_chat_template": None,
            "data.max_len": recipe.prompt + source["max_new_tokens"],
            "rollout.batch_size": batch,
            "rollout.n_samples_per_prompt": source["samples"],
            "rollout.temperature": source["temperature"],
            "rollout.max_new_tokens": source["max_new_tokens"],
            # Its batch of an update counts answers, that of the sampling prompts.
            "train.batch_size": batch * source["samples"],
            "train.max_epochs": source["passes"],
            "train.num_episodes": recipe.epochs,
            "actor.adam.lr": run.train.learning_rate,
            "actor.eps_clip_low_high": f"{objective['low']} {high}",
            "reward.remote_url": "reward.py",
            "reward.clip_range": UNCLIPPED,
            "ckpt.output_dir": "checkpoints",
        }
        | ONE_CARD,
        notes=["abstains"],
    )
    _optimizer(translated, recipe)
    # It counts passes over the prompts.
    if recipe.steps * batch != recipe.epochs * recipe.rows:
        translated.leave("train.steps", run.train.steps, None)
    if recipe.cap is not None:
        translated.options["actor.dual_clip"] = recipe.cap
    if recipe.lora is not None:
        translated.options["ds.lora.rank"] = recipe.lora["rank"]
        translated.options["ds.lora.alpha"] = recipe.lora["alpha"]
    if objective["name"] == "ppo":
        _ppo(translated, recipe)
    else:
        _grpo(translated, recipe)
    if objective["overlong"] == "punished":
        margin = objective["margin"] or max(1, source["max_new_tokens"] // 5)
        translated.options["reward.overlong_buffer_len"] = margin
    elif objective["overlong"] != "kept":
        translated.missing.append(f"objective.overlong={objective['overlong']}")
    translated.leave_common(recipe)
    return translated


def _optimizer(found: Translated, recipe: Recipe) -> None:
    train = recipe.run.train
    found.options |= {
        "actor.lr_warmup_ratio": recipe.warmup,
        "actor.adam.weight_decay": train.weight_decay,
        "actor.max_norm": train.clip,
    }
    if train.optimizer.name == "adamw":
        found.options["actor.adam.betas"] = f"{train.optimizer.beta1} {train.optimizer.beta2}"
    kind = "actor.lr_scheduler"
    # Its "linear" is given a least rate that transformers' schedule of that name does not take.
    schedules: dict[str, dict[str, object]] = {
        "constant": {kind: "constant_with_warmup"},
        "cosine": {kind: "cosine_with_min_lr", "actor.min_lr_ratio": 0.0},
    }
    found.choose("train.schedule", train.schedule.name, schedules)


def _grpo(found: Translated, recipe: Recipe) -> None:
    objective = recipe.objective
    by = "algo.advantage.estimator"
    found.choose(
        "objective.advantage",
        objective["advantage"],
        {
            "group_std": {by: "group_norm"},
            "group": {by: "dr_grpo"},
            "leave_one_out": {by: "rloo"},
        },
    )
    kind = "actor.policy_loss_type"
    found.choose(
        "objective.ratio",
        objective["ratio"],
        {"token": {kind: "ppo"}, "sequence": {kind: "gspo"}},
    )
    found.choose("objective.clip", objective["clip"], {"ratio": {}, "two_sided": {}})
    found.leave("objective.aggregation", objective["aggregation"], "token")
    if objective["kl"] == "none":
        found.options["algo.kl.init_coef"] = 0
    elif objective["kl"] == "reward":
        found.options |= {"algo.kl.init_coef": recipe.kl_weight, "algo.kl.estimator": "k1"}
    else:
        found.options |= {"algo.kl.init_coef": recipe.kl_weight, "algo.kl.estimator": "k3"}
        found.options["algo.kl.use_loss"] = None
        found.notes.append("kl_in_loss")


def _ppo(found: Translated, recipe: Recipe) -> None:
    objective = recipe.objective
    found.options |= {
        "algo.advantage.estimator": "gae",
        "algo.advantage.gamma": objective["discount"],
        "algo.advantage.lambd": objective["trace"],
        "algo.kl.init_coef": objective["kl_weight"],
        "algo.kl.estimator": "k1",
        "critic.model_name_or_path": recipe.model,
        "critic.num_nodes": 1,
        "critic.num_gpus_per_node": 1,
    }
    if objective["value_clip"]:
        found.options["critic.value_clip"] = objective["value_clip"]
    if objective["kl_target"]:
        found.options["algo.kl.target"] = objective["kl_target"]
        found.options["algo.kl.horizon"] = objective["kl_horizon"]
    if objective["value"] != "own":
        found.notes.append("own_critic")
    found.leave("objective.whiten", objective["whiten"], True)


def command(options: dict[str, object]) -> list[str]:
    """Returns the words of the command."""
    words = ["python", "-m", "openrlhf.cli.train_ppo_ray"]
    for name, value in options.items():
        words += [f"--{name}"] if value is None else [f"--{name}", *str(value).split()]
    return words
