"""The confusion matrix of a scored split, readable at two classes and at hundreds. Counts in, figure out."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from hf_imgcls.reports.plots.gallery import DPI
from hf_imgcls.reports.plots.typefaces import set_fonts, shorten

_PERCENT = 6  # classes up to which every cell shows its fraction beside its count
_COUNTED = 20  # classes up to which every cell shows its count
_NAMED = 130  # classes up to which every one is named
_LISTED = 30  # most pairs beside a matrix without counts


def count_confusions(label_ids: np.ndarray, predicted_ids: np.ndarray, classes: int) -> np.ndarray:
    """Images by true class (rows) and predicted class (columns), shape (classes, classes)."""
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (np.asarray(label_ids), np.asarray(predicted_ids)), 1)
    return counts


def confusion_matrix(counts: np.ndarray, names: Sequence[str], split: str) -> Figure:
    """Counts, coloured by their fraction of the true class; a class without images is grey.

    With few classes every cell shows its count; with many, the pairs that are most often confused are listed beside.
    """
    classes, correct, total = len(names), int(np.trace(counts)), int(counts.sum())
    side = min(max(2.6, 0.55 * classes), 7) if classes <= _COUNTED else min(max(8, 0.12 * classes), 12)
    figure = Figure(figsize=(1, 1), dpi=DPI)
    ax = figure.add_axes((0, 0, side, side))
    image = _draw_matrix(ax, counts)
    if classes <= _COUNTED:
        _write_counts(ax, image.get_array(), counts, side / classes)
    _name_axes(ax, names, side)
    ax.set_title(
        f"{split}: {correct:,} of {total:,} correct" + (f" ({correct / total:.1%})" if total else ""), fontsize=11
    )
    bar = figure.colorbar(image, cax=figure.add_axes((side + 0.15, side / 4, 0.1, side / 2)))
    bar.set_ticks([0, 0.05, 0.25, 0.5, 1], labels=["0%", "5%", "25%", "50%", "100%"], fontsize=8)
    bar.set_label("fraction of the true class", fontsize=8)
    bar.outline.set_visible(False)
    if classes > _COUNTED:
        _list_pairs(figure.add_axes((side + 1.2, 0, 1, side)), counts, names, side)
    return set_fonts(figure, names)


def most_confused(counts: np.ndarray, most: int) -> list[tuple[int, int]]:
    """Pairs (true class, predicted class) that differ, those with most images first."""
    wrong = np.array(counts)
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [(int(i), int(j)) for i, j in zip(*np.unravel_index(order, wrong.shape), strict=True)]
    return [pair for pair in pairs if wrong[pair]]


def _draw_matrix(ax: Axes, counts: np.ndarray):
    images = counts.sum(axis=1, keepdims=True)
    fractions = np.ma.masked_where(np.broadcast_to(images == 0, counts.shape), counts / np.maximum(images, 1))
    # The root brings out rare confusions, which are what one looks for.
    image = ax.imshow(fractions, cmap=colormaps["Blues"].with_extremes(bad="0.9"), norm=PowerNorm(0.5, 0, 1))
    if len(counts) <= _COUNTED:
        for edge in np.arange(1, len(counts)) - 0.5:
            ax.axhline(edge, color="white", linewidth=1.5)
            ax.axvline(edge, color="white", linewidth=1.5)
        ax.spines[:].set_visible(False)
    return image


def _write_counts(ax: Axes, fractions: np.ma.MaskedArray, counts: np.ndarray, cell: float) -> None:
    """Counts that are not zero, and the diagonal; a cell is so many inches wide."""
    size = min(11, 0.8 * 72 * cell / (0.64 * max(2, len(f"{counts.max():,}"))))
    for i, j in zip(*np.nonzero(counts + np.eye(len(counts), dtype=int)), strict=True):
        empty = fractions[i, j] is np.ma.masked
        fraction = f"\n{fractions[i, j]:.1%}" if len(counts) <= _PERCENT and not empty else ""
        colour = "white" if not empty and fractions[i, j] > 0.35 else "0.15"
        ax.text(j, i, f"{counts[i, j]:,}{fraction}", ha="center", va="center", fontsize=size, color=colour)


def _name_axes(ax: Axes, names: Sequence[str], side: float) -> None:
    few = len(names) <= _COUNTED
    shown = range(0, len(names), math.ceil(len(names) / _NAMED))
    labels = [shorten(names[i], 22) for i in shown]
    size = min(10.0, 0.66 * 72 * side / len(shown))
    flat = few and max(map(len, labels)) * 0.15 < side / len(names)  # inches of a wide character, of a cell
    slanted = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if few else {"rotation": 90}
    ax.set_yticks(shown, labels, fontsize=size)
    ax.set_xticks(shown, labels, fontsize=size, **({} if flat else slanted))
    ax.tick_params(length=0 if few else 2, pad=3)
    ax.set_ylabel("true class", fontsize=10)
    ax.set_xlabel("predicted class", fontsize=10)


def _list_pairs(ax: Axes, counts: np.ndarray, names: Sequence[str], side: float) -> None:
    """A line for each pair, in an axes one inch wide and `side` inches high; the text goes on to the right."""
    ax.set_axis_off()
    ax.set_xlim(0, 1)
    ax.set_ylim(side, 0)
    ax.text(0, 0.1, "most often confused: images, fraction of the true class", fontsize=9)
    for line, (i, j) in enumerate(most_confused(counts, _LISTED), 1):
        y = 0.15 + 0.24 * line
        ax.text(0.35, y, f"{counts[i, j]:,}", fontsize=9, ha="right")
        ax.text(0.75, y, f"{counts[i, j] / counts[i].sum():.0%}", fontsize=9, ha="right", color="0.35")
        ax.text(0.9, y, f"{shorten(names[i], 24)} → {shorten(names[j], 24)}", fontsize=9)
