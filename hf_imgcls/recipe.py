"""What a recipe may say: typed sections, loading, overrides, errors and the JSON schema.

A recipe is a JSON file of sections; every key has one owner and an unknown key is an error. The `training`
section is `transformers.TrainingArguments` verbatim: its model is made from the fields of the installed version.
"""

import dataclasses
import difflib
import enum
import functools
import json
import operator
import re
import typing
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, create_model, model_validator


class InputError(ValueError):
    """Something a person can mend: shown as one line, exit status 2, never with a traceback."""


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
_NOT_IN_A_RECIPE = {
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
        if field.name in _NOT_IN_A_RECIPE or not field.init:
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


def load_recipe(source: str | Path | dict, overrides: typing.Iterable[str] = ()):
    """Read a recipe and apply `section.key=value` overrides.

    Args:
        source: a JSON file, or the recipe itself as a dictionary.
        overrides: `section.key=value`; the value is JSON, or else a string. A number in the path is a position
            in a list: `augmentation.train.0.RandomResizedCrop.size=160`.

    Returns:
        A frozen object with `data`, `model`, `augmentation` and `training`.

    Raises:
        InputError: names the file, the key, what was found and the nearest right spelling.
    """
    content, where = (source, "recipe") if isinstance(source, dict) else (_read(Path(source)), str(source))
    content = json.loads(json.dumps(content))
    texts = dict(_apply(content, override) for override in overrides)
    try:
        return recipe_model().model_validate_json(json.dumps(content))
    except ValidationError as error:
        wanted_text = [tuple(map(str, e["loc"])) for e in error.errors() if e["type"] == "string_type"]
    for path in set(wanted_text) & texts.keys():  # data.path=2024 is a folder, not a number
        _set(content, path, texts[path])
    try:
        return recipe_model().model_validate_json(json.dumps(content))
    except ValidationError as error:
        raise InputError(f"{where}: {_one_line(error, content)}") from None


def as_run(recipe) -> dict:
    """The recipe with its overrides applied: exactly the keys that were said."""
    return json.loads(recipe.model_dump_json(exclude_unset=True, by_alias=True))


def _read(path: Path) -> dict:
    if path.is_dir():
        raise InputError(f"{path}: a folder, not a recipe; name a JSON file in it")
    if not path.is_file():
        near = nearest(path.name, [p.name for p in path.parent.glob("*.json")] if path.parent.is_dir() else [])
        raise InputError(f"{path}: no such recipe{near}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_no_duplicates)
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a JSON file (it is not UTF-8 text)") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a recipe is a JSON object of sections, found {_kind(content)}")
    return content


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict:
    seen = dict(pairs)
    if len(seen) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f'the key "{twice}" stands twice in one section')
    return seen


_PYTHON_WORDS = {"True": True, "False": False, "None": None}


def _apply(content: dict, override: str) -> tuple[tuple[str, ...], str]:
    """Set one override in place; returns its path and the text of its value."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise InputError(f"override {override!r}: expected section.key=value, such as training.learning_rate=1e-4")
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = _PYTHON_WORDS.get(text, text)
    keys = tuple(path.split("."))
    _set(content, keys, value)
    return keys, text


def _set(content: dict, keys: tuple[str, ...], value: Any) -> None:
    place, dotted = content, ".".join(keys)
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(place, list):
            if not key.isdigit() or int(key) >= len(place):
                raise InputError(f"override {dotted}: {key!r} is no position in a list of {len(place)}")
            key = int(key)
        elif not isinstance(place, dict):
            raise InputError(f"override {dotted}: {'.'.join(keys[:depth])} holds a value, not a section")
        if last:
            place[key] = value
        else:
            place = place[key] if isinstance(place, list) else place.setdefault(key, {})


def nearest(word: str, known: typing.Iterable[str]) -> str:
    """`; did you mean "x"?` for the nearest spelling, or nothing."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    close = [name for name in known if len(word) > 2 and name.startswith(word)] or close
    return f'; did you mean "{close[0]}"?' if close else ""


def _kind(value: Any) -> str:
    kinds = {dict: "a section", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    name = kinds.get(type(value), "a number")
    return name if isinstance(value, dict | list | type(None)) else f"{json.dumps(value)} ({name})"


def _one_line(error: ValidationError, content: dict) -> str:
    problems = error.errors()
    lines = list(dict.fromkeys(_describe(problem, content, problems) for problem in problems))
    rest = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return lines[0] + rest


def _describe(problem: dict, content: Any, problems: list[dict]) -> str:
    """One problem: the key, what was found, what is expected."""
    keys, place = [], content
    for part in problem["loc"]:  # pydantic adds the branch of a union to the location: only real keys are shown
        known = range(len(place)) if isinstance(place, list) else place if isinstance(place, dict) else ()
        if part in known:
            place = place[part]
        elif problem["type"] != "missing" or part != problem["loc"][-1]:
            break
        keys.append(str(part))
    key = ".".join(keys)
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "extra_forbidden":
        return _unknown_key(keys)
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
    branches = [p for p in problems if tuple(map(str, p["loc"][: len(keys)])) == tuple(keys)]
    allowed = [name for branch in branches for name in re.findall(r"'([^']*)'", branch["msg"])]
    near = nearest(place, allowed) if isinstance(place, str) else ""
    if near and len(allowed) > 12:
        return f"{key}: found {_kind(place)}, which is none of the {len(allowed)} values allowed{near}"
    expected = " or ".join(dict.fromkeys(_expected(p) for p in branches if p["type"] != "extra_forbidden"))
    return f"{key}: found {_kind(place)}, expected {expected}{near}"


def _expected(problem: dict) -> str:
    plain = {
        "list_type": "a list",
        "dict_type": "a section",
        "model_type": "a section",
        "string_type": "a string",
    }
    message = problem["msg"].removeprefix("Input should be ").replace("'", '"').replace("a valid ", "a ")
    return plain.get(problem["type"], message.replace("an object", "a section"))


def _unknown_key(keys: list[str]) -> str:
    section, key = recipe_model(), keys[-1]
    for name in keys[:-1]:
        section = section.model_fields[name].annotation
    if key in _NOT_IN_A_RECIPE:
        return f"{'.'.join(keys)}: {_NOT_IN_A_RECIPE[key]}"
    owners = [n for n, f in recipe_model().model_fields.items() if key in _keys_of(f.annotation)]
    hint = nearest(key, _keys_of(section))
    if not hint and owners:
        hint = f'; "{key}" belongs in "{owners[0]}"'
    return f"{'.'.join(keys)}: unknown key{hint}"


def _keys_of(section: Any) -> list[str]:
    if not (isinstance(section, type) and issubclass(section, BaseModel)):
        return []
    return [field.alias or name for name, field in section.model_fields.items()]
