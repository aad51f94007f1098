"""What is wrong with a recipe, in one line: the key, what was found, what is expected."""

import itertools
import json
import re
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from hf_imgcls.errors import nearest
from hf_imgcls.recipe.elsewhere import known_elsewhere
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


def explain(error: ValidationError, content: dict) -> str:
    """The first problem in `content`: the key, what was found, what is expected; and how many more there are."""
    problems = _of_the_meant_branches(error.errors(), content)
    keys = [_real_keys(problem, content)[0] for problem in problems]
    # The branch of a union that was meant is the one whose error lies deepest.
    deepest = [p for p, mine in zip(problems, keys, strict=True) if not any(mine == k[: len(mine)] != k for k in keys)]
    deepest.sort(key=lambda problem: problem["type"] != "extra_forbidden")  # a misspelt key also reports one missing
    first, *more = dict.fromkeys(_describe(problem, content, problems) for problem in deepest)
    return f"{first} (and {len(more)} more)" if more else first


def _of_the_meant_branches(problems: list[dict], content: dict) -> list[dict]:
    """Problems without those of sections in a union that lack a key, or have no such key, where another has all."""
    places = [_branch(problem, content) for problem in problems]
    depths = [len(_real_keys(problem, content)[0]) for problem in problems]
    inside, faulty = set(), set()
    for problem, place, depth in zip(problems, places, depths, strict=True):
        if place and depth > len(place[0]):
            inside.add(place)
            if problem["type"] in ("extra_forbidden", "missing") and depth == len(place[0]) + 1:
                faulty.add(place)
    whole = {keys for keys, _ in inside - faulty}
    return [p for p, place in zip(problems, places, strict=True) if place not in faulty or place[0] not in whole]


def _branch(problem: dict, content: Any) -> tuple[tuple[str, ...], Any] | None:
    """The keys of the first union on the way to a problem, and the name of its branch."""
    keys, place = [], content
    for part in problem["loc"]:
        known = range(len(place)) if isinstance(place, list) else place if isinstance(place, dict) else ()
        if part not in known:
            missing = problem["type"] == "missing" and len(keys) == len(problem["loc"]) - 1
            return None if missing else (tuple(keys), part)
        keys.append(str(part))
        place = place[part]
    return None


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
    branches = [p for p in problems if _real_keys(p, content)[0] == keys]
    if refused := next((p for p in branches if p["type"] == "value_error"), None):  # of the branch that was meant
        return f"{key}: {refused['ctx']['error']}" if key else str(refused["ctx"]["error"])
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
    for name, inner in itertools.pairwise(keys):
        if name in section.model_fields:  # no index of a list, and no name of a section, which are known already
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
