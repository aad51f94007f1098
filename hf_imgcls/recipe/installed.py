"""What a recipe may say that depends on the installed packages: their settings, transforms and architectures.

Asking the packages takes seconds, since they import torch: the answers are cached as JSON, a file per set of versions.
"""

import dataclasses
import enum
import functools
import inspect
import operator
import types
import typing
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from hf_imgcls.errors import CacheError
from hf_imgcls.store import cached, read_json, write_json

_PLAIN = {kind.__name__: kind for kind in (str, int, float, bool, dict, list, type(None))} | {"Any": Any}


@functools.cache
def installed() -> dict[str, Any]:
    """The installed packages' part of a recipe.

    Returns:
        `training`: for each field of TrainingArguments its type (see `as_type`), default and help;
        `transforms`: for each class of torchvision.transforms.v2 the names of its arguments;
        `architectures`: the model types of transformers.
    """
    versions = [f"{name} {metadata.version(name)}" for name in ("transformers", "torchvision", "torch")]
    key, name = [Path(__file__).read_text(encoding="utf-8"), *versions], "content.json"
    try:
        return cached(
            "installed", key, lambda to: write_json(to / name, _ask_packages()), lambda entry: read_json(entry / name)
        )[0]
    except (CacheError, OSError):  # the latter of a full disk
        return _ask_packages()  # which costs time, nothing else


def _ask_packages() -> dict[str, Any]:
    from torchvision.transforms import v2
    from transformers import CONFIG_MAPPING, TrainingArguments

    hints = typing.get_type_hints(TrainingArguments)
    training = {}
    for field in dataclasses.fields(TrainingArguments):
        if field.init:
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            default = default.value if isinstance(default, enum.Enum) else default
            text = " ".join((field.metadata.get("help") or "").split())
            training[field.name] = [_as_json(hints[field.name]), default, text]
    transforms = {
        name: list(inspect.signature(kind).parameters)
        for name, kind in vars(v2).items()
        if isinstance(kind, type) and issubclass(kind, v2.Transform) and kind is not v2.Transform
    }
    return {"training": training, "transforms": transforms, "architectures": list(CONFIG_MAPPING)}


def _as_json(hint: Any) -> Any:
    """A type: a name, {"values": [...]}, {"list": type}, {"dict": type of its values}, or a list of alternatives."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, enum.EnumType) or origin is Literal:
        return {"values": [getattr(value, "value", value) for value in arguments or hint]}
    if origin in (typing.Union, types.UnionType):
        named = any(isinstance(kind, enum.EnumType) for kind in arguments)
        # `SchedulerType | str` would accept any string: the names of the enum are what is allowed.
        return [_as_json(kind) for kind in arguments if not (named and kind is str)]
    if origin in (list, dict):
        return {origin.__name__: _as_json(arguments[-1])}
    return hint.__name__


def as_type(kind: Any) -> Any:
    """The type that `installed()` describes."""
    match kind:
        case str():
            return _PLAIN[kind]
        case list():
            return functools.reduce(operator.or_, map(as_type, kind))
        case {"values": values}:
            return Literal[tuple(values)]
        case {"list": inner}:
            return list[as_type(inner)]
        case {"dict": inner}:
            return dict[str, as_type(inner)]
    raise TypeError(f"no type of a setting: {kind!r}")
