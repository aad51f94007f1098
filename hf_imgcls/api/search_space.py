"""The values that a search may try, built before any of them is: whatever cannot train is refused at the beginning."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hf_imgcls.api.check import check_recipe
from hf_imgcls.api.network import open_network
from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import RangeSection, Space, as_overrides, corners, extremes, load_recipe, stages_of

_MOST = 80  # characters of a value in a line


def check_corners(content: dict[str, Any], space: Space) -> None:
    """Check the recipe with each combination of extremes, or with each extreme alone where these are too many."""
    for values in corners(space):
        with _naming(values):
            check_recipe(content, as_overrides(values))


def build_extremes(content: dict[str, Any], space: Space, data: Data) -> None:
    """Build the network and plan the stages with each extreme of what changes them: any but TrainingArguments."""
    for key, values in space.items():
        for value in extremes(values) if ".training." not in f".{key}" else ():
            with _naming({key: value}):
                open_network(load_recipe(content, as_overrides({key: value})), data)


def own_values(recipe, space: Space) -> tuple[dict[str, Any] | None, str]:
    """The values of the searched keys that a recipe has itself, and a line; None where one of them is not searched."""
    stages, plain = stages_of(recipe), recipe.model_dump(mode="json", by_alias=True)
    for number, stage in enumerate(plain["stages"]):
        stage["training"] = stages[number].training.model_dump(mode="json")
    found = {}
    for key, values in space.items():
        value = _at(plain, key)
        if not _lies_in(value, values):
            shown = json.dumps(value)[:_MOST]
            return None, f"tune: the recipe's own {key} ({shown}) is not among what is searched, so it is not tried"
        found[key] = value
    return found, "tune: the first trial has the recipe's own values"


def describe_values(values: Mapping[str, Any]) -> str:
    """`training.learning_rate=0.0021, ...`."""
    shown = (
        f"{key}={value:.3g}" if isinstance(value, float) else as_overrides({key: value})[0]
        for key, value in values.items()
    )
    return ", ".join(each if len(each) <= _MOST else f"{each[: _MOST - 1]}…" for each in shown)


@contextlib.contextmanager
def _naming(values: Mapping[str, Any]) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        line = str(error).removeprefix("recipe: ")
        raise InputError(f"tune: with {describe_values(values)[:120]}: {line}") from None


def _at(place: Any, key: str) -> Any:
    """The value of a dotted key, None where it is not there."""
    for part in key.split("."):
        if isinstance(place, list) and part.isdigit() and int(part) < len(place):
            place = place[int(part)]
        elif isinstance(place, Mapping):
            place = place.get(part)
        else:
            return None
    return place


def _lies_in(value: Any, values: Any) -> bool:
    if not isinstance(values, RangeSection):
        return json.dumps(value) in [json.dumps(each) for each in values]
    if isinstance(value, bool) or not isinstance(value, int | float) or not values.low <= value <= values.high:
        return False
    step = values.step or (1 if values.is_whole else None)
    return not step or abs((value - values.low) / step - round((value - values.low) / step)) < 1e-6
