"""Keys of LLaMA-Factory, ms-swift, axolotl and TRL that have no setting here, with the reason why:
the key of a text. Tables, no logic.
"""

from __future__ import annotations


def _reasons(table: dict[str, str]) -> dict[str, str]:
    return {key: reason for reason, keys in table.items() for key in keys.split()}


NEEDLESS = _reasons(
    {
        "template": """
            template chat_template chat_template_jinja prompt_style text_prompt_start
            text_answer_separator text_system_start add_eos_token_to_prompt
            add_eos_token_to_answer add_eos_token_to_system chat_template_path eos_token
            pad_token special_tokens tool_format agent_template tokenizer_save_jinja_files
            added_tokens_overrides
            add_prompt_answer_tokens tokenizer_kwargs add_prefix_space
        """,
        "base_first": """
            evaluate_before_training initial_validation final_validation eval_on_start
        """,
        "verb": """
            do_train do_eval do_predict predict_with_generate logging_strategy val_split
            add_version create_checkpoint_symlink save_only_model save_safetensors do_bench_eval
            do_causal_lm_eval skip_memory_metrics restore_callback_states_from_checkpoint
        """,
        "best": "load_best_model_at_end greater_is_better",
        "overwrite": "overwrite_output_dir",
        "record": """
            logging_steps logging_first_step logging_dir plot_loss include_num_input_tokens_seen
            run_name log_interval wandb_project wandb_token wandb_entity tensorboard_dir
            project_name experiment_name log_level disable_tqdm
            include_effective_tokens_per_second compute_accuracy log_completions wandb_name
            wandb_watch wandb_log_model wandb_run_id wandb_mode mlflow_experiment_name
            mlflow_tracking_uri mlflow_run_name swanlab_project swanlab_workspace
            swanlab_run_name swanlab_mode swanlab_token swanlab_exp_name eval_table_size
            log_frequency project run group teamspace metadata log_model save_logs
            checkpoint_name neptune_project
            print_param_status debug num_completions_to_print acc_strategy enable_channel_loss
            save_on_each_node loss_watchdog_threshold loss_watchdog_patience
        """,
        "packing": """
            packing neat_packing sample_packing eval_sample_packing pad_to_sequence_len
            group_by_length padding_free packing_strategy use_liger_kernel enable_liger_kernel
            remove_unused_columns use_liger_loss use_logits_to_keep eval_packing
            padding_quantile pad_to_multiple_of sample_packing_group_size sample_packing_bin_size
            cut_cross_entropy liger_rope liger_rms_norm liger_glu_activation liger_layer_norm
            liger_fused_linear_cross_entropy plugins pad_to_max_length dpo_use_logits_to_keep
        """,
        "probe": """
            flash_attn attn_impl flash_attention attn_implementation xformers_attention
            sdp_attention per_device_eval_batch_size eval_batch_size tf32 upcast_layernorm
            mixed_precision compile_model torch_compile auto_find_batch_size
            batch_size_inference gradient_checkpointing_kwargs use_reentrant_gc
            upcast_lmhead_output use_unsloth use_unsloth_gc low_cpu_mem_usage device_map
            activation_offloading average_tokens_across_devices torch_empty_cache_steps
            lora_on_cpu eager_attention flash_attn_cross_entropy flash_attn_rms_norm
            flash_attn_fuse_mlp flash_attn_fuse_qkv torch_compile_backend torch_compile_mode
            infer_backend infer_dtype use_kv_cache offload_folder quantization_device_map
            lora_dtype max_memory gpu_memory_limit xformers sdp llm_int8_has_fp16_weight
            mixed_precision_dtype use_flash_attention_2 fused foreach
            bfloat16 float16 eval_accumulation_steps use_vllm vllm_mode
            vllm_gpu_memory_utilization vllm_max_model_len vllm_tensor_parallel_size sleep_level
        """,
        "workers": """
            preprocessing_num_workers dataset_num_proc dataloader_num_workers overwrite_cache
            dataset_prepared_path dataloader_pin_memory lazy_tokenize num_workers
            number_of_workers streaming ignore_index data_seed buffer_size
            preprocessing_batch_size data_shared_file_system tokenized_path cache_dir
            dataset_streaming dataloader_persistent_workers dataloader_prefetch_factor
            dataset_processes dataset_keep_in_memory shuffle_buffer_size load_from_cache_file
            ignore_pad_token_for_loss label_pad_token_id padding_value padding_side
            dataset_kwargs dataset_batch_size download_mode dataset_shard_num dataset_shard_idx
            skip_prepare_dataset preprocess_iterable push_dataset_to_hub hf_use_auth_token
            download_dir dataloader_drop_last drop_last_batch group_by_modality_length
            pretraining_sample_concatenation
        """,
        "reference": """
            precompute_ref_log_probs precompute_ref_batch_size ref_model_quantization_bit
            model_adapter_name ref_adapter_name disable_dropout generate_during_eval
        """,
        "types": """
            model_type tokenizer_type strict dataset_info use_fast_tokenizer num_labels
            is_llama_derived_model base_model_config tokenizer_config is_falcon_derived_model
            is_mistral_derived_model is_qwen_derived_model processor_type lora_task_type
            tokenizer_use_fast tokenizer_legacy tokenizer_name tokenizer_name_or_path
            tokenizer_use_mistral_common check_model max_model_len use_fast num_classes
            validation_strategy tokenizer_dir
        """,
        "path": """
            dataset_dir use_hf access_token hf_token media_dir hf_hub_token ms_hub_token
            om_hub_token
            logging_nan_inf_filter
        """,
        "rounding": """
            quantization_method quant_method bnb_4bit_quant_type bnb_4bit_compute_dtype
            bnb_4bit_use_double_quant double_quantization quantization_type use_bnb_nested_quant
            bnb_4bit_quant_storage bnb_config_kwargs
        """,
        "vocabulary": "resize_vocab resize_token_embeddings resize_token_embeddings_to_32x",
        "processes": """
            ddp_timeout ddp_find_unused_parameters ddp_backend ddp_bucket_cap_mb
            ddp_broadcast_buffers ddp_timeout_minutes local_rank fp16_opt_level full_determinism
            master_port num_nodes find_unused_parameters
        """,
        "switch": """
            galore_target galore_update_interval galore_scale galore_rank galore_proj_type
            galore_layerwise apollo_target apollo_rank apollo_update_interval apollo_scale
            apollo_layerwise badam_mode badam_start_block badam_switch_mode
            badam_switch_interval badam_update_ratio badam_mask_mode badam_verbose
            relora_warmup_steps relora_anneal_steps pissa_iter pissa_convert lora_fan_in_fan_out
            create_new_adapter llamapro_num_new_blocks differential_learning_rate
            limit_chained_samples deepspeed_method deepspeed_allgather_bucket_size
            deepspeed_reduce_bucket_size deepspeed_stage3_prefetch_bucket_size
            deepspeed_stage3_param_persistence_threshold deepspeed_offload_optimizer
            deepspeed_stage3_max_live_parameters deepspeed_stage3_max_reuse_distance
        """,
    }
)
"""Keys for which nothing is to be set."""
NOTHING = _reasons(
    {
        "divided": """
            deepspeed fsdp fsdp_config fsdp_transformer_layer_cls_to_wrap
            fsdp_final_state_dict_type zero3_init_flag ds3_gather_for_generation
            tensor_parallel_size sequence_parallel_size sequence_parallel_degree
            context_parallel_size fsdp_version use_deepspeed
        """,
        "split": "dataset_test_split",
        "segments": "segments",
        "class_path": "class_path",
        "lora_head": "lora_head",
        "moments": """
            max_time min_lr cosine_min_lr_ratio cosine_constant_lr_ratio optim_args
        """,
        "vision": """
            finetune_vision_layers finetune_language_layers finetune_attention_modules
            finetune_mlp_modules vision_all_linear freeze_vision_tower
            freeze_multi_modal_projector freeze_vit freeze_aligner freeze_llm image_max_pixels
            image_min_pixels video_max_pixels video_min_pixels video_fps video_maxlen max_pixels
            image_do_pan_and_scan vit_gradient_checkpointing crop_to_patches audio_sampling_rate
            use_audio_in_video
        """,
        "identity": "model_author chatbot_name chatbot_author personalize",
        "samples": """
            generate_samples eval_max_new_tokens max_iters num_generation_samples eval_limit
            do_sample num_beams top_k min_p typical_p length_penalty skip_special_tokens
            num_return_sequences evaluate_example min_length_inference num_history
        """,
        "order": """
            curriculum_sampling shards data_sample_choice disable_shuffling
            dataset_shuffle train_dataloader_shuffle shuffle_dataset shuffle_merged_datasets
            val_dataset_shuffle
        """,
        "hub": """
            push_to_hub hub_model_id hub_token hub_strategy hub_private_repo
            push_to_hub_model_id push_to_hub_organization hub_always_push hub_revision
            push_to_hub_token
        """,
        "measures": "metric metric_gpt_model metric_gpt_template",
        "mixture": "interleave_probs interleave_prob stopping_strategy",
        "resume": """
            resume_from_checkpoint auto_resume_from_checkpoints resume_only_model
            ignore_data_skip load_args
        """,
        "prompt_length": """
            max_prompt_length max_prompt_len truncation_mode max_target_length
            max_length_prompt max_length_answer
        """,
        "sampling_rounds": """
            steps_per_generation generation_batch_size ppo_buffer_size mini_batch_size
            num_mini_batches local_rollout_forward_batch_size total_episodes whiten_advantages
        """,
    }
)
"""Keys without a counterpart that leave what is trained as it is."""
REFUSED = _reasons(
    {
        "rewards": """
            reward_model_adapters process_reward_model reward_adapters
            reward_model_quantization_bit
        """,
        "reward_functions": "reward_funcs external_plugins reward_processing_classes",
        "ppo_extras": """
            whiten_rewards ppo_whiten_rewards ppo_score_norm missing_eos_penalty
        """,
        "continue": """
            pretrained_weights adapter_name_or_path adapters lora_model_dir ref_adapters
            ref_model_adapters
        """,
        "method": """
            use_galore use_apollo use_badam use_llama_pro shift_attn use_mca use_adam_mini
            mixture_of_depths relora relora_steps lisa_activated_layers lisa_n_layers
            lisa_step_interval s2_attention gptq qat peft_layers_to_transform
            layers_to_transform unfrozen_parameters freeze_parameters freeze_parameters_ratio
            trainable_parameters freeze_extra_modules target_regex target_parameters
            lora_target_parameters loraplus_lr_embedding peft adapter_path
            embedding_learning_rate differential_learning_rate_layers freeze_layers
            token_mask_probability skip_parent_probability random_parent_probability
        """,
        "whole_layers": """
            modules_to_save additional_target lora_modules_to_save lora_unfreeze_layers
            force_embedding_gradients
        """,
        "chains": "parent_id_column",
        "held_out_trained": "train_validation_data",
        "other_base": """
            train_from_scratch rope_scaling rope_theta overrides_of_model_config
            overrides_of_model_kwargs model_init_kwargs reinit_weights moe_aux_loss_coef
            router_aux_loss_coef tie_embeddings model_config intermediate_dropout
        """,
        "other_loss": """
            use_dft_loss use_asft_loss use_eaft_loss pref_bco_weight ld_alpha use_weighting
            dpo_use_weighting sync_ref_model reference_free loss_weights discopop_tau
            top_entropy_quantile ce_weight kd_ce_alpha kd_alpha kd_temperature kd_trainer
            compute_loss_func
        """,
        "own_code": "custom_register_path custom_dataset_info loss_func custom_plugin",
    }
)
"""Keys without a counterpart that, where they are on, train something else."""
