"""Every field of the installed TrainingArguments is refused, checked by building, or harmless; none is forgotten."""

import dataclasses

import pytest
from transformers import TrainingArguments
from transformers.training_args import trainer_log_levels

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.fields import NOT_IN_A_RECIPE, VALUES
from hf_imgcls.recipe.load import load_recipe

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


def test_every_field_of_the_installed_transformers_is_classed_once():
    classes = [set(NOT_IN_A_RECIPE), set(VALUES), BUILT, HARMLESS]
    fields = {field.name for field in dataclasses.fields(TrainingArguments) if field.init}
    for name in sorted(fields):
        assert sum(name in each for each in classes) == 1, f"{name}: classify it here or in recipe/fields.py"
    assert set().union(*classes) <= fields, "a field that is gone"


def test_log_levels_are_those_of_transformers():
    assert set(VALUES["log_level"]["values"]) == set(trainer_log_levels)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("do_train", True, "the command says"),
        ("save_only_model", True, "could not resume"),
        ("use_liger_kernel", True, "language models"),
        ("prediction_loss_only", True, "no metrics"),
        ("train_sampling_strategy", "group_by_length", '"random", "sequential"|"random" or "sequential"'),
        ("log_level", "nonsense", '"debug"'),
        ("debug", "tpu_metrics_debug", "underflow_overflow"),
        ("dataloader_multiprocessing_context", "nonsense", '"spawn"'),
        ("eval_accumulation_steps", 0, "at least 1"),
        ("torch_empty_cache_steps", 0, "at least 1"),
        ("metric_for_best_model", "", "not empty"),
        ("max_steps", 0, "at least 1"),
    ],
)
def test_a_value_that_would_break_a_promise_is_refused_with_its_reason(field, value, said):
    training = {"output_dir": "run", field: value}
    with pytest.raises(InputError, match=said) as caught:
        load_recipe({"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": training})
    assert field in str(caught.value)
    assert len(str(caught.value)) < 400
