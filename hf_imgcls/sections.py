"""What a recipe may say: its sections, their keys and types, and the JSON schema.

Every key has one owner and an unknown key is an error. The `training` section is `transformers.TrainingArguments`
verbatim: its model is made from the fields of the installed version.
"""

import dataclasses
import enum
import functools
import operator
import typing
from importlib import metadata
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, create_model, model_validator


class Section(BaseModel):
    """A part of a recipe: no conversion between types, no unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, protected_namespaces=())


class PerSplit(Section):
    """One number for each split; a split that is left out is not limited."""

    train: PositiveInt | None = None
    validation: PositiveInt | None = None
    test: PositiveInt | None = None


class DataSection(Section):
    """Where the pictures come from and how they are split."""

    path: str = Field(
        min_length=1,
        description="A Hub id, a folder of class folders, a CSV, JSON Lines, Parquet or WebDataset file or folder, "
        "or a saved Dataset. Local paths are relative to the working directory.",
    )
    name: str | None = Field(None, description="Configuration of a Hub dataset.")
    revision: str | None = Field(None, description="Branch, tag or commit of a Hub dataset.")
    image_column: str | None = Field(None, description="Name of the image column; found by its type if left out.")
    label_column: str | None = Field(None, description="Name of the label column; found by its type if left out.")
    label_names: list[str] | None = Field(None, description="Class names in the order of their integer labels.")
    train_split: str | None = Field(None, description="Split to train on, slices allowed: train[:5000].")
    validation_split: str | Literal[False] | None = Field(
        None, description="Split that chooses the best model; false, or none in the source: a stratified part of train."
    )
    test_split: str | Literal[False] | None = Field(
        None, description="Split that is scored once at the end; false: none, even if the source has one."
    )
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="Share of train that becomes the validation split where none exists."
    )
    test_fraction: float | None = Field(
        None, gt=0, lt=1, description="Share of train that becomes the test split where none exists."
    )
    max_samples: PerSplit = Field(PerSplit(), description="At most so many pictures a split, stratified.")
    samples_per_class: PerSplit = Field(PerSplit(), description="Exactly so many pictures of each class a split.")
    seed: int = Field(42, ge=0, description="Seed of every choice of rows; training.seed leaves the splits alone.")
    bad_images: Literal["drop", "raise"] = Field("drop", description="What is done about unreadable pictures.")
    streaming: bool = Field(False, description="Read while training; needs training.max_steps and label names.")
    shuffle_buffer: PositiveInt = Field(1000, description="Pictures held for shuffling a stream.")


class ModelSection(Section):
    """Which network, and where its weights come from."""

    checkpoint: str | None = Field(
        None, min_length=1, description="Hub id or folder of a transformers or timm image model."
    )
    architecture: str | None = Field(
        None,
        min_length=1,
        description='Architecture to train from scratch: "resnet", "vit", "timm/resnet18".',
    )
    from_scratch: bool = Field(False, description="Take the configuration only, no weights.")
    revision: str | None = Field(None, description="Branch, tag or commit of the checkpoint.")
    image_size: PositiveInt | None = Field(
        None, description="Side of the square input in pixels; the processor's own if left out."
    )
    config: dict[str, Any] = Field({}, description="Overrides of the model's configuration.")

    @model_validator(mode="after")
    def _one_origin(self):
        if (self.checkpoint is None) == (self.architecture is None):
            raise ValueError("needs exactly one of checkpoint and architecture")
        if self.architecture is not None and not self.from_scratch:
            raise ValueError("architecture needs from_scratch: true (a checkpoint brings its own)")
        return self


Transform = str | dict[str, dict[str, Any]]


class AugmentationSection(Section):
    """What happens to a training picture; evaluation always runs the saved processor."""

    train: list[Transform] = Field(
        [], description="torchvision.transforms.v2 classes by name, with their own arguments, in this order."
    )


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
        raise ValueError("remove_unused_columns must be false: pictures are read from the columns it removes")
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


def _stream_has_a_budget(recipe: Section) -> Section:
    if recipe.data.streaming and recipe.training.max_steps < 1:
        raise ValueError("training.max_steps: missing; a stream (data.streaming) does not tell when an epoch ends")
    return recipe


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
    fields["output_dir"] = (str, Field(min_length=1, description="The run: where it and its model are written."))
    validators = {"fits_together": model_validator(mode="after")(_fits_together)}
    return create_model("TrainingSection", __base__=Section, __validators__=validators, **fields)


@functools.cache
def recipe_model() -> type[Section]:
    """The pydantic model of a whole recipe."""
    return create_model(
        "Recipe",
        __base__=Section,
        __validators__={"stream_has_a_budget": model_validator(mode="after")(_stream_has_a_budget)},
        schema_=(str | None, Field(None, alias="$schema")),
        description=(str | None, Field(None, description="What this recipe is for, in a line.")),
        data=(DataSection, Field(description=DataSection.__doc__)),
        model=(ModelSection, Field(description=ModelSection.__doc__)),
        augmentation=(
            AugmentationSection,
            Field(AugmentationSection(), description=AugmentationSection.__doc__),
        ),
        training=(training_section(), Field(description="transformers.TrainingArguments; output_dir is the run.")),
    )


def json_schema() -> dict:
    """The schema an editor completes and checks recipes with; `$comment` names the versions it describes."""
    schema = recipe_model().model_json_schema()
    schema["$comment"] = ", ".join(f"{name} {metadata.version(name)}" for name in ("transformers", "torchvision"))
    schema["title"] = "hf_imgcls recipe"
    schema["$defs"]["TrainingSection"]["description"] = "transformers.TrainingArguments"
    names = sorted(transform_names())
    schema["$defs"]["AugmentationSection"]["properties"]["train"]["items"] = {
        "anyOf": [
            {"type": "string", "enum": names},
            {
                "type": "object",
                "propertyNames": {"enum": names},
                "additionalProperties": {"type": "object"},
                "minProperties": 1,
                "maxProperties": 1,
            },
        ]
    }
    return schema


@functools.cache
def transform_names() -> frozenset[str]:
    """Names of the transforms that torchvision has, without its abstract base."""
    from torchvision.transforms import v2

    classes = {name: value for name, value in vars(v2).items() if isinstance(value, type)}
    return frozenset(n for n, c in classes.items() if issubclass(c, v2.Transform) and c is not v2.Transform)
