"""Loading a recipe: a JSON file and overrides; what is wrong with it in one line."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe.explain import describe_value, explain_error
from hf_imgcls.recipe.schema import recipe_model


def load_recipe(source: str | Path | dict, overrides: Iterable[str] = ()):
    """Read a recipe and apply `section.key=value` overrides.

    Args:
        source: a JSON file, or the recipe itself as a dictionary.
        overrides: `section.key=value`; the value is JSON, or else a string. A number in the path is an index
            of a list: `augmentation.train.0.RandomResizedCrop.size=160`.

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
        raise InputError(f"{where}: {explain_error(error, content)}") from None


def as_run(recipe) -> dict:
    """The recipe with its overrides applied: exactly the keys that were set."""
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
        raise InputError(f"{path}: a recipe is a JSON object of sections, found {describe_value(content)}")
    return content


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict:
    seen = dict(pairs)
    if len(seen) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(n for n in names if names.count(n) > 1)
        raise InputError(f'duplicate key "{twice}" in one section')
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
                raise InputError(f"override {dotted}: {key!r} is not an index of a list of {len(place)}")
            key = int(key)
        elif not isinstance(place, dict):
            raise InputError(f"override {dotted}: {'.'.join(keys[:depth])} holds a value, not a section")
        if last:
            place[key] = value
        else:
            place = place[key] if isinstance(place, list) else place.setdefault(key, {})
