"""ms-swift 4: ``swift rlhf --rlhf_type grpo --option value …``."""

from __future__ import annotations

from tunesmith.errors import Problem, SpecError
from tunesmith.hand_off.recipe import Recipe, Translated
from tunesmith.objectives.grpo import CAPS
from tunesmith.words import say


def translate(recipe: Recipe) -> Translated:
    """Translates a run into ms-swift's options; raises SpecError for PPO, which takes a reward
    model there and no function.
    """
    run, objective, source = recipe.run, recipe.objective, recipe.source
    if objective["name"] == "ppo":
        raise SpecError(Problem("to", say("hand_off.no_ppo")))
    translated = Translated(
        {
            "rlhf_type": "grpo",
            "model": recipe.model,
            "dataset": "rows/train.jsonl",
            "external_plugins": "reward.py",
            "reward_funcs": "tunesmith",
            "num_generations": source["samples"],
            "max_completion_length": source["max_new_tokens"],
            "max_length": recipe.prompt + source["max_new_tokens"],
            "temperature": source["temperature"],
            "num_iterations": source["passes"],
            # Its batch counts answers.
            "per_device_train_batch_size": source["samples"],
            "gradient_accumulation_steps": run.train.batch,
            "num_train_epochs": recipe.epochs,
            "max_steps": recipe.steps * source["passes"],
            "learning_rate": run.train.learning_rate,
            "weight_decay": run.train.weight_decay,
            "max_grad_norm": run.train.clip,
            "warmup_steps": round(recipe.warmup * recipe.steps * source["passes"]),
            "seed": run.train.seed,
            "epsilon": objective["low"],
            "epsilon_high": objective["high"] or objective["low"],
            "use_vllm": "true",
            "vllm_mode": "colocate",
            "output_dir": "checkpoints",
        }
    )
    if recipe.lora is not None:
        translated.options |= {"tuner_type": "lora", "lora_rank": recipe.lora["rank"]}
        translated.options["lora_alpha"] = recipe.lora["alpha"]
    else:
        translated.options["tuner_type"] = "full"
    if recipe.watched:
        translated.options["val_dataset"] = "rows/watch.jsonl"
    _optimizer(translated, recipe)
    _compared(translated, objective, recipe.cap)
    if objective["kl"] == "none":
        translated.options["beta"] = 0
    else:
        translated.options["beta"] = recipe.kl_weight
        translated.options["kl_in_reward"] = str(objective["kl"] == "reward").lower()
    if objective["overlong"] == "masked":
        translated.options["overlong_filter"] = "true"
    else:
        translated.leave("objective.overlong", objective["overlong"], "kept")
    translated.leave_common(recipe)
    return translated


def _optimizer(found: Translated, recipe: Recipe) -> None:
    train = recipe.run.train
    if train.optimizer.name == "adamw":
        found.options |= {"adam_beta1": train.optimizer.beta1, "adam_beta2": train.optimizer.beta2}
    kind = "lr_scheduler_type"
    schedules: dict[str, dict[str, object]] = {
        "constant": {kind: "constant_with_warmup"},
        "linear": {kind: "linear"},
        "cosine": {kind: "cosine"},
    }
    found.choose("train.schedule", train.schedule.name, schedules)


def _compared(found: Translated, objective: dict[str, object], cap: float | None) -> None:
    by, scale = "advantage_estimator", "scale_rewards"
    found.choose(
        "objective.advantage",
        objective["advantage"],
        {
            "group_std": {by: "grpo", scale: "group"},
            "group": {by: "grpo", scale: "none"},
            "batch_std": {by: "grpo", scale: "batch"},
            "leave_one_out": {by: "rloo"},
        },
    )
    level = "importance_sampling_level"
    found.choose(
        "objective.ratio",
        objective["ratio"],
        {"token": {level: "token"}, "sequence": {level: "sequence"}},
    )
    losses = {"token": "dapo", "answer": "grpo", "constant": "dr_grpo"}
    loss = {"loss_type": losses[str(objective["aggregation"])]}
    clips: dict[str, dict[str, object]] = {
        "ratio": {**loss},
        "two_sided": {**loss, "delta": cap},
    }
    if objective["aggregation"] == "token":
        clips["cispo"] = {"loss_type": "cispo", "epsilon_high": objective["cap"] or CAPS["cispo"]}
    found.choose("objective.clip", objective["clip"], clips)


def command(options: dict[str, object]) -> list[str]:
    """Returns the words of the command."""
    words = ["swift", "rlhf"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words
