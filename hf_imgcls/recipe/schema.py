"""The whole recipe: its sections, checks across them, its stages, and the JSON schema."""

import functools
import json
from importlib import metadata
from typing import NamedTuple

from pydantic import Field, ValidationError, create_model, model_validator

from hf_imgcls.recipe.installed import installed
from hf_imgcls.recipe.sections import (
    AugmentationSection,
    DataSection,
    EarlyStopping,
    LossSection,
    ModelSection,
    Section,
    Trained,
)
from hf_imgcls.recipe.training_fields import stage_training_section, training_section, value_of
from hf_imgcls.recipe.transforms import MIXES


class Stage(NamedTuple):
    """One stage of a run, with the recipe's settings for it.

    Attributes:
        number: from 1.
        train: which parameters train.
        training: the recipe's `training` section with the stage's overrides.
        listed: whether the recipe lists stages; if not, the run is one stage in the run folder itself.
    """

    number: int
    train: Trained
    cache_features: bool
    early_stopping: EarlyStopping | None
    augmentation: AugmentationSection
    training: Section
    listed: bool


def stages_of(recipe: Section) -> list[Stage]:
    """The stages of a recipe; a single one that trains all parameters if it lists none."""
    if not recipe.stages:
        return [Stage(1, "all", False, None, recipe.augmentation, recipe.training, False)]
    return [
        Stage(
            number,
            stage.train,
            stage.cache_features,
            stage.early_stopping,
            recipe.augmentation if stage.augmentation is None else stage.augmentation,
            _merged(recipe.training, stage.training),
            True,
        )
        for number, stage in enumerate(recipe.stages, 1)
    ]


def _merged(training: Section, own: Section) -> Section:
    base, overrides = (section.model_dump(mode="json", exclude_unset=True) for section in (training, own))
    return training_section().model_validate_json(json.dumps({**base, **overrides}))


@functools.cache
def stage_section() -> type[Section]:
    """The pydantic model of a stage."""
    return create_model(
        "StageSection",
        __base__=Section,
        train=(
            Trained,
            Field("all", description='Parameters to train: "all", "head", {"last_blocks": n}, or regular expressions.'),
        ),
        cache_features=(
            bool,
            Field(False, description="Cache the frozen backbone's features and train the head on them."),
        ),
        early_stopping=(EarlyStopping | None, Field(None, description=EarlyStopping.__doc__)),
        augmentation=(
            AugmentationSection | None,
            Field(None, description="Replaces the recipe's augmentation in this stage; {}: none."),
        ),
        training=(
            stage_training_section(),
            Field(stage_training_section()(), description="Overrides of the recipe's training section in this stage."),
        ),
    )


@functools.cache
def recipe_model() -> type[Section]:
    """The pydantic model of a whole recipe."""
    return create_model(
        "Recipe",
        __base__=Section,
        __validators__={"fits_together": model_validator(mode="after")(_fits_together)},
        schema_=(str | None, Field(None, alias="$schema", description="JSON schema, for editors; not used by a run.")),
        description=(str | None, Field(None, description="One line on what the recipe trains.")),
        data=(DataSection, Field(description=DataSection.__doc__)),
        model=(ModelSection, Field(description=ModelSection.__doc__)),
        augmentation=(AugmentationSection, Field(AugmentationSection(), description=AugmentationSection.__doc__)),
        loss=(LossSection, Field(LossSection(), description=LossSection.__doc__)),
        stages=(
            list[stage_section()],
            Field([], description="Stages in order; each starts from the weights of the one before."),
        ),
        training=(
            training_section(),
            Field(description="transformers.TrainingArguments, key by key; output_dir is the run folder."),
        ),
    )


def _fits_together(recipe: Section) -> Section:
    for number, stage in enumerate(recipe.stages):
        try:
            _merged(recipe.training, stage.training)
        except ValidationError as error:
            raise ValueError(f"stages.{number}.training: {error.errors()[0]['ctx']['error']}") from None
    for stage in stages_of(recipe):
        _stage_fits(recipe, stage, f"stages.{stage.number - 1}" if stage.listed else "")
    return recipe


def _stage_fits(recipe: Section, stage: Stage, key: str) -> None:
    if recipe.data.streaming and stage.training.max_steps < 1:
        raise ValueError(
            "training.max_steps: missing; needed with data.streaming, where the length of an epoch is unknown"
        )
    if stage.early_stopping and value_of(stage.training, "eval_strategy", "epoch") == "no":
        raise ValueError(f"{key}.early_stopping: needs an evaluation, but training.eval_strategy is no")
    if not stage.cache_features:
        return
    if stage.train != "head":
        raise ValueError(f'{key}.cache_features: needs "train": "head"; features change where the backbone trains')
    if recipe.data.streaming:
        raise ValueError(f"{key}.cache_features: cannot be combined with data.streaming")
    if stage.augmentation.mix:
        raise ValueError(
            f"{key}.cache_features: cannot be combined with augmentation.mix; give the stage an "
            '"augmentation" of its own: {}'
        )


def json_schema() -> dict:
    """JSON schema for editors; `$comment` names the versions of the packages it describes."""
    schema = recipe_model().model_json_schema()
    schema["$comment"] = ", ".join(f"{name} {metadata.version(name)}" for name in ("transformers", "torchvision"))
    schema["title"] = "hf_imgcls recipe"
    schema["$defs"]["TrainingSection"]["description"] = "transformers.TrainingArguments"
    schema["$defs"]["StageTrainingSection"]["description"] = (
        "the keys of transformers.TrainingArguments that a stage may override"
    )
    for key, names in {"train": installed()["transforms"], "mix": MIXES}.items():
        schema["$defs"]["AugmentationSection"]["properties"][key]["items"] = _transform_schema(sorted(names))
    return schema


def _transform_schema(names: list[str]) -> dict:
    return {
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
