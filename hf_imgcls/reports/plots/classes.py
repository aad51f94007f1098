"""How many images each class has in each split, readable at two classes and at a thousand. Counts in, figure out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hf_imgcls.reports.plots.gallery import DPI
from hf_imgcls.reports.plots.typefaces import set_fonts, shorten

# Okabe and Ito's: told apart by colour-blind people, and in print.
COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#009E73"}
_BARS = 40  # classes up to which each has bars; of more, the curve over all classes
_MARKED = 5  # of many classes, so many of the largest and of the smallest are named


def class_counts(counts: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Images of each class by split, the most frequent class of the first split on top.

    Args:
        counts: of each split, shape (classes,).
    """
    order = np.argsort(-next(iter(counts.values())), kind="stable")
    figure = Figure(figsize=(7, 1.2 + 0.32 * min(len(names), _BARS)) if len(names) <= _BARS else (8, 5), dpi=DPI)
    ax = figure.subplots()
    (_draw_bars if len(names) <= _BARS else _draw_curves)(ax, counts, names, order)
    total = ", ".join(f"{split} {int(values.sum()):,}" for split, values in counts.items())
    ax.set_title(f"{len(names):,} classes; {total} images", fontsize=11, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize=9)
    return set_fonts(figure, names)


def _draw_bars(ax: Axes, counts: Mapping[str, np.ndarray], names: Sequence[str], order: np.ndarray) -> None:
    height = 0.8 / len(counts)
    places = np.arange(len(names))
    for number, (split, values) in enumerate(counts.items()):
        bars = ax.barh(places - 0.4 + (number + 0.5) * height, values[order], height, color=_colour(split), label=split)
        ax.bar_label(bars, fmt="{:,.0f}", fontsize=7, padding=2)
    ax.set_yticks(places, [shorten(names[i], 28) for i in order], fontsize=9)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.margins(x=0.1)
    ax.set_xlabel("images")


def _draw_curves(ax: Axes, counts: Mapping[str, np.ndarray], names: Sequence[str], order: np.ndarray) -> None:
    ranks = np.arange(1, len(names) + 1)
    for split, values in counts.items():
        ax.plot(ranks, np.sort(values)[::-1], color=_colour(split), label=split, linewidth=1.8)
    first = next(iter(counts.values()))
    ends = [("most", order[:_MARKED]), ("fewest", order[-_MARKED:])]
    text = "\n".join(
        f"{word}: " + ", ".join(f"{shorten(names[i], 18)} {first[i]:,}" for i in some) for word, some in ends
    )
    ax.text(0, -0.2, text, transform=ax.transAxes, fontsize=8, va="top")
    ax.set_yscale("symlog", linthresh=10)
    ax.set_ylim(bottom=0)
    ax.set_xlim(1, len(names))
    ax.set_xlabel("classes, the most frequent of each split first")
    ax.set_ylabel("images")
    ax.grid(axis="y", color="0.9")


def _colour(split: str) -> str:
    return COLOURS.get(split, "#CC79A7")
