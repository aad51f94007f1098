"""Learning rates by layer and by pattern: which parameters of a stage train at which rate, with which weight decay."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from torch import nn
from transformers import PreTrainedModel, Trainer

from hf_imgcls.errors import InputError
from hf_imgcls.models import (
    compile_pattern,
    describe_modules,
    layer_numbers,
    matching,
    network_name,
    weights_to_decay,
)
from hf_imgcls.recipe import OptimizerSection, Stage

_PATTERNS = "optimizer.learning_rates"
_ROWS = 40  # of a table on the console


class Group(NamedTuple):
    """Parameters that train at `factor` times the learning rate, with one weight decay.

    `place` is their layer, or the pattern that matches them; None for the rest where patterns alone were given.
    """

    place: int | str | None
    factor: float
    weight_decay: float
    names: tuple[str, ...]


def check_rates(optimizer: OptimizerSection) -> None:
    """Refuse what is no regular expression; what one matches is known with the network alone."""
    for pattern in optimizer.learning_rates:
        compile_pattern(pattern, _PATTERNS)


def group_parameters(model: PreTrainedModel, stage: Stage, names: Sequence[str], size: tuple[int, int]) -> list[Group]:
    """The groups of the parameters that train: layers from the last to the first, the rest, patterns as they stand.

    Their order is the same for each run of a recipe: an optimizer's checkpoint knows parameters by it. None where all
    have one rate. With layer decay, weight decay follows timm's rule, else the Trainer's.
    """
    optimizer, decay = stage.optimizer, stage.training.weight_decay
    if not (optimizer.layer_decay or optimizer.learning_rates):
        return []
    places: dict[str, Any] = _matched(names, optimizer.learning_rates)
    factors: dict[Any, float] = {None: 1.0}
    if optimizer.layer_decay:
        layers, decayed = layer_numbers(model, size), weights_to_decay(model)
        last, others = max(layers.values()), {layers[name] for name in names if name not in places}
        _check_layers(model, others)
        factors = {layer: optimizer.layer_decay ** (last - layer) for layer in range(last, -1, -1)}
        _check_lowest(optimizer.layer_decay, min(others), factors)
        places = layers | places
    else:
        decayed = set(Trainer.get_decay_parameter_names(None, model))  # of any Trainer: it asks the model alone
    found: dict[tuple[Any, float], list[str]] = {}
    for name in names:
        found.setdefault((places.get(name), decay if name in decayed else 0.0), []).append(name)
    factors |= optimizer.learning_rates
    return [
        Group(place, factor, each, tuple(found[place, each]))
        for place, factor in factors.items()
        for each in dict.fromkeys((decay, 0.0))
        if (place, each) in found
    ]


def _matched(names: Collection[str], patterns: Iterable[str]) -> dict[str, str]:
    """The pattern of each parameter that one of them matches."""
    found: dict[str, str] = {}
    for pattern in patterns:
        for name in matching(names, pattern, _PATTERNS, "parameter that trains"):
            if name in found:
                raise InputError(
                    f"{_PATTERNS}: both {found[name][:80]!r} and {pattern[:80]!r} match {name}; narrow one"
                )
            found[name] = pattern
    return found


def _check_layers(model: PreTrainedModel, layers: Collection[int]) -> None:
    if len(layers) < 2:
        where = f"are all of layer {min(layers)} of {network_name(model)}" if layers else "have rates of their own"
        raise InputError(
            f"optimizer.layer_decay: has no effect, since the parameters that train {where}; leave it out or train more"
        )


def _check_lowest(layer_decay: float, lowest: int, factors: dict[int, float]) -> None:
    if factors[lowest] < 1e-12:
        raise InputError(
            f"optimizer.layer_decay: {layer_decay:g} leaves layer {lowest} {factors[lowest]:.0e} times the learning "
            "rate, which trains nothing; take a larger one, or freeze such layers with train"
        )


def describe_groups(model: nn.Module, groups: Sequence[Group], training) -> list[str]:
    """Lines: a heading, and a row for each layer and pattern; `training` has the learning rate."""
    if not groups:
        return []
    places = dict.fromkeys(group.place for group in groups)
    layers = sorted(place for place in places if isinstance(place, int))
    rows = [["layer", "learning rate", "parameters", "weight decay", "names"]]
    for place in [*layers, *(place for place in places if not isinstance(place, int))]:
        rows.append(_row(model, [group for group in groups if group.place == place], training.learning_rate))
    if len(rows) > _ROWS:
        rows = [*rows[: _ROWS // 2], ["..."] * len(rows[0]), *rows[-_ROWS // 2 :]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{s}{w}}" for cell, s, w in zip(row, "<>><<", widths, strict=True)) for row in rows]
    return ["learning rates:", *map(str.rstrip, lines)]


def _row(model: nn.Module, inside: Sequence[Group], learning_rate: float) -> list[str]:
    place = inside[0].place
    counts = {group.weight_decay: _count(model, group) for group in inside}
    highest = max(counts)
    return [
        "others" if place is None else "pattern" if isinstance(place, str) else str(place),
        f"{inside[0].factor * learning_rate:.2e}",
        f"{sum(counts.values()):,}",
        f"{highest:g} (0 for {counts[0]:,})" if len(counts) > 1 else f"{highest:g}",
        describe_modules(model, {name for group in inside for name in group.names}, most=4),
    ]


def _count(model: nn.Module, group: Group) -> int:
    return sum(model.get_parameter(name).numel() for name in group.names)


def records_of(model: nn.Module, groups: Sequence[Group], learning_rate: float) -> list[dict[str, Any]]:
    """The groups for results.json."""
    return [
        {
            "pattern" if isinstance(group.place, str) else "layer": group.place,
            "learning_rate": group.factor * learning_rate,
            "weight_decay": group.weight_decay,
            "parameters": _count(model, group),
        }
        for group in groups
    ]
