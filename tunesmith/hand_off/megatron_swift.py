"""ms-swift 4 on Megatron-LM: ``megatron sft --option value …``."""

from __future__ import annotations

from tunesmith.hand_off.recipe import Recipe, Translated


def translate(recipe: Recipe) -> Translated:
    """Translates a run on conversations into Megatron-SWIFT's options. How the model is divided
    over the cards is left at 1: it follows from the cluster, and may be given behind the script.
    """
    run = recipe.run
    translated = Translated(
        {
            "model": recipe.model,
            "dataset": "rows/train.jsonl",
            "split_dataset_ratio": 0,
            "save_safetensors": "true",
            "finetune": "true",
            "packing": "true",
            "tensor_model_parallel_size": 1,
            "pipeline_model_parallel_size": 1,
            "micro_batch_size": 1,
            "global_batch_size": run.train.batch,
            "num_train_epochs": recipe.epochs,
            "lr": run.train.learning_rate,
            "min_lr": 0,
            "weight_decay": run.train.weight_decay,
            "clip_grad": run.train.clip,
            "max_length": run.data.max_length,
            "cross_entropy_loss_fusion": "true",
            "seed": run.train.seed,
            "output_dir": "checkpoints",
        },
        notes=["packs", "per_token"],
    )
    if recipe.watched:
        translated.options["val_dataset"] = "rows/watch.jsonl"
    if recipe.lora is not None:
        translated.options |= {"tuner_type": "lora", "target_modules": "all-linear"}
        translated.options |= {"lora_rank": recipe.lora["rank"], "lora_alpha": recipe.lora["alpha"]}
        translated.options["merge_lora"] = "false"
    else:
        translated.options["tuner_type"] = "full"
    warmup = run.train.warmup
    name = "lr_warmup_fraction" if warmup < 1 else "lr_warmup_iters"
    translated.options[name] = warmup if warmup < 1 else int(warmup)
    style = "lr_decay_style"
    translated.choose(
        "train.schedule",
        run.train.schedule.name,
        {
            "linear": {style: "linear"},
            "cosine": {style: "cosine"},
            "constant": {style: "constant"},
        },
    )
    if run.train.machine.checkpointing:
        translated.options |= {"recompute_granularity": "full", "recompute_method": "uniform"}
        translated.options["recompute_num_layers"] = 1
    translated.leave_common(recipe)
    translated.leave("data.system", run.data.system, None)
    translated.leave("source", run.source.name, "rows")
    return translated


def command(options: dict[str, object]) -> list[str]:
    """Returns the words of the command; torchrun's variables (NPROC_PER_NODE, NNODES, NODE_RANK,
    MASTER_ADDR) say how many cards there are.
    """
    words = ["megatron", "sft"]
    for name, value in options.items():
        words += [f"--{name}", str(value)]
    return words
