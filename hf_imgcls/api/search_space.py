"""The values that a search may try, built before any of them is: whatever cannot train is refused at the beginning."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from hf_imgcls.api.check import check_recipe
from hf_imgcls.api.network import open_network
from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import RangeSection, Space, as_overrides, as_run, corners, extremes, load_recipe, stages_of

_MOST = 80  # characters of a value in a line
# Of `training`, in a stage whose head is solved.
_NOT_SOLVED_WITH = {
    "learning_rate", "weight_decay", "num_train_epochs", "max_steps", "warmup_steps", "lr_scheduler_type", "optim",
    "per_device_train_batch_size", "gradient_accumulation_steps", "max_grad_norm",
}  # fmt: skip


def check_corners(content: dict[str, Any], space: Space) -> None:
    """Check the recipe with each combination of extremes, or with each extreme alone where these are too many."""
    for values in corners(space):
        with _naming(values):
            check_recipe(content, as_overrides(values))


def check_effects(content: dict[str, Any], space: Space) -> None:
    """Refuse (InputError) a key whose values make no difference to any stage: its best value would be chance."""
    trained = [(values, _trained(load_recipe(content, as_overrides(values)))) for values in corners(space)]
    for key, values in space.items():
        found: dict[str, set[str]] = {}
        for others, training in trained:
            if key in others:
                found.setdefault(json.dumps({**others, key: None}), set()).add(training)
        if len(extremes(values)) > 1 and all(len(each) == 1 for each in found.values()):
            own = f"; name that of a stage (stages.0.{key})" if content.get("stages") else ""
            raise InputError(f"tune.{key}: makes no difference, since each stage has its own or does not use it{own}")


def _trained(recipe) -> str:
    """What a recipe trains, and how."""
    stages = []
    for stage in stages_of(recipe):
        own = {name: getattr(each, "model_dump", lambda each=each: each)() for name, each in stage._asdict().items()}
        unused = _NOT_SOLVED_WITH if stage.logistic_regression else ()
        own["training"] = {name: each for name, each in own["training"].items() if name not in unused}
        stages.append(own)
    return json.dumps([recipe.model.model_dump(), recipe.loss.model_dump(), stages], default=str, sort_keys=True)


def build_extremes(content: dict[str, Any], space: Space, data: Data) -> None:
    """Build the network and plan the stages with each extreme of what changes them: any but TrainingArguments."""
    for key, values in space.items():
        for value in extremes(values) if ".training." not in f".{key}" else ():
            with _naming({key: value}):
                open_network(load_recipe(content, as_overrides({key: value})), data)


def own_values(recipe, space: Space) -> tuple[dict[str, Any] | None, str]:
    """The values of the searched keys that a recipe has itself, and a line; None where one of them is not searched."""
    found, content = {}, as_run(recipe)
    for key, values in space.items():
        value = _at(_in_full(recipe), key)
        if isinstance(values, RangeSection):
            same = [value] if _lies_in(value, values) else []
        else:  # 0 is 0.0, and of a section what is not said is its default
            same = [e for e in values if _at(_in_full(load_recipe(content, as_overrides({key: e}))), key) == value]
        if not same:
            shown = json.dumps(value)[:_MOST]
            return None, f"tune: the recipe's own {key} ({shown}) is not among what is searched, so it is not tried"
        found[key] = same[0]
    return found, "tune: the first trial has the recipe's own values"


def _in_full(recipe) -> dict[str, Any]:
    """A recipe with all that it does not say; what a stage does not say of `training` is the recipe's."""
    stages, plain = stages_of(recipe), recipe.model_dump(mode="json", by_alias=True)
    for number, stage in enumerate(plain["stages"]):
        stage["training"] = stages[number].training.model_dump(mode="json")
    return plain


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


def _lies_in(value: Any, values: RangeSection) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not values.low <= value <= values.high:
        return False
    step = values.step or (1 if values.is_whole else None)
    return not step or abs((value - values.low) / step - round((value - values.low) / step)) < 1e-6
