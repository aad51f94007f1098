"""The `training` section: `transformers.TrainingArguments` of the installed version, key by key."""

import functools
from typing import Annotated, Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field, create_model, model_validator

from hf_imgcls.recipe.installed import as_type, installed
from hf_imgcls.recipe.sections import Section

# TrainingArguments fields that a recipe cannot set, and what to do instead.
NOT_IN_A_RECIPE = {
    "hub_token": "a token never belongs in a recipe: set HF_TOKEN or run `hf auth login`",
    "parallelism_config": "it is a Python object: set it in a configuration for `accelerate launch`",
    "resume_from_checkpoint": "an unfinished run resumes by itself from its output_dir",
}
# TrainingArguments checks almost no ranges; these values would fail late or, worse, not at all.
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


def _fits_together(section: Section) -> Section:
    """Combinations that TrainingArguments would refuse only when it is created, on the machine that trains."""
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
    """The value of a key, or `silent` where the recipe does not mention it."""
    return getattr(section, key) if key in section.model_fields_set else silent


@functools.cache
def training_section() -> type[Section]:
    """The pydantic model of the `training` section."""
    fields = {}
    for name, field in installed()["training"].items():
        if name not in NOT_IN_A_RECIPE:
            described = Field(description=field["help"] or None)
            fields[name] = (Annotated[as_type(field["type"]), *_RANGES.get(name, []), described], field["default"])
    fields["output_dir"] = (
        str,
        Field(min_length=1, description="Run folder: checkpoints, the model, its metrics and its card."),
    )
    validators = {"fits_together": model_validator(mode="after")(_fits_together)}
    return create_model("TrainingSection", __base__=Section, __validators__=validators, **fields)


# A stage cannot override these: there is one folder, one launch and one push per run.
_OF_THE_RUN = ("output_dir", "push_to_hub", "hub_", "use_cpu", "ddp_", "fsdp", "deepspeed", "accelerator_config")


@functools.cache
def stage_training_section() -> type[Section]:
    """The keys of `training` that a stage may override."""
    own = {
        name: (field.annotation, field)
        for name, field in training_section().model_fields.items()
        if not name.startswith(_OF_THE_RUN)
    }
    return create_model("StageTrainingSection", __base__=Section, **own)
