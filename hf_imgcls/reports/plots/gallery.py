"""Plots of images: a gallery, augmented images, mixed batches. Arrays in, figure out.

Images are uint8 arrays of shape (height, width, 3). Figures are saved as large as what is drawn in them.
"""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hf_imgcls.reports.plots.typefaces import set_fonts, shorten

DPI = 120
_GAP = 0.05  # inches between images


def gallery(images: Sequence[np.ndarray], labels: Sequence[str]) -> Figure:
    """Images of any shape, each below its label."""
    columns = min(len(images), max(4, math.ceil(math.sqrt(len(images)))))
    rows = [images[first : first + columns] for first in range(0, len(images), columns)]
    figure, _ = _grid(rows, 1.25, between=0.23)
    for ax, label in zip(figure.axes, labels, strict=True):
        ax.set_title(shorten(label, 16), fontsize=9, pad=3)
    return set_fonts(figure, labels)


def captioned(images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 8, side: float = 1.25) -> Figure:
    """Images of any shape, each above its caption of several lines, as many in a row; their longer side in inches."""
    rows = [images[first : first + columns] for first in range(0, len(images), columns)]
    lines = max(caption.count("\n") + 1 for caption in captions)
    widest = max(image.shape[1] / max(image.shape[:2]) for image in images)
    size = 7 if side < 2 else 9  # points
    figure, axes = _grid(rows, side, between=0.02 * size * lines + 0.05)
    for ax, caption in zip((ax for row in axes for ax in row), captions, strict=True):
        text = "\n".join(shorten(line, round(112 * side * widest / size)) for line in caption.split("\n"))
        _write(ax, (0.5, -0.03), text, ha="center", va="top", fontsize=size, linespacing=1.1)
    return set_fonts(figure, captions)


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], titles: Sequence[str]) -> Figure:
    """A row of images for each class, with its title on the left."""
    figure, axes = _grid(rows, 1.0, between=0)
    for title, line in zip(titles, axes, strict=True):
        _write(line[0], (-0.05, 0.5), shorten(title, 28), ha="right", va="center", fontsize=9)
    return set_fonts(figure, titles)


def augmented(originals: Sequence[np.ndarray], draws: Sequence[Sequence[np.ndarray]], labels: Sequence[str]) -> Figure:
    """A row for each image: as it is, then the draws of it that training sees, as many for each."""
    rows = [[original, *made] for original, made in zip(originals, draws, strict=True)]
    figure, axes = _grid(rows, 1.1, between=0)
    for label, line in zip(labels, axes, strict=True):
        _write(line[0], (-0.05, 0.5), shorten(label, 18), ha="right", va="center", fontsize=9)
    made = len(rows[0]) - 1
    headers = ["original", *([f"draw {n}" for n in range(1, made + 1)] if made > 1 else ["in training"])]
    for header, ax in zip(headers, axes[0], strict=True):
        ax.set_title(header, fontsize=9, pad=4, color="0.35")
    return set_fonts(figure, labels)


def mixed(
    batches: Sequence[Sequence[np.ndarray]], soft_labels: np.ndarray, names: Sequence[str], titles: Sequence[str]
) -> Figure:
    """Batches of mixed images, a row each with its title; below each image its classes and their fractions.

    Args:
        soft_labels: fractions of the classes, shape (batches, images, classes).
    """
    figure, axes = _grid(batches, 1.25, between=0.4)
    for title, line, batch in zip(titles, axes, soft_labels, strict=True):
        _write(line[0], (-0.05, 0.5), title, ha="right", va="center", fontsize=9, color="0.35")
        for ax, fractions in zip(line, batch, strict=True):
            best = [i for i in np.argsort(-fractions, kind="stable")[:2] if fractions[i] >= 0.005]
            text = "\n".join(f"{fractions[i]:.0%} {shorten(names[i], 14)}" for i in best)
            _write(ax, (0.5, -0.03), text, ha="center", va="top", fontsize=8, linespacing=1.1)
    return set_fonts(figure, names)


def _grid(rows: Sequence[Sequence[np.ndarray]], side: float, between: float) -> tuple[Figure, list[list[Axes]]]:
    """Images in rows; the longer side of an image and the room between rows in inches. The axes as a list a row."""
    shapes = [np.array(p.shape[:2]) / max(p.shape[:2]) for row in rows for p in row]
    height, width = cell = np.max(shapes, axis=0)  # against the longer side: no cell is higher than the highest image
    figure = Figure(figsize=(1, 1), dpi=DPI)
    axes = []
    for r, row in enumerate(rows):
        bottom = -r * (side * height + _GAP + between)
        boxes = [(c * (side * width + _GAP), bottom, side * width, side * height) for c in range(len(row))]
        axes.append([figure.add_axes(box) for box in boxes])
        for image, ax in zip(row, axes[-1], strict=True):
            _show(ax, image, cell)
    return figure, axes


def _show(ax: Axes, image: np.ndarray, cell: np.ndarray) -> None:
    """An image in its cell (height and width against its longer side): at the top, next to its label, and centred."""
    h, w = image.shape[:2]
    height, width = max(h, w) * cell
    ax.imshow(image, aspect="auto")
    ax.set_xlim((w - width) / 2 - 0.5, (w + width) / 2 - 0.5)
    ax.set_ylim(height - 0.5, -0.5)
    ax.set_axis_off()
    ax.set(xticks=[], yticks=[])  # or they are made all the same where the texts of a figure are gone through


def _write(ax: Axes, at: tuple[float, float], text: str, **style) -> None:
    """Text beside an image, placed in fractions of its cell."""
    ax.text(*at, text, transform=ax.transAxes, **style)
