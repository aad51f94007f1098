"""The trials of a search: the metric in their order, and against each value that was tried."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hf_imgcls.reports.plots.gallery import DPI

_COLUMNS = 3


def trials(
    numbers: Sequence[int],
    values: Sequence[float],
    columns: Mapping[str, Sequence],
    metric: tuple[str, int],
    logarithmic: Collection[str] = (),
) -> Figure:
    """A panel of the metric over the number of the trial, and one for each key.

    Args:
        numbers, values: of each complete trial, shape (trials,).
        columns: by key, its value in each trial: numbers, or text.
        metric: its name, and the index of the best trial, which is ringed.
        logarithmic: keys whose axis is.
    """
    (name, best), count = metric, 1 + len(columns)
    wide = min(_COLUMNS, count)
    figure = Figure(figsize=(4 * wide, 3.2 * math.ceil(count / wide)), dpi=DPI, layout="constrained")
    axes = figure.subplots(math.ceil(count / wide), wide, sharey=True, squeeze=False).flatten()
    for ax in axes[count:]:
        ax.remove()
    _scatter(axes[0], numbers, values, best)
    axes[0].set_xlabel("trial")
    for ax, (key, tried) in zip(axes[1:], columns.items(), strict=False):
        if any(isinstance(value, str) for value in tried):
            names = sorted(set(map(str, tried)))
            _scatter(ax, [names.index(str(value)) for value in tried], values, best)
            ax.set_xticks(range(len(names)), names)
            ax.set_xlim(-0.5, len(names) - 0.5)
        else:
            _scatter(ax, tried, values, best)
            if key in logarithmic:
                ax.set_xscale("log")
        ax.set_xlabel(key)
    for ax in axes[:count:wide]:
        ax.set_ylabel(f"validation {name}")
    return figure


def _scatter(ax: Axes, places: Sequence[float], values: Sequence[float], best: int) -> None:
    ax.plot(places, values, "o", color="C0", markersize=4, alpha=0.8)
    ax.plot(places[best], values[best], "o", color="crimson", markersize=9, markerfacecolor="none")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9")
    if np.ptp(values) == 0:
        ax.set_ylim(values[0] - 0.05, values[0] + 0.05)
