"""The recipe's `training` section as TrainingArguments for this machine."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate.utils import str_to_bool
from transformers import IntervalStrategy, TrainingArguments
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from hf_imgcls.errors import InputError
from hf_imgcls.machine.hardware import cpu_trains_in_bf16, detect_machine, fill_in_defaults
from hf_imgcls.machine.processes import requested_precision, show_progress
from hf_imgcls.recipe import demanded_evaluation, value_of
from hf_imgcls.store import raise_denied

_STARTED = time.strftime("%Y%m%d-%H%M%S")
# Defaults of a recipe. Evaluation and saving go together, so that the best checkpoint can be selected.
_DEFAULTS = {
    "eval_strategy": "epoch",
    "save_strategy": "epoch",
    "metric_for_best_model": "accuracy",
    "save_total_limit": 2,
    "logging_steps": 10,
}


def training_arguments(section, half_on_cpu: Callable[[], bool] = lambda: False, **own) -> TrainingArguments:
    """TrainingArguments of a recipe's or a stage's `training` section; `own`, what the run sets itself, wins over it.

    Args:
        half_on_cpu: whether the network is faster in half precision on a CPU that has it; asked where one trains and
            neither recipe nor launcher names a precision.

    Raises:
        InputError: the machine cannot do what is asked for, or TrainingArguments refuses a combination.
    """
    given = section.model_dump(mode="json", exclude_unset=True)
    values = {**_DEFAULTS, "disable_tqdm": not show_progress()}
    values |= fill_in_defaults(detect_machine(_on_cpu(section)), given, requested_precision(), half_on_cpu)
    values |= {"remove_unused_columns": False, "label_names": ["labels"], **own}
    if not values["dataloader_num_workers"] and "dataloader_num_workers" not in given:
        # The machine has no core for workers, so what is said of them does not apply.
        for name in ("prefetch_factor", "persistent_workers", "multiprocessing_context"):
            values.pop(f"dataloader_{name}", None)
    if "load_best_model_at_end" not in given:
        evaluate, save = values["eval_strategy"], values["save_strategy"]
        values["load_best_model_at_end"] = evaluate != "no" and save in (evaluate, "best")
    _check_precision(section)
    try:
        arguments = TrainingArguments(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        unset_hf_deepspeed_config()  # else it may refuse, half made, every network of this process
        raise_denied(error)
        raise InputError(f"training: {' '.join(str(error).split())[:300]}") from None
    if "trackio" in arguments.report_to and arguments.run_name is None:
        # Known here, so that scores are sent to the run that the training was logged to; a stage is one of its own.
        arguments.run_name = "-".join([*Path(arguments.output_dir).parts[-2:], _STARTED])
    if arguments.gradient_checkpointing:
        kwargs = arguments.gradient_checkpointing_kwargs or {}
        if not isinstance(kwargs, dict):
            raise InputError("training.gradient_checkpointing_kwargs: found a string, expected a section")
        # Reentrant, torch gives no gradient to what trains behind frozen layers.
        for name in ("gradient_checkpointing_kwargs", "activation_checkpointing_kwargs"):
            setattr(arguments, name, {"use_reentrant": False, **kwargs})
    return arguments


def disable_evaluation(arguments: TrainingArguments, stage) -> None:
    """Where there is no validation split, nothing is evaluated while training and the last checkpoint is selected."""
    if key := demanded_evaluation(stage):
        raise InputError(f"{key}: there is no validation split to evaluate on (data.validation_split)")
    arguments.eval_strategy = IntervalStrategy.NO
    arguments.do_eval = arguments.load_best_model_at_end = False


def _check_precision(section) -> None:
    """fp16 and bf16 need a machine that can; accelerate would quietly train in float32, or fail late."""
    on_cpu = _on_cpu(section)
    can = value_of(section, "use_cpu", False) or cpu_trains_in_bf16()
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "no")
    for precision in ("fp16", "bf16"):
        asked = value_of(section, precision, False)
        if on_cpu and (asked or launched == precision) and not (precision == "bf16" and can):
            way = f"add training.{precision}=false" if asked else "accelerate launch --mixed_precision no"
            raise InputError(f"training.{precision}: neither GPU nor CPU here could; {way}")
    if value_of(section, "bf16", False) and torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        raise InputError("training.bf16: this GPU has no bfloat16; add training.bf16=false training.fp16=true")


def _on_cpu(section) -> bool:
    """Whether training runs on the CPU: as the recipe or the launcher asks, or because nothing else is there."""
    launched = str_to_bool(os.environ.get("ACCELERATE_USE_CPU") or "false")
    return bool(value_of(section, "use_cpu", False) or launched) or not torch.accelerator.is_available()
