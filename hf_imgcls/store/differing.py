"""What differs in the recipes of several runs."""

from collections.abc import Iterator, Sequence
from typing import Any

_NO_DIFFERENCE = {"$schema", "description", "training.output_dir"}
_DEEP = 20  # sections of a key


def differing_keys(recipes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each recipe the keys with their values that not all of them have alike, as `training.seed`."""
    flat = [dict(_flat(recipe)) for recipe in recipes]
    keys = sorted({key for each in flat for key in each} - _NO_DIFFERENCE)
    differing = [key for key in keys if any(each.get(key) != flat[0].get(key) for each in flat)]
    return [{key: each[key] for key in differing if key in each} for each in flat]


def _flat(section: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items() if isinstance(section, dict) else enumerate(section):
        if isinstance(value, dict | list) and prefix.count(".") > _DEEP:
            yield f"{prefix}{key}", "..."  # no recipe of ours
        elif isinstance(value, dict | list) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
