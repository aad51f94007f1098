"""Which parameters of a model train, in a line."""

import re
from collections.abc import Iterator

from torch import nn

from hf_imgcls.words import listed

_SHOWN = 8


def describe_parameters(model: nn.Module) -> str:
    """How many parameters train, what fraction of all, and which: by name, or by module where there are many."""
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters() if parameter.requires_grad}
    count, everything = sum(sizes.values()), sum(parameter.numel() for parameter in model.parameters())
    if count == everything:
        return f"trains all {everything:,} parameters"
    names = list(sizes) if len(sizes) <= 4 else list(_whole_modules(model))
    names = names if len(names) <= _SHOWN else _joined_numbers(names)
    percent = 100 * count / everything
    shown = f"{percent:.2f}" if percent >= 0.01 else f"{percent:.1g}"
    return f"trains {count:,} of {everything:,} parameters ({shown} %): {listed(names, _SHOWN)}"


def _whole_modules(module: nn.Module, prefix: str = "") -> Iterator[str]:
    """Names of the largest modules that train whole, and of parameters beside such."""
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.requires_grad:
            yield prefix + name
    for name, child in module.named_children():
        trains = {parameter.requires_grad for parameter in child.parameters()}
        if trains == {True}:
            yield prefix + name
        elif trains:
            yield from _whole_modules(child, f"{prefix}{name}.")


def _joined_numbers(names: list[str]) -> list[str]:
    """Names that differ in their last number alone become one: layers.0-11.norm.bias."""
    runs: dict[tuple[str, str], list[int]] = {}
    for name in names:
        numbered = re.fullmatch(r"(.*?\.)(\d+)((?:\.[^.\d][^.]*)*)", name)
        before, number, after = numbered.groups() if numbered else (name, None, "")
        runs.setdefault((before, after), []).extend([int(number)] if number else [])
    return [f"{before}{_numbers(numbers)}{after}" for (before, after), numbers in runs.items()]


def _numbers(numbers: list[int]) -> str:
    if len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]}-{numbers[-1]}"
    return ",".join(map(str, numbers))
