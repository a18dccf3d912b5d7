"""The options that hand-off writes, as the toolkits themselves name them: verl's
_generated_ppo_trainer.yaml (2026-08), the arguments of OpenRLHF's train_ppo_ray.py (0.11), and
those of ms-swift 4, which takes transformers' TrainingArguments too.
"""

from __future__ import annotations

_ACTOR, _ROLLOUT = "actor_rollout_ref.actor", "actor_rollout_ref.rollout"


def _under(place: str, names: str) -> set[str]:
    return {f"{place}.{name}" for name in names.split()}


VERL = {
    *_under("data", "train_files val_files train_batch_size max_prompt_length max_response_length"),
    *_under("actor_rollout_ref.model", "path lora_rank lora_alpha lora_adapter_path"),
    *_under(_ACTOR, "ppo_mini_batch_size ppo_epochs use_dynamic_bsz clip_ratio_low"),
    *_under(_ACTOR, "clip_ratio_high clip_ratio_c loss_agg_mode use_kl_loss kl_loss_coef"),
    *_under(_ACTOR, "kl_loss_type entropy_coeff policy_loss.loss_mode"),
    *_under(f"{_ACTOR}.optim", "lr lr_warmup_steps_ratio weight_decay clip_grad"),
    *_under(f"{_ACTOR}.optim", "lr_scheduler_type min_lr_ratio"),
    *_under(_ROLLOUT, "name n temperature gpu_memory_utilization tensor_model_parallel_size"),
    *_under("critic", "model.path cliprange_value"),
    *_under("algorithm", "adv_estimator norm_adv_by_std_in_grpo use_kl_in_reward gamma lam"),
    *_under("algorithm.kl_ctrl", "kl_coef type target_kl horizon"),
    *_under("reward.custom_reward_function", "path name"),
    *_under("trainer", "n_gpus_per_node nnodes logger default_local_dir save_freq test_freq"),
    *_under("trainer", "val_before_train total_epochs total_training_steps"),
}
OPENRLHF = {
    *_under("--actor", "model_name_or_path num_nodes num_gpus_per_node adam.lr adam.weight_decay"),
    *_under("--actor", "adam.betas lr_scheduler lr_warmup_ratio min_lr_ratio max_norm"),
    *_under("--actor", "eps_clip_low_high dual_clip policy_loss_type"),
    *_under("--critic", "model_name_or_path num_nodes num_gpus_per_node value_clip"),
    *_under("--ref", "num_nodes num_gpus_per_node"),
    *_under("--data", "prompt_dataset input_key label_key apply_chat_template max_len"),
    *_under("--rollout", "batch_size n_samples_per_prompt temperature max_new_tokens"),
    *_under("--train", "batch_size max_epochs num_episodes colocate_all"),
    *_under("--vllm", "num_engines tensor_parallel_size gpu_memory_utilization enable_sleep"),
    *_under("--ds", "enable_sleep lora.rank lora.alpha"),
    *_under("--reward", "remote_url clip_range overlong_buffer_len"),
    *_under("--algo.advantage", "estimator gamma lambd"),
    *_under("--algo.kl", "init_coef estimator use_loss target horizon"),
    "--ckpt.output_dir",
}
MS_SWIFT = {
    f"--{name}"
    for name in [
        "rlhf_type",
        "model",
        "dataset",
        "val_dataset",
        "external_plugins",
        "reward_funcs",
        "num_generations",
        "max_completion_length",
        "max_length",
        "temperature",
        "num_iterations",
        "per_device_train_batch_size",
        "gradient_accumulation_steps",
        "num_train_epochs",
        "max_steps",
        "learning_rate",
        "weight_decay",
        "max_grad_norm",
        "warmup_steps",
        "seed",
        "epsilon",
        "epsilon_high",
        "delta",
        "use_vllm",
        "vllm_mode",
        "output_dir",
        "tuner_type",
        "lora_rank",
        "lora_alpha",
        "adam_beta1",
        "adam_beta2",
        "lr_scheduler_type",
        "advantage_estimator",
        "scale_rewards",
        "importance_sampling_level",
        "loss_type",
        "beta",
        "kl_in_reward",
        "overlong_filter",
    ]
}
KNOWN = {"verl": VERL, "openrlhf": OPENRLHF, "ms-swift": MS_SWIFT}
