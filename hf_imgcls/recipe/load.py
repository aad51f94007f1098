"""Loading a recipe: a JSON file and overrides; what is wrong with it in one line."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.explain import explain
from hf_imgcls.recipe.read import check_plain, parse_json, read_recipe
from hf_imgcls.recipe.schema import recipe_model


def load_recipe(source: str | Path | dict, overrides: Iterable[str] = ()):
    """Read a recipe and apply `section.key=value` overrides.

    Args:
        source: a JSON file, or the recipe itself as a dictionary.
        overrides: the value is JSON, or else a string. A number in the path is an index of a list:
            `augmentation.train.0.RandomResizedCrop.size=160`.

    Raises:
        InputError: names the file, the key, what was found and the nearest right spelling.
    """
    content, where = (source, "recipe") if isinstance(source, dict) else (read_recipe(Path(source)), str(source))
    try:
        check_plain(content)
        content = json.loads(json.dumps(content))
    except (InputError, TypeError, ValueError, RecursionError) as error:  # a Python object
        raise InputError(f"{where}: {error}") from None
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
        raise InputError(f"{where}: {explain(error, content)}") from None


def as_run(recipe) -> dict:
    """The recipe with its overrides applied: exactly the keys that were set."""
    return json.loads(recipe.model_dump_json(exclude_unset=True, by_alias=True))


def _apply(content: dict, override: str) -> tuple[tuple[str, ...], str]:
    """Set one override in place; returns its path and the text of its value."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise InputError(f"override {override!r}: expected section.key=value, such as training.learning_rate=1e-4")
    try:
        value = parse_json(text)
    except InputError as error:
        raise InputError(f"override {path[:60]}: {error}") from None
    except json.JSONDecodeError:
        value = {"True": True, "False": False, "None": None}.get(text, text)
    keys = tuple(path.split("."))
    check_plain([*keys, value])
    if len(keys) > 20:
        raise InputError(f"override {path[:60]}...: {len(keys)} sections deep")
    _set(content, keys, value)
    return keys, text


def _set(content: dict, keys: tuple[str, ...], value: Any) -> None:
    place, dotted = content, ".".join(keys)
    for depth, key in enumerate(keys):
        if isinstance(place, list):
            if not re.fullmatch("[0-9]{1,9}", key) or int(key) >= len(place):
                raise InputError(f"override {dotted}: {key!r} is not an index of a list of {len(place)}")
            key = int(key)
        elif not isinstance(place, dict):
            raise InputError(f"override {dotted}: {'.'.join(keys[:depth])} holds a value, not a section")
        if depth == len(keys) - 1:
            place[key] = value
        else:
            place = place[key] if isinstance(place, list) else place.setdefault(key, {})
