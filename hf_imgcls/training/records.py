"""The record of a stage: what results.json, the card and the curves know of it; and which of two stages is better."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel, TrainerState, TrainingArguments

from hf_imgcls.errors import InputError
from hf_imgcls.models import count_parameters
from hf_imgcls.recipe import LastBlocks, Lora, Stage, Trained


def stage_record(
    stage: Stage, arguments: TrainingArguments, model: PreTrainedModel, state: TrainerState, seconds: float
) -> dict[str, Any]:
    """What a stage did, ready for JSON; the model is frozen as the stage had it."""
    chosen = arguments.load_best_model_at_end or stage.logistic_regression
    return {
        "stage": stage.number,
        "train": _as_json(stage.train),
        "seed": arguments.seed,
        "optimizer": stage.optimizer.model_dump(exclude_unset=True),
        "cache_features": stage.cache_features,
        "views": stage.views,
        "logistic_regression": stage.logistic_regression,
        "sampling": stage.sampling.model_dump(exclude_unset=True),
        "distillation": stage.distillation.model_dump(exclude_unset=True),
        "ema_decay": stage.averaging.ema_decay,
        "parameters": count_parameters(model),
        "trained_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "seconds": seconds,
        "steps": state.global_step,
        "epochs": state.epoch,
        "best_step": state.best_global_step,
        "best_metric": state.best_metric,
        "selected_checkpoint": "best" if chosen else "last",
        "history": [{"stage": stage.number, **entry} for entry in state.log_history],
    }


def _as_json(train: Trained):
    return train.model_dump(exclude_unset=True) if isinstance(train, LastBlocks | Lora) else train


def is_better(record: dict, before: dict, arguments: TrainingArguments) -> bool:
    """Whether the best step of a stage is better on validation than that of the stage before."""
    key = metric_key(arguments)
    new, old = (_at(each, each["best_step"], key) for each in (record, before))
    if new is None or old is None:
        raise InputError(f"only_if_better: one of the two stages has no {key.removeprefix('eval_')} on validation")
    return new > old if arguments.greater_is_better else new < old


def metric_key(arguments: TrainingArguments) -> str:
    """The key in a history of the metric that selects checkpoints."""
    return f"eval_{(arguments.metric_for_best_model or 'loss').removeprefix('eval_')}"


def _at(record: dict, step: int | None, key: str) -> float | None:
    return next((e[key] for e in record["history"] if e["step"] == step and key in e), None)


def ended_with(records: Sequence[dict]) -> int:
    """Number of the stage whose weights a run ends with: where later ones were not better, one before the last."""
    number = len(records)
    while (kept := records[number - 1]["selected_checkpoint"]).startswith("stage "):
        number = int(kept.removeprefix("stage "))
    return number


def outcome(records: Sequence[dict], arguments: TrainingArguments) -> float | None:
    """The metric on validation of the weights that a training ends with; None where they were not evaluated.

    Args:
        arguments: of the last stage.
    """
    record, key = records[ended_with(records) - 1], metric_key(arguments)
    last = next((e["step"] for e in reversed(record["history"]) if key in e), None)
    return _at(record, record["best_step"] if record["selected_checkpoint"] == "best" else last, key)
