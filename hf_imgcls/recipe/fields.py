"""The fields of TrainingArguments that a recipe cannot set, and the values of those whose type says too little."""

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
