"""What a search tries: values or limits by the dotted name of a key; which keys cannot be searched; the corners."""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field, model_validator

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.base import Section

_MOST_CORNERS = 64
_ONE_SET = "trials are compared on the same images; leave it out"
_ONE_METRIC = "trials are compared by one metric; set it in training"
_NOT_SEARCHED = {
    r"data(\..*)?": _ONE_SET,
    r"(stages\.\d+\.)?training\.(metric_for_best_model|greater_is_better)": _ONE_METRIC,
    r"(stages\.\d+\.)?training\.(data_)?seed": "the best seed is the luckiest; train --seeds measures the spread",
    r"training\.(output_dir|push_to_hub|hub_.*|report_to)": "it changes nothing about the model; leave it out",
    r"model\.multi_label": "it says what the labels are; leave it out",
    r"(ensemble|rejection|calibration|tune|description|\$schema)(\..*)?": "it cannot be searched; leave it out",
}


class RangeSection(Section):
    """Limits between which hf-imgcls tune draws values; whole numbers where both are."""

    low: int | float
    """Lowest value."""
    high: int | float
    """Highest value."""
    log: bool = False
    """Draw on a logarithmic scale, as for learning rates."""
    step: Annotated[int | float, Field(gt=0)] | None = None
    """Draw low, low + step, low + 2 * step, ... up to high."""

    @model_validator(mode="after")
    def _limits(self):
        if not self.low < self.high:
            raise ValueError(f"found low {self.low:g} and high {self.high:g}, expected a lower and a higher one")
        if self.log and self.low <= 0:
            raise ValueError(f"found low {self.low:g} with log, which needs limits above 0")
        if self.log and self.step:
            raise ValueError("log and step exclude each other")
        if (
            self.step
            and abs(steps := (self.high - self.low) / self.step - round((self.high - self.low) / self.step)) > 1e-6
        ):
            raise ValueError(f"high is not low and a number of steps of {self.step:g} ({steps:g} off)")
        if self.is_whole and isinstance(self.step, float):
            raise ValueError(
                f"found a step of {self.step:g} between whole numbers; write the limits as 1.0, or a whole step"
            )
        return self

    @property
    def is_whole(self) -> bool:
        return isinstance(self.low, int) and isinstance(self.high, int)


Choices = Annotated[list[Any], Field(min_length=1)]
Space = Mapping[str, Sequence[Any] | RangeSection]


def check_space(space: Space) -> None:
    """Refuse an empty space, keys that cannot be searched, and values that are listed twice (InputError)."""
    if not space:
        raise InputError(
            'tune: the recipe has no ranges to search; add a section such as "tune": {"training.learning_rate": '
            '{"low": 1e-5, "high": 1e-3, "log": true}}'
        )
    for key, values in space.items():
        if why := next((why for pattern, why in _NOT_SEARCHED.items() if re.fullmatch(pattern, key)), None):
            raise InputError(f"tune.{key}: {why}")
        inside = next((other for other in space if key.startswith(f"{other}.")), None)
        if inside:
            raise InputError(f"tune.{key}: {inside} is searched too, and would replace it; leave one out")
        texts = [] if isinstance(values, RangeSection) else [json.dumps(value, sort_keys=True) for value in values]
        if twice := next((text for text in texts if texts.count(text) > 1), None):
            raise InputError(f"tune.{key}: {twice[:60]} is listed twice")


def extremes(values: Sequence[Any] | RangeSection) -> list[Any]:
    """The limits of a range, or all values of a list."""
    return [values.low, values.high] if isinstance(values, RangeSection) else [*values]


def corners(space: Space) -> list[dict[str, Any]]:
    """Values by key that bound a space: all combinations of extremes; of too many, each extreme alone."""
    each = {key: extremes(values) for key, values in space.items()}
    alone = [{key: value} for key, values in each.items() for value in values]
    count = 1
    for values in each.values():
        count *= len(values)
    if count > _MOST_CORNERS:
        ends = [{key: values[end] for key, values in each.items()} for end in (0, -1)]
        return [*alone, *ends]
    return [dict(zip(each, values, strict=True)) for values in itertools.product(*each.values())]


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """`section.key=value` for each, the value as JSON."""
    return [f"{key}={json.dumps(value)}" for key, value in values.items()]
