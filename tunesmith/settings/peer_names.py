"""What LLaMA-Factory, ms-swift, axolotl and TRL call a setting, and what it is called here: tables,
no logic.

``SAME`` only renames; ``CHANGED`` names the function of ``importing`` that also changes the value;
``NEEDLESS`` and ``NOTHING`` give the reason (a key of the words) why a key has no translation.
"""

from __future__ import annotations

from tunesmith.words import say

SAME: dict[str, str] = {
    "model_name_or_path": "model",
    "base_model": "model",
    "model_id_or_path": "model",
    "llm_backbone": "model",
    "model_revision": "model.revision",
    "base_model_revision": "model.revision",
    "revision_of_model": "model.revision",
    "trust_remote_code": "model.trust_remote_code",
    "system": "data.system",
    "default_system": "data.system",
    "system_prompt": "data.system",
    "cutoff_len": "data.max_length",
    "max_length": "data.max_length",
    "sequence_len": "data.max_length",
    "max_seq_length": "data.max_length",
    "max_seq_len": "data.max_length",
    "val_size": "data.held_out",
    "val_set_size": "data.held_out",
    "split_dataset_ratio": "data.held_out",
    "validation_file": "data.held_out",
    "eval_file": "data.held_out",
    "train_file": "data",
    "train_dataframe": "data",
    "json_path": "data",
    "val_split_fraction": "data.held_out",
    "global_batch_size": "train.batch",
    "max_length_inference": "generate.max_new_tokens",
    "gradient_clip": "train.clip",
    "max_norm": "train.clip",
    "num_train_epochs": "train.epochs",
    "num_epochs": "train.epochs",
    "learning_rate": "train.learning_rate",
    "lr": "train.learning_rate",
    "weight_decay": "train.weight_decay",
    "max_grad_norm": "train.clip",
    "gradient_clipping": "train.clip",
    "seed": "train.seed",
    "lora_rank": "method.rank",
    "lora_r": "method.rank",
    "lora_alpha": "method.alpha",
    "lora_dropout": "method.dropout",
    "lora_bias": "method.bias",
    "loraplus_lr_ratio": "method.plus_ratio",
    "lorap_lr_ratio": "method.plus_ratio",
    "output_dir": "out",
    "out_dir": "out",
    "output_directory": "out",
    "save_steps": "train.keep.save",
    "eval_steps": "train.keep.evaluate",
    "save_total_limit": "train.keep.keep",
    "early_stopping_patience": "train.keep.patience",
    "neftune_noise_alpha": "objective.neftune",
    "noisy_embedding_alpha": "objective.neftune",
    "label_smoothing_factor": "objective.label_smoothing",
    "max_new_tokens": "generate.max_new_tokens",
    "temperature": "generate.temperature",
    "top_p": "generate.top_p",
    "repetition_penalty": "generate.repetition_penalty",
    "stop_words": "generate.stop",
    "pref_beta": "objective.beta",
    "beta": "objective.beta",
    "pref_ftx": "objective.sft",
    "rpo_alpha": "objective.sft",
    "cpo_alpha": "objective.sft",
    "dpo_label_smoothing": "objective.label_smoothing",
    "label_smoothing": "objective.label_smoothing",
    "kto_chosen_weight": "objective.desirable_weight",
    "kto_rejected_weight": "objective.undesirable_weight",
    "desirable_weight": "objective.desirable_weight",
    "undesirable_weight": "objective.undesirable_weight",
    "simpo_gamma": "objective.gamma",
    "ppo_epochs": "source.passes",
    "num_ppo_epochs": "source.passes",
    "num_iterations": "source.passes",
    "num_generations": "source.samples",
    "response_length": "source.max_new_tokens",
    "max_completion_length": "source.max_new_tokens",
    "reward_weights": "source.weights",
    "kl_coef": "objective.kl_weight",
    "ppo_target": "objective.kl_target",
    "cliprange": "objective.low",
    "epsilon": "objective.low",
    "epsilon_high": "objective.high",
    "cliprange_value": "objective.value_clip",
    "vf_coef": "objective.value_weight",
    "gamma": "objective.discount",
    "lam": "objective.trace",
}

BATCH = (
    "per_device_train_batch_size",
    "micro_batch_size",
    "batch_size",
    "gradient_accumulation_steps",
)
"""Their product is the rows of an optimizer step on one device."""
LORA_SWITCHES = ("lora_query", "lora_key", "lora_value", "lora_projection", "lora_mlp")
ANSWERS_ONLY = (
    "completion_only_loss",
    "assistant_only_loss",
    "train_on_responses_only",
    "train_on_completions",
    "responses_only",
    "mask_prompt",
    "mask_prompt_labels",
)
"""Switches that mask what is asked, so that answers alone are trained."""

CHANGED: dict[str, tuple[str, str]] = {
    "model": ("model", "swift_model"),
    "checkpoint_dir": ("model", "checkpoint"),
    "model_name": ("model", "model_name"),
    "local_dataset": ("data", "datasets"),
    "format_type": ("objective", "format"),
    "training_type": ("method", "method"),
    "use_lora": ("method", "use_lora"),
    **dict.fromkeys(LORA_SWITCHES, ("method.targets", "lora_parts")),
    **dict.fromkeys(ANSWERS_ONLY, ("data.train_on", "answers_only")),
    "precision": ("train.machine.precision", "lightning_precision"),
    "bnb_quantize": ("model.quantize", "rounded"),
    "backbone_dtype": ("model.quantize", "rounded"),
    "gradient_checkpointing": ("train.machine.checkpointing", "checkpointing"),
    "use_gradient_checkpointing": ("train.machine.checkpointing", "checkpointing"),
    "logger_name": ("track", "logger"),
    "logger": ("track", "logger"),
    "enable_wandb": ("track", "wandb"),
    "enable_tensorboard": ("track", "tensorboard"),
    "prompt_column": ("data.columns.question", "question_column"),
    "answer_column": ("data.columns.answer", "answer_column"),
    "system_column": ("data.columns.system", "system_column"),
    "dataset_text_field": ("data.columns.text", "text_column"),
    "h2o_problem": ("objective", "h2o_problem"),
    "validation_dataframe": ("data.held_out", "validation_file"),
    "validation_size": ("data.held_out", "validation_size"),
    "random_seed": ("train.seed", "h2o_seed"),
    "schedule": ("train.schedule", "schedule"),
    "stage": ("objective", "objective"),
    "rlhf_type": ("objective", "objective"),
    "rl": ("objective", "objective"),
    "pref_loss": ("objective.loss", "preference_loss"),
    "loss_type": ("objective.loss", "preference_loss"),
    "finetuning_type": ("method", "method"),
    "tuner_type": ("method", "method"),
    "train_type": ("method", "method"),
    "sft_type": ("method", "method"),
    "adapter": ("method", "method"),
    "use_peft": ("method", "use_peft"),
    "dataset": ("data", "datasets"),
    "datasets": ("data", "datasets"),
    "dataset_name": ("data", "datasets"),
    "val_dataset": ("data.held_out", "one_dataset"),
    "test_datasets": ("data.held_out", "one_dataset"),
    "eval_dataset": ("data.held_out", "one_dataset"),
    "max_samples": ("data.limit", "limit"),
    "warmup_steps": ("train.warmup", "warmup_steps"),
    "warmup_ratio": ("train.warmup", "warmup_ratio"),
    "task_type": ("objective", "task_type"),
    "problem_type": ("objective.problem", "problem"),
    "reward_model": ("source.rewards", "reward_model"),
    "reward_model_path": ("source.rewards", "reward_model"),
    "reward_model_name_or_path": ("source.rewards", "reward_model"),
    "reward_model_type": ("source.rewards", "reward_kind"),
    "mix_strategy": ("data.path", "mixed"),
    "roles_to_train": ("data.train_on", "roles"),
    "loss_scale": ("data.train_on", "loss_scale"),
    "use_muon": ("train.optimizer", "muon"),
    "use_swanlab": ("track", "swanlab"),
    "use_wandb": ("track", "wandb"),
    "max_steps": ("train.steps", "steps"),
    "lr_scheduler_type": ("train.schedule", "schedule"),
    "lr_scheduler": ("train.schedule", "schedule"),
    "optim": ("train.optimizer", "optimizer"),
    "optimizer": ("train.optimizer", "optimizer"),
    "torch_dtype": ("train.machine.precision", "precision"),
    "dtype": ("train.machine.precision", "precision"),
    "bf16": ("train.machine.precision", "bf16"),
    "fp16": ("train.machine.precision", "fp16"),
    "lora_target": ("method.targets", "targets"),
    "target_modules": ("method.targets", "targets"),
    "lora_target_modules": ("method.targets", "targets"),
    "lora_target_linear": ("method.targets", "linear"),
    "use_rslora": ("method.variant", "rslora"),
    "peft_use_rslora": ("method.variant", "rslora"),
    "use_dora": ("method.variant", "dora"),
    "peft_use_dora": ("method.variant", "dora"),
    "pissa_init": ("method.init", "pissa"),
    "quantization_bit": ("model.quantize", "bits"),
    "quant_bits": ("model.quantize", "bits"),
    "load_in_4bit": ("model.quantize", "nf4"),
    "load_in_8bit": ("model.quantize", "int8"),
    "add_tokens": ("model.add_tokens", "tokens"),
    "new_special_tokens": ("model.add_tokens", "tokens"),
    "metric_for_best_model": ("train.keep.best_by", "best_by"),
    "report_to": ("track", "trackers"),
    "truncation_strategy": ("data.too_long", "too_long"),
    "train_on_inputs": ("data.train_on", "train_on_inputs"),
    "train_on_prompt": ("data.train_on", "train_on_inputs"),
    "mask_history": ("data.train_on", "mask_history"),
}

NAMES_HERE: dict[str, dict[str, str]] = {
    "method": {
        "lora+": "method=lora method.plus_ratio=16",
        "loraplus": "method=lora method.plus_ratio=16",
        "lora_plus": "method=lora method.plus_ratio=16",
        "prompt_tuning": "method=prompt",
        "prefix_tuning": "method=prefix",
        "adapter": "method=bottleneck",
        "adapters": "method=bottleneck",
    },
    "objective": {
        "rloo": (
            "objective=grpo objective.advantage=leave_one_out objective.ratio=product "
            "objective.aggregation=answer objective.kl=reward"
        ),
        "reinforce": "objective=grpo objective.advantage=group",
        "dapo": "objective=grpo objective.high=0.28 objective.overlong=punished",
        "dr_grpo": "objective=grpo objective.advantage=group objective.aggregation=constant",
        "gspo": (
            "objective=grpo objective.ratio=sequence objective.aggregation=answer "
            "objective.low=3e-4 objective.high=4e-4"
        ),
        "cispo": "objective=grpo objective.clip=cispo",
        "sapo": "objective=grpo objective.clip=sapo objective.aggregation=answer",
        "rm": "objective=reward",
        "pt": "objective=pretrain",
        "cpt": "objective=pretrain",
        "instruct": "objective=sft",
        "classification": "objective=classify",
        "seq_cls": "objective=classify",
        "embedding": "objective=embed",
    },
    "metric": {
        "f1": "macro_f1",
        "acc": "accuracy",
        "em": "exact_match",
        "rouge": "rouge_l",
        "bleu-4": "bleu",
        "mae": "mean_absolute_error",
        "auc": "roc_auc",
    },
}
"""What people call a plug-in elsewhere, where the nearest name here is another one or none: the
setting, or the key of a text.
"""

NEEDLESS: dict[str, str] = {
    key: reason
    for reason, keys in {
        "template": (
            "template chat_template chat_template_jinja prompt_style text_prompt_start "
            "text_answer_separator text_system_start add_eos_token_to_prompt "
            "add_eos_token_to_answer add_eos_token_to_system"
        ),
        "base_first": "evaluate_before_training initial_validation final_validation",
        "verb": (
            "do_train do_eval do_predict predict_with_generate eval_strategy "
            "evaluation_strategy save_strategy logging_strategy val_split add_version "
            "create_checkpoint_symlink save_only_model"
        ),
        "best": "load_best_model_at_end",
        "overwrite": "overwrite_output_dir",
        "record": (
            "logging_steps logging_first_step logging_dir plot_loss "
            "include_num_input_tokens_seen run_name log_interval wandb_project "
            "wandb_token wandb_entity tensorboard_dir project_name experiment_name"
        ),
        "packing": (
            "packing neat_packing sample_packing eval_sample_packing pad_to_sequence_len "
            "group_by_length padding_free packing_strategy use_liger_kernel "
            "enable_liger_kernel remove_unused_columns"
        ),
        "probe": (
            "flash_attn attn_impl flash_attention attn_implementation xformers_attention "
            "sdp_attention per_device_eval_batch_size eval_batch_size tf32 upcast_layernorm "
            "mixed_precision compile_model torch_compile auto_find_batch_size "
            "batch_size_inference gradient_checkpointing_kwargs"
        ),
        "workers": (
            "preprocessing_num_workers dataset_num_proc dataloader_num_workers "
            "overwrite_cache dataset_prepared_path dataloader_pin_memory lazy_tokenize "
            "num_workers number_of_workers streaming ignore_index data_seed"
        ),
        "reference": (
            "ref_model ref_model_adapters ref_model_quantization_bit precompute_ref_log_probs "
            "precompute_ref_batch_size reference_free sync_ref_model"
        ),
        "types": (
            "model_type tokenizer_type strict dataset_info use_fast_tokenizer num_labels "
            "is_llama_derived_model"
        ),
        "path": "dataset_dir use_hf",
        "rounding": (
            "quantization_method quant_method bnb_4bit_quant_type bnb_4bit_compute_dtype "
            "bnb_4bit_use_double_quant double_quantization quantization_type"
        ),
        "vocabulary": "resize_vocab resize_token_embeddings",
    }.items()
    for key in keys.split()
}

NOTHING: dict[str, str] = {
    key: reason
    for reason, keys in {
        "whole_layers": "modules_to_save additional_target lora_modules_to_save",
        "many_devices": (
            "ddp_timeout nproc_per_node ddp_find_unused_parameters tensor_parallel_size"
        ),
        "divided": "deepspeed fsdp fsdp_config fsdp_transformer_layer_cls_to_wrap",
        "split": "dataset_test_split dataset_train_split train_on_split",
        "too_long": "excess_length_strategy",
        "segments": "segments",
        "class_path": "class_path",
        "lora_head": "lora_head",
        "moments": "adam_beta1 adam_beta2 adam_epsilon beta1 beta2 betas max_tokens min_lr",
        "vision": (
            "finetune_vision_layers finetune_language_layers finetune_attention_modules "
            "finetune_mlp_modules vision_all_linear"
        ),
        "identity": "model_author chatbot_name chatbot_author personalize",
        "samples": "generate_samples eval_max_new_tokens max_iters num_generation_samples",
        "order": "curriculum_sampling shards data_sample data_sample_choice",
        "hub": (
            "push_to_hub hub_model_id hub_token hub_strategy hub_private_repo "
            "push_to_hub_model_id push_to_hub_organization"
        ),
        "mixture": "interleave_probs interleave_prob stopping_strategy",
        "resume": "resume_from_checkpoint auto_resume_from_checkpoints resume_only_model",
    }.items()
    for key in keys.split()
}


REFUSED: dict[str, str] = {
    key: reason
    for reason, keys in {
        "rewards": (
            "reward_model_adapters process_reward_model reward_adapters "
            "reward_model_quantization_bit"
        ),
        "reward_functions": "reward_funcs external_plugins",
        "ppo_extras": "whiten_rewards ppo_whiten_rewards ppo_score_norm missing_eos_penalty",
        "continue": "adapter_name_or_path adapters lora_model_dir",
        "method": "use_galore use_apollo use_badam use_llama_pro shift_attn use_mca",
    }.items()
    for key in keys.split()
}
"""Keys without a counterpart that, where they are on, train something else."""
CHANGED |= {key: ("", f"refuse_{key}") for key in REFUSED}


def name_here(path: str) -> str | None:
    """Returns, as a sentence, our name for the unknown key at ``path``; None when no peer
    knows it.
    """
    key = path.rpartition(".")[2]
    if path == "method.r":
        return say("peers.called", name="method.rank")
    if key in BATCH:
        return say("peers.batch", name=key)
    if key in REFUSED:
        return say(f"peers.nothing_{REFUSED[key]}")
    if key in SAME:
        here = SAME[key]
    elif key in CHANGED:
        here = CHANGED[key][0]
    elif key in NEEDLESS:
        return say(f"peers.needless_{NEEDLESS[key]}")
    elif key in NOTHING:
        return say(f"peers.nothing_{NOTHING[key]}")
    else:
        return None
    return say("peers.called", name=here) if here != path else None
