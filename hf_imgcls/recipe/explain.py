"""What is wrong with a recipe, in a line of our own words: pydantic's name branches of unions and Python types."""

import json
import re
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from hf_imgcls.errors import nearest
from hf_imgcls.recipe.schema import recipe_model
from hf_imgcls.recipe.training_fields import NOT_IN_A_RECIPE

_EXPECTED = {
    "bool_type": "a boolean",
    "dict_type": "a section",
    "finite_number": "a finite number",
    "float_type": "a number",
    "greater_than": "a number greater than {gt:.15g}",
    "greater_than_equal": "a number of at least {ge:.15g}",
    "int_from_float": "an integer",
    "int_parsing_size": "a smaller integer",
    "int_type": "an integer",
    "less_than": "a number less than {lt:.15g}",
    "less_than_equal": "a number of at most {le:.15g}",
    "list_type": "a list",
    "model_type": "a section",
    "none_required": "null",
    "string_too_short": "a string that is not empty",
    "string_type": "a string",
    "too_long": "a list of {max_length}",
    "too_short": "a list of at least {min_length}",
}


def explain_error(error: ValidationError, content: dict) -> str:
    """The first problem in `content`: the key, what was found, what is expected; and how many more there are."""
    problems = error.errors()
    keys = [_real_keys(problem, content)[0] for problem in problems]
    # The branch of a union that was meant is the one whose error lies deepest.
    deepest = [p for p, mine in zip(problems, keys, strict=True) if not any(mine == k[: len(mine)] != k for k in keys)]
    deepest.sort(key=lambda problem: problem["type"] != "extra_forbidden")  # a misspelt key also reports one missing
    lines = list(dict.fromkeys(_describe(problem, content, problems) for problem in deepest))
    rest = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
    return lines[0] + rest


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
        return f"{key}: found {describe_value(place)}, which is none of the {len(allowed)} values allowed{near}"
    expected = " or ".join(dict.fromkeys(_expected(p) for p in branches if p["type"] != "extra_forbidden"))
    return f"{key}: found {describe_value(place)}, expected {expected}{near}"


def _expected(problem: dict) -> str:
    """What would be right, in words; `problem` is one of pydantic's, with its own `type` and `ctx`."""
    if problem["type"] in ("literal_error", "enum"):
        return problem["ctx"]["expected"].replace("'", '"')
    words = _EXPECTED.get(problem["type"])
    return words.format(**problem.get("ctx", {})) if words else problem["msg"]


def _unknown_key(keys: list[str]) -> str:
    section, key = recipe_model(), keys[-1]
    for name in keys[:-1]:
        if not name.isdigit():  # an index of a list of sections, which is known already
            section = _section_in(section.model_fields[name].annotation)
    if key in NOT_IN_A_RECIPE:
        return f"{'.'.join(keys)}: {NOT_IN_A_RECIPE[key]}"
    owners = [n for n, f in recipe_model().model_fields.items() if key in _keys_of(f.annotation)]
    hint = nearest(key, _keys_of(section))
    if not hint and owners:
        hint = f'; "{key}" belongs in "{owners[0]}"'
    return f"{'.'.join(keys)}: unknown key{hint}"


def _section_in(kind: Any) -> type[BaseModel] | None:
    """The section type among the types of a key: itself, or in a list or a union."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next(filter(None, map(_section_in, typing.get_args(kind))), None)


def _keys_of(kind: Any) -> list[str]:
    section = _section_in(kind)
    return [field.alias or name for name, field in section.model_fields.items()] if section else []


def describe_value(value: Any) -> str:
    """`"abc" (a string)`, `a section`, ..."""
    kinds = {dict: "a section", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    name = kinds.get(type(value), "a number")
    return name if isinstance(value, dict | list | type(None)) else f"{json.dumps(value)} ({name})"
