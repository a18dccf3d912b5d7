"""OpenRLHF 0.11: ``python -m openrlhf.cli.train_ppo_ray --group.option value …``."""

from __future__ import annotations

from tunesmith.hand_off.recipe import Recipe, Translated


def translate(recipe: Recipe) -> Translated:
    """Translates a run into OpenRLHF's options; an option without a value is a flag."""
    run, objective, source = recipe.run, recipe.objective, recipe.source
    batch = run.train.batch or 1
    high = objective["high"] or objective["low"]
    found = Translated(
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
            "train.colocate_all": None,
            "actor.adam.lr": run.train.learning_rate,
            "actor.eps_clip_low_high": f"{objective['low']} {high}",
            "reward.remote_url": "reward.py",
            "ckpt.output_dir": "checkpoints",
        },
        notes=["abstains"],
    )
    if objective["cap"]:
        found.options["actor.dual_clip"] = objective["cap"]
    if recipe.lora is not None:
        found.options["ds.lora.rank"] = recipe.lora["rank"]
        found.options["ds.lora.alpha"] = recipe.lora["alpha"]
    if objective["name"] == "ppo":
        _ppo(found, recipe)
    else:
        _grpo(found, recipe)
    if objective["overlong"] == "punished":
        margin = objective["margin"] or max(1, source["max_new_tokens"] // 5)
        found.options["reward.overlong_buffer_len"] = margin
    elif objective["overlong"] != "kept":
        found.missing.append(f"objective.overlong={objective['overlong']}")
    return found


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
