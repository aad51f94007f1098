"""Settings of Trainer and accelerate that a training or a scoring changes: the schedule's, and autocast."""

import contextlib
from collections.abc import Iterator
from typing import Any

from accelerate.state import AcceleratorState
from transformers import Trainer, TrainingArguments

from hf_imgcls.recipe import Stage


def default_metric(stage: Stage, multi_label: bool) -> dict[str, str]:
    """`metric_for_best_model` of several labels an image, which have no accuracy, where the recipe names none."""
    named = "metric_for_best_model" in stage.training.model_fields_set
    return {} if named or not multi_label else {"metric_for_best_model": "map"}


def schedule_settings(arguments: TrainingArguments, steps: int) -> dict[str, Any]:
    """`lr_scheduler_kwargs`, where numbers of steps may be fractions of the training, as `warmup_steps` may."""
    given = arguments.lr_scheduler_kwargs or {}
    if arguments.lr_scheduler_type in ("reduce_lr_on_plateau", "greedy"):  # whose default is that of a loss
        given = {"mode": "max" if arguments.greater_is_better else "min", **given}
    fractions = {
        name: round(value * steps)
        for name, value in given.items()
        if name in ("num_decay_steps", "num_stable_steps") and 0 < value < 1
    }
    return {**given, **fractions}


def forget_precision(arguments: TrainingArguments) -> None:
    """Before a trainer in another precision than the one before it, which accelerate would refuse in one process."""
    if AcceleratorState._shared_state.get("_mixed_precision") not in (None, arguments.mixed_precision):
        AcceleratorState._reset_state()


@contextlib.contextmanager
def without_autocast(trainer: Trainer) -> Iterator[None]:
    """Take what accelerate wraps around the model's forward off for a while."""
    sharded = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled
    if not (sharded or trainer.accelerator._models):  # else evaluation would wrap it when this has looked for it
        trainer.accelerator.prepare_model(trainer.model, evaluation_mode=True)
    model = trainer.accelerator.unwrap_model(trainer.model)
    wrapped, original = model.__dict__.get("forward"), model.__dict__.get("_original_forward")
    if original is None:
        yield
        return
    model.forward = original
    try:
        yield
    finally:
        model.forward = wrapped
