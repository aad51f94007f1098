"""The `training` section: `transformers.TrainingArguments` verbatim, made from the fields of the installed version."""

import dataclasses
import enum
import functools
import operator
import typing
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, create_model, model_validator

from hf_imgcls.recipe.sections import Section

# Fields that are not a recipe's business: hub_token is a secret, parallelism_config is a Python object, the others
# would contradict what a run does by itself.
NOT_IN_A_RECIPE = {
    "hub_token": "a token never belongs in a recipe: set HF_TOKEN or run `hf auth login`",
    "parallelism_config": "it is a Python object: say it in an accelerate configuration (recipes/launch/)",
    "resume_from_checkpoint": "an unfinished run resumes by itself from its output_dir",
}
# TrainingArguments checks almost no ranges; these are the ones that fail late or, worse, not at all.
_RANGES = {
    "learning_rate": [Ge(0)],
    "weight_decay": [Ge(0)],
    "num_train_epochs": [Gt(0)],
    "warmup_steps": [Ge(0)],
    "adam_beta1": [Ge(0), Lt(1)],
    "adam_beta2": [Ge(0), Lt(1)],
    "adam_epsilon": [Gt(0)],
    "max_grad_norm": [Ge(0)],
    "label_smoothing_factor": [Ge(0), Lt(1)],
    "per_device_train_batch_size": [Ge(1)],
    "per_device_eval_batch_size": [Ge(1)],
    "gradient_accumulation_steps": [Ge(1)],
    "dataloader_num_workers": [Ge(0)],
    "logging_steps": [Gt(0)],
    "save_steps": [Gt(0)],
    "eval_steps": [Gt(0)],
    "save_total_limit": [Ge(1)],
    "seed": [Ge(0), Le(2**32 - 1)],
    "data_seed": [Ge(0), Le(2**32 - 1)],
    "max_steps": [Ge(-1)],
    "ddp_timeout": [Ge(1)],
}


def _field_type(name: str, hint: Any) -> Any:
    """The type of a TrainingArguments field as a recipe may write it, with its range."""
    arguments = typing.get_args(hint)
    if any(isinstance(a, enum.EnumType) for a in arguments):
        # `SchedulerType | str` would accept any string: the names of the enum are what is allowed.
        hint = functools.reduce(operator.or_, [a for a in arguments if a is not str])
    for limit in _RANGES.get(name, []):
        hint = Annotated[hint, limit]
    return hint


def _fits_together(section: Section) -> Section:
    """What TrainingArguments would refuse only when it is made, on the machine that trains."""
    if section.remove_unused_columns and "remove_unused_columns" in section.model_fields_set:
        raise ValueError("remove_unused_columns must be false: images are read from the columns it removes")
    if section.fp16 and section.bf16:
        raise ValueError("fp16 and bf16 exclude each other")
    if section.load_best_model_at_end:
        evaluate, save = (value_of(section, key, "epoch") for key in ("eval_strategy", "save_strategy"))
        if save != "best" and evaluate != save:
            raise ValueError(
                f"load_best_model_at_end needs eval_strategy and save_strategy to be the same, "
                f"found {evaluate} and {save}"
            )
    return section


def value_of(section: Section, key: str, silent: Any) -> Any:
    """A key's value as plain JSON, or `silent` where the recipe does not mention it."""
    value = getattr(section, key) if key in section.model_fields_set else silent
    return value.value if isinstance(value, enum.Enum) else value


@functools.cache
def training_section() -> type[Section]:
    """The pydantic model of `TrainingArguments`, without instantiating it (which would touch the devices)."""
    from transformers import TrainingArguments

    hints = typing.get_type_hints(TrainingArguments)
    fields = {}
    for field in dataclasses.fields(TrainingArguments):
        if field.name in NOT_IN_A_RECIPE or not field.init:
            continue
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        kinds = [a for a in typing.get_args(hints[field.name]) if isinstance(a, enum.EnumType)]
        default = kinds[0](default) if kinds and default in list(kinds[0]) else default
        help_text = " ".join((field.metadata.get("help") or "").split())
        described = Field(default, description=help_text or None)
        fields[field.name] = (_field_type(field.name, hints[field.name]), described)
    fields["output_dir"] = (
        str,
        Field(min_length=1, description="Run folder: checkpoints, the model, its metrics and its card."),
    )
    validators = {"fits_together": model_validator(mode="after")(_fits_together)}
    return create_model("TrainingSection", __base__=Section, __validators__=validators, **fields)


# A stage takes these from the run: there is one folder, one launch and one push.
_OF_THE_RUN = ("output_dir", "push_to_hub", "hub_", "use_cpu", "ddp_", "fsdp", "deepspeed", "accelerator_config")


@functools.cache
def stage_training_section() -> type[Section]:
    """The keys of `training` that a stage may say for itself."""
    own = {
        name: (field.annotation, field)
        for name, field in training_section().model_fields.items()
        if not name.startswith(_OF_THE_RUN)
    }
    return create_model("StageTrainingSection", __base__=Section, **own)
