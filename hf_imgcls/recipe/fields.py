"""The fields of TrainingArguments: those that a recipe cannot set, refused values, and how the others are checked."""

_TOKENS = "it is for language models: leave it out"
_COMMAND = "the command says what is done (train, evaluate, predict): leave it out"
# Fields that a recipe cannot set, and what to do instead.
NOT_IN_A_RECIPE = {
    "hub_token": "a token never belongs in a recipe: set HF_TOKEN or run `hf auth login`",
    "parallelism_config": "it is a Python object: set it in a configuration for `accelerate launch`",
    "resume_from_checkpoint": "an unfinished run resumes by itself from its output_dir",
    "local_rank": "the launcher sets it: leave it out",
    **dict.fromkeys(("do_train", "do_eval", "do_predict"), _COMMAND),
    **dict.fromkeys(("neftune_noise_alpha", "use_liger_kernel", "liger_kernel_config", "use_cache"), _TOKENS),
    "include_num_input_tokens_seen": _TOKENS,
    "optim_target_modules": "it is for GaLore and APOLLO, which are for language models: leave it out",
    "label_names": "data.label_column is the column of labels, data.label_names the names of the classes",
    "length_column_name": "images have no lengths: leave it out",
    "prediction_loss_only": "without predictions there are no metrics: leave it out",
    "batch_eval_metrics": "metrics are computed over the whole split: leave it out",
    "include_for_metrics": "metrics are computed from predictions and labels: leave it out",
    "eval_do_concat_batches": "a run sets it by itself: leave it out",
    "eval_use_gather_object": "what is evaluated are tensors, which need no pickling: leave it out",
    "restore_callback_states_from_checkpoint": "a resumed run restores them by itself: leave it out",
    "ignore_data_skip": "a resumed run would train again on images of the interrupted epoch: leave it out",
    "enable_jit_checkpoint": "every run saves a checkpoint on SIGTERM, Ctrl-C and SIGUSR1: leave it out",
    "save_only_model": "an interrupted run could not resume; save_total_limit bounds what checkpoints take",
    "auto_find_batch_size": (
        "another batch size is another training: set per_device_train_batch_size, with gradient_accumulation_steps "
        "for the same step"
    ),
}
_LOG_LEVELS = ["detail", "debug", "info", "warning", "error", "critical", "passive"]
# The only values of fields whose type allows any string, as `installed()` describes types.
VALUES = {
    "log_level": {"values": _LOG_LEVELS},
    "log_level_replica": {"values": _LOG_LEVELS},
    # group_by_length and batch_rebalance are for texts, and would evaluate in another order.
    "train_sampling_strategy": {"values": ["random", "sequential"]},
    "dataloader_multiprocessing_context": [{"values": ["fork", "forkserver", "spawn"]}, "NoneType"],
    "debug": [{"values": ["", "underflow_overflow"]}, {"list": {"values": ["underflow_overflow"]}}],
}
# Checked by building what they describe: TrainingArguments, the accelerator, callbacks, optimizer, schedule, loader.
BUILT = {
    "output_dir", "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "optim_args",
    "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "gradient_accumulation_steps", "bf16", "fp16",
    "bf16_full_eval", "fp16_full_eval", "tf32", "activation_checkpointing", "activation_checkpointing_kwargs",
    "gradient_checkpointing", "gradient_checkpointing_kwargs", "torch_compile", "torch_compile_backend",
    "torch_compile_mode", "logging_strategy", "logging_steps", "report_to", "eval_strategy", "eval_steps",
    "save_strategy", "save_steps", "push_to_hub", "hub_model_id", "load_best_model_at_end",
    "metric_for_best_model", "greater_is_better", "full_determinism", "use_cpu", "accelerator_config",
    "dataloader_drop_last", "dataloader_num_workers", "dataloader_pin_memory", "dataloader_persistent_workers",
    "dataloader_prefetch_factor", "remove_unused_columns", "ddp_backend", "ddp_timeout", "fsdp", "fsdp_config",
    "deepspeed", "hub_strategy",
}  # fmt: skip
# Any value of their type and range trains as it says, or changes nothing but what is printed or where a log goes.
HARMLESS = {
    "per_device_train_batch_size", "num_train_epochs", "max_steps", "average_tokens_across_devices", "max_grad_norm",
    "label_smoothing_factor", "torch_empty_cache_steps", "logging_first_step", "log_on_each_node",
    "logging_nan_inf_filter", "disable_tqdm", "run_name", "project", "trackio_space_id", "trackio_bucket_id",
    "trackio_static_space_id", "eval_delay", "per_device_eval_batch_size", "eval_on_start", "eval_accumulation_steps",
    "save_on_each_node", "save_total_limit", "hub_private_repo", "hub_always_push", "hub_revision", "seed",
    "data_seed", "dataloader_in_order", "ddp_find_unused_parameters", "ddp_bucket_cap_mb", "ddp_broadcast_buffers",
    "ddp_static_graph", "skip_memory_metrics",
}  # fmt: skip
