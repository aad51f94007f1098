"""Loading a recipe: a JSON file and overrides; what is wrong with it in one line."""

import json
import re
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe.elsewhere import known_elsewhere
from hf_imgcls.recipe.read import check_plain, parse_json, read_recipe
from hf_imgcls.recipe.schema import NOT_IN_A_RECIPE, recipe_model

# Pydantic's own words name branches of unions and Python types.
_EXPECTED = {
    "bool_type": "a boolean",
    **dict.fromkeys(("dict_type", "model_type"), "a section"),
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number greater than {gt:.15g}",
    "greater_than_equal": "a number of at least {ge:.15g}",
    **dict.fromkeys(("int_type", "int_from_float"), "an integer"),
    "int_parsing_size": "a smaller integer",
    "less_than": "a number less than {lt:.15g}",
    "less_than_equal": "a number of at most {le:.15g}",
    "list_type": "a list",
    "none_required": "null",
    "string_too_short": "a string that is not empty",
    "string_type": "a string",
    "too_long": "a list of {max_length}",
    "too_short": "a list of at least {min_length}",
}


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
        raise InputError(f"{where}: {_explain(error, content)}") from None


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


def _explain(error: ValidationError, content: dict) -> str:
    """The first problem in `content`: the key, what was found, what is expected; and how many more there are."""
    problems = error.errors()
    keys = [_real_keys(problem, content)[0] for problem in problems]
    # The branch of a union that was meant is the one whose error lies deepest.
    deepest = [p for p, mine in zip(problems, keys, strict=True) if not any(mine == k[: len(mine)] != k for k in keys)]
    deepest.sort(key=lambda problem: problem["type"] != "extra_forbidden")  # a misspelt key also reports one missing
    first, *more = dict.fromkeys(_describe(problem, content, problems) for problem in deepest)
    return f"{first} (and {len(more)} more)" if more else first


def _real_keys(problem: dict, content: Any) -> tuple[list[str], Any]:
    """The keys of a problem as the recipe has them, without the branches of unions, and the value there."""
    keys, place = [], content
    for part in problem["loc"]:
        known = range(len(place)) if isinstance(place, list) else place if isinstance(place, dict) else ()
        if part in known:
            place = place[part]
        elif problem["type"] != "missing" or part != problem["loc"][-1]:
            continue
        keys.append(str(part))
    return keys, place


def _describe(problem: dict, content: Any, problems: list[dict]) -> str:
    keys, place = _real_keys(problem, content)
    key = ".".join(keys)
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "extra_forbidden":
        return _unknown_key(keys)
    if problem["type"] == "value_error":
        return f"{key}: {problem['ctx']['error']}" if key else str(problem["ctx"]["error"])
    branches = [p for p in problems if _real_keys(p, content)[0] == keys]
    allowed = [name for branch in branches for name in re.findall(r"'([^']*)'", branch["msg"])]
    near = nearest(place, allowed) if isinstance(place, str) else ""
    if near and len(allowed) > 12:
        return f"{key}: found {_describe_value(place)}, which is none of the {len(allowed)} values allowed{near}"
    expected = " or ".join(dict.fromkeys(_expected(p) for p in branches if p["type"] != "extra_forbidden"))
    return f"{key}: found {_describe_value(place)}, expected {expected}{near}"


def _expected(problem: dict) -> str:
    if problem["type"] in ("literal_error", "enum"):
        return problem["ctx"]["expected"].replace("'", '"')
    words = _EXPECTED.get(problem["type"])
    return words.format(**problem.get("ctx", {})) if words else problem["msg"]


def _unknown_key(keys: list[str]) -> str:
    section, key = recipe_model(), keys[-1]
    if key in NOT_IN_A_RECIPE:
        return f"{'.'.join(keys)}: {NOT_IN_A_RECIPE[key]}"
    owners = [f'; "{key}" belongs in "{n}"' for n, f in section.model_fields.items() if key in _keys_of(f.annotation)]
    for name, inner in zip(keys[:-1], keys[1:], strict=True):
        if not name.isdigit():  # an index of a list of sections, which is known already
            section = _section_in(section.model_fields[name].annotation, inner)
    hint = known_elsewhere(key)
    if hint.endswith(f" {'.'.join(keys[:-1])}.{key}"):  # a key of ours, in a section that others have it in
        hint = ""
    near = nearest(key, _keys_of(section))
    return f"{'.'.join(keys)}: unknown key{hint or next(iter(owners), '') or near}"


def _section_in(kind: Any, key: str = "") -> type[BaseModel] | None:
    """The section type among the types of a key: itself, or in a list or a union, there the first that has `key`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    found = [each for each in (_section_in(one, key) for one in typing.get_args(kind)) if each]
    return next((each for each in found if key in each.model_fields), found[0] if found else None)


def _keys_of(kind: Any) -> list[str]:
    section = _section_in(kind)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []


def _describe_value(value: Any) -> str:
    kinds = {dict: "a section", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    name = kinds.get(type(value), "a number")
    return name if isinstance(value, dict | list | type(None)) else f"{json.dumps(value)} ({name})"
