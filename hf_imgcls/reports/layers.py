"""The table of a network's layers, as the console shows it."""

from collections.abc import Collection, Sequence

from hf_imgcls.models import Layer

_LINES = 40  # of a table whose depth nobody chose


def layer_table(layers: Sequence[Layer], trained: dict[str, Collection[str]], depth: int | None = None) -> list[str]:
    """A heading and a line for each layer: name, type, output shape, parameters, FLOPs, and what trains.

    Args:
        layers: the network first.
        trained: names of the parameters that train, by the heading of their column.
        depth: levels of layers within layers; as many as fit into 40 lines if None, but one at least.
    """
    deepest = max(layer.depth for layer in layers)
    if depth is None:
        fitting = [level for level in range(1, deepest + 1) if sum(0 < x.depth <= level for x in layers) <= _LINES]
        depth = max(fitting, default=1)
    rows = [["layer", "type", "output", "parameters", "FLOPs", *trained]]
    for layer in layers:
        if 0 < layer.depth <= depth:
            shape = " x ".join(map(str, layer.output)) if layer.output else ""
            counts = [f"{sum(layer.parameters.values()):,}" if layer.parameters else "", short(layer.flops)]
            marks = [_mark(layer.parameters, names) for names in trained.values()]
            # The whole name, which feature_point takes.
            rows.append([f"{'  ' * (layer.depth - 1)}{layer.name}", layer.kind, shape, *counts, *marks])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_cells(row, widths)).rstrip() for row in rows]


def _cells(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Numbers to the right."""
    sides = "<<<>>" + "<" * len(row)
    return [f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=False)]


def _mark(parameters: Collection[str], trained: Collection[str]) -> str:
    if not parameters:
        return ""
    count = sum(name in trained for name in parameters)
    return "trains" if count == len(parameters) else "partly" if count else "frozen"


def short(count: int) -> str:
    """12,345,678 as 12.3 M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {name}" if count < 999.5 * unit else f"{count / unit:,.0f} {name}"
    return f"{count}" if count else ""
