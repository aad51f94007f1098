"""What a recipe may say that depends on the installed packages: their settings, transforms and architectures.

Asking the packages takes seconds, since they import torch: the answers are cached as JSON, a file per set of versions.
"""

import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import operator
import platform
import types
import typing
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from hf_imgcls.errors import CacheError
from hf_imgcls.store import cached, read_json, write_json

_PACKAGES = ("transformers", "torchvision", "torch", "timm", "pydantic")
_PLAIN = {kind.__name__: kind for kind in (str, int, float, bool, dict, list, type(None))} | {"Any": Any}


def cached_json(kind: str, key: Any, make: Callable[[], Any], source: str = "*.py") -> Any:
    """The JSON that `make` returns, cached by `key`, the versions of the packages and the source that it runs."""
    hashed = hashlib.sha256(json.dumps([key, _versions(), _digest(source)]).encode()).hexdigest()[:32]
    name = "content.json"
    try:
        return cached(kind, hashed, lambda to: write_json(to / name, make()), lambda entry: read_json(entry / name))[0]
    except CacheError:
        return make()  # which costs time, nothing else


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:  # timm is optional
            continue
    return found


def _digest(source: str) -> str:
    files = sorted(Path(__file__).parents[1].rglob(source))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@functools.cache
def installed() -> dict[str, Any]:
    """The installed packages' part of a recipe.

    Returns:
        `training`: for each field of TrainingArguments its type (see `as_type`), default and help;
        `transforms`: for each class of torchvision.transforms.v2 the names of its arguments;
        `architectures`: the model types of transformers.
    """
    return cached_json("installed", "", _ask_packages, "installed.py")


def _ask_packages() -> dict[str, Any]:
    from torchvision.transforms import v2
    from transformers import CONFIG_MAPPING, TrainingArguments

    hints = typing.get_type_hints(TrainingArguments)
    training = {}
    for field in dataclasses.fields(TrainingArguments):
        if field.init:
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            training[field.name] = {
                "type": _as_json(hints[field.name]),
                "default": default.value if isinstance(default, enum.Enum) else default,
                "help": " ".join((field.metadata.get("help") or "").split()),
            }
    transforms = {
        name: list(inspect.signature(kind).parameters)
        for name, kind in vars(v2).items()
        if isinstance(kind, type) and issubclass(kind, v2.Transform) and kind is not v2.Transform
    }
    return {"training": training, "transforms": transforms, "architectures": list(CONFIG_MAPPING)}


def _as_json(hint: Any) -> Any:
    """A type: a name, {"values": [...]}, {"list": type}, {"dict": type of its values}, or a list of alternatives."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, enum.EnumType):
        return {"values": [member.value for member in hint]}
    if origin in (typing.Union, types.UnionType):
        named = any(isinstance(kind, enum.EnumType) for kind in arguments)
        # `SchedulerType | str` would accept any string: the names of the enum are what is allowed.
        return [_as_json(kind) for kind in arguments if not (named and kind is str)]
    if origin is Literal:
        return {"values": list(arguments)}
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
