"""verl 0.10: ``python -m verl.trainer.main_ppo key=value …``."""

from __future__ import annotations

import math

from tunesmith.hand_off.recipe import Recipe, Translated

NEVER = 1e6
"""No ratio, value or gradient gets there: verl clips all three unless told otherwise."""


def translate(recipe: Recipe) -> Translated:
    """Translates a run into verl's options."""
    run, objective, source = recipe.run, recipe.objective, recipe.source
    actor, rollout = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"
    # It leaves out the rows of an epoch that fill no batch, and reads a file to watch in any case.
    a_pass = max(1, recipe.rows // (run.train.batch or 1))
    translated = Translated(
        {
            "data.train_files": "rows/train.parquet",
            "data.val_files": f"rows/{'watch' if recipe.watched else 'train'}.parquet",
            "data.train_batch_size": run.train.batch,
            "data.max_prompt_length": recipe.prompt,
            "data.max_response_length": source["max_new_tokens"],
            "actor_rollout_ref.model.path": recipe.model,
            f"{actor}.optim.lr": run.train.learning_rate,
            f"{actor}.ppo_mini_batch_size": run.train.batch,
            f"{actor}.ppo_epochs": source["passes"],
            # Without it, verl asks for the size of a micro-batch, in three places.
            f"{actor}.use_dynamic_bsz": True,
            f"{actor}.clip_ratio_low": objective["low"],
            f"{actor}.clip_ratio_high": objective["high"] or objective["low"],
            f"{actor}.clip_ratio_c": recipe.cap or NEVER,
            f"{actor}.entropy_coeff": 0,
            f"{rollout}.name": "vllm",
            f"{rollout}.n": source["samples"],
            f"{rollout}.temperature": source["temperature"],
            f"{rollout}.gpu_memory_utilization": 0.5,
            f"{rollout}.tensor_model_parallel_size": 1,
            "reward.custom_reward_function.path": "reward.py",
            "reward.custom_reward_function.name": "compute_score",
            "trainer.n_gpus_per_node": 1,
            "trainer.nnodes": 1,
            "trainer.logger": '["console"]',
            "trainer.default_local_dir": "checkpoints",
            # Otherwise nothing is saved at all; the last step is, too.
            "trainer.save_freq": a_pass,
            "trainer.val_before_train": recipe.watched,
            "trainer.test_freq": a_pass if recipe.watched else -1,
            "trainer.total_epochs": max(recipe.epochs, math.ceil(recipe.steps / a_pass)),
            "trainer.total_training_steps": recipe.steps,
        },
        notes=["abstains", "verl_reward_key"],
    )
    _optimizer(translated, recipe, f"{actor}.optim")
    if recipe.lora is not None:
        translated.options["actor_rollout_ref.model.lora_rank"] = recipe.lora["rank"]
        translated.options["actor_rollout_ref.model.lora_alpha"] = recipe.lora["alpha"]
    _ppo(translated, recipe) if objective["name"] == "ppo" else _grpo(translated, recipe, actor)
    translated.leave("objective.overlong", objective["overlong"], "kept")
    translated.leave_common(recipe)
    return translated


def _optimizer(found: Translated, recipe: Recipe, where: str) -> None:
    train = recipe.run.train
    found.options |= {
        f"{where}.lr_warmup_steps_ratio": recipe.warmup,
        f"{where}.weight_decay": train.weight_decay,
        f"{where}.clip_grad": train.clip or NEVER,
    }
    kind = f"{where}.lr_scheduler_type"
    schedules: dict[str, dict[str, object]] = {
        "constant": {kind: "constant"},
        "cosine": {kind: "cosine", f"{where}.min_lr_ratio": 0.0},
    }
    found.choose("train.schedule", train.schedule.name, schedules)


def _grpo(found: Translated, recipe: Recipe, actor: str) -> None:
    objective = recipe.objective
    by, norm = "algorithm.adv_estimator", "algorithm.norm_adv_by_std_in_grpo"
    found.choose(
        "objective.advantage",
        objective["advantage"],
        {
            "group_std": {by: "grpo", norm: True},
            "group": {by: "grpo", norm: False},
            "leave_one_out": {by: "rloo"},
        },
    )
    aggregations = {
        "token": "token-mean",
        "answer": "seq-mean-token-mean",
        "constant": "seq-mean-token-sum-norm",
    }
    found.options[f"{actor}.loss_agg_mode"] = aggregations[objective["aggregation"]]
    mode = f"{actor}.policy_loss.loss_mode"
    found.choose(
        "objective.ratio",
        objective["ratio"],
        {"token": {mode: "vanilla"}, "sequence": {mode: "gspo"}},
    )
    # The cap of two_sided binds where verl's dual clip does.
    found.choose("objective.clip", objective["clip"], {"ratio": {}, "two_sided": {}})
    found.options |= {
        "algorithm.use_kl_in_reward": objective["kl"] == "reward",
        f"{actor}.use_kl_loss": objective["kl"] == "loss",
    }
    if objective["kl"] == "reward":
        found.options["algorithm.kl_ctrl.kl_coef"] = recipe.kl_weight
    if objective["kl"] == "loss":
        found.options[f"{actor}.kl_loss_coef"] = recipe.kl_weight
        found.options[f"{actor}.kl_loss_type"] = "low_var_kl"
        found.notes.append("kl_in_loss")


def _ppo(found: Translated, recipe: Recipe) -> None:
    objective = recipe.objective
    found.options |= {
        "algorithm.adv_estimator": "gae",
        "algorithm.gamma": objective["discount"],
        "algorithm.lam": objective["trace"],
        "algorithm.use_kl_in_reward": objective["kl_weight"] > 0,
        "critic.model.path": recipe.model,
        "critic.cliprange_value": objective["value_clip"] or NEVER,
    }
    if objective["kl_weight"]:
        found.options["algorithm.kl_ctrl.kl_coef"] = objective["kl_weight"]
    if objective["kl_target"]:
        found.options |= {
            "algorithm.kl_ctrl.type": "adaptive",
            "algorithm.kl_ctrl.target_kl": objective["kl_target"],
            "algorithm.kl_ctrl.horizon": objective["kl_horizon"],
        }
    if objective["value"] != "own":
        found.notes.append("own_critic")
    found.leave("objective.whiten", objective["whiten"], True)


def command(options: dict[str, object]) -> list[str]:
    """Returns the words of the command."""
    return ["python", "-m", "verl.trainer.main_ppo", *(f"{k}={v}" for k, v in options.items())]
