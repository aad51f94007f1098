"""What others call a setting (timm, fastai, Ultralytics, Keras, AutoGluon), and the key that it is here."""

_NONE = "there is no such setting"
_SAME = {
    "training.num_train_epochs": "epochs num_epochs n_epochs epoch max_epochs n_epoch",
    "training.learning_rate": "lr lr0 base_lr init_lr lr_max max_lr blr",
    "training.per_device_train_batch_size": "batch_size batch bs train_batch_size per_gpu_batch_size",
    "training.per_device_eval_batch_size": "validation_batch_size val_batch_size eval_batch_size",
    "training.dataloader_num_workers": "workers num_workers n_workers dataloader_workers",
    "training.weight_decay": "wd decay",
    "training.optim": "opt optimizer optimiser",
    "training.optim_args": "momentum betas opt_eps opt_betas nesterov",
    "training.lr_scheduler_type": "sched scheduler lr_scheduler schedule cos_lr",
    "training.warmup_steps": "warmup_epochs warmup warmup_ratio warmup_lr",
    "training.label_smoothing_factor": "label_smoothing smoothing",
    "training.max_grad_norm": "clip_grad clipnorm gradient_clip_val grad_clip clip clip_norm",
    "training.gradient_accumulation_steps": "accum_steps accumulate grad_accum accumulate_grad_batches",
    "training.seed": "seed random_seed random_state",
    "training.output_dir": "save_dir output output_folder checkpoint_dir log_dir project save_path out_dir output_path",
    "training.metric_for_best_model": "monitor eval_metric metric",
    "training.save_steps": "save_period checkpoint_hist",
    "training.use_cpu": "device cpu no_cuda",
    "training.torch_compile": "compile torchcompile",
    "training.report_to": "log_wandb wandb tracker logger",
    "training.max_steps": "steps_per_epoch total_steps num_steps iterations",
    "data.path": "data_dir dataset data_path train_dir root dataset_path images folder",
    "data.validation_fraction": "val_split valid_pct holdout_frac validation_split_ratio val_fraction",
    "data.validation_split": "val_dir valid_name val_name",
    "data.max_samples": "subset limit_train_batches",
    "data.label_column": "label_col y_col target",
    "data.image_column": "fn_col x_col image_col",
    "data.label_names": "class_names classes names class_map",
    "model.checkpoint": "model_name pretrained weights model_name_or_path arch backbone checkpoint_path",
    "model.image_size": "imgsz img_size input_size item_size target_size resolution crop_pct",
    "model.head.dropout": "drop dropout drop_rate ps",
    "model.from_scratch": "scratch",
    "augmentation.train": "augment aa auto_augment hflip vflip reprob color_jitter batch_tfms item_tfms fliplr degrees",
    "augmentation.mix": "mixup cutmix mixup_alpha cutmix_alpha mixup_prob",
    "calibration.temperature_scaling": "temperature calibrate calibration temperature_scale",
    "averaging.ema_decay": "ema model_ema ema_model model_ema_decay swa",
    "loss.class_weights": "class_weight weights_per_class class_weighting",
    "loss.focal_gamma": "focal_loss focal gamma focal_loss_gamma",
    "loss.logit_adjustment": "logit_adjust la_tau balanced_softmax",
    "sampling.balance": "oversample oversampling weighted_sampler balanced_sampler class_balanced sampler",
    "augmentation.repeats": "aug_repeats repeated_aug num_aug_repeats aug_splits",
    "data.long_tail": "imb_factor imbalance_ratio imbalance_factor",
    "optimizer.layer_decay": "layer_decay layerwise_lr_decay layer_lr_decay llrd lr_decay_rate",
    "optimizer.learning_rates": "lr_mult paramwise_cfg param_groups backbone_lr head_lr lr_mults lr_choice",
    "stages": "freeze unfreeze freeze_epochs freeze_layers frozen last_layer fine_tune base_lr_mult freeze_backbone",
    "stages.N.early_stopping.patience": "patience early_stop early_stopping_patience early_stopping",
}
_KEYS = (
    "storage_options credentials aws_access_key_id aws_secret_access_key aws_session_token secret anon endpoint_url "
    "client_kwargs"
)
_SAID = {
    **dict.fromkeys(_KEYS.split(), "credentials and endpoints come from the environment (docs/data.md#object-storage)"),
    "num_classes": "the classes come from the data",
    "nc": "the classes come from the data",
    "resume": "an unfinished run resumes by itself from its training.output_dir",
    "amp": "it is training.fp16 or training.bf16",
    "precision": "it is training.fp16 or training.bf16",
    "mixed_precision": "it is training.fp16 or training.bf16",
    "half": "it is training.fp16 or training.bf16",
    "drop_path": "it is a setting of the model: model.config, such as drop_path_rate",
    "drop_path_rate": "it is a setting of the model: model.config.drop_path_rate, where the architecture has it",
    "loss": "the loss is cross-entropy; loss.class_weights, loss.focal_gamma and loss.logit_adjustment change it",
    "loss_fn": "the loss is cross-entropy; a loss of your own is given from Python (docs/python.md)",
    "metrics": "accuracy, F1 and others are always computed; more are given from Python (docs/python.md)",
    "callbacks": "early stopping is stages.N.early_stopping; others are not taken",
    "time_limit": f"{_NONE}; training.max_steps or training.num_train_epochs bound a run",
    "presets": f"{_NONE}; hf-imgcls recipes lists recipes to start from",
    "mean": "it is model.processor.image_mean; left out, a checkpoint's own stays",
    "std": "it is model.processor.image_std; left out, a checkpoint's own stays",
    "gpus": "accelerate launch chooses the devices (docs/distributed.md)",
    "verbose": "it is training.disable_tqdm and training.logging_steps",
}
WORDS = {word: f"it is {key}" for key, words in _SAME.items() for word in words.split()} | _SAID


def known_elsewhere(word: str) -> str:
    """`; in a recipe it is training.num_train_epochs` for the name that another tool has, or nothing."""
    said = WORDS.get(word.lower().replace("-", "_").lstrip("_"))
    return f"; in a recipe {said}" if said else ""
