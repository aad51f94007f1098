"""A confusion matrix on a page: a table where each class can be named, else a picture. Counts in, markup out."""

import base64
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from hf_imgcls.reports.html.markup import Markup, join, scrolling, tag

_TABLE = 25  # classes up to which it is a table
_PLOT, _LEAST, _CELL = 1000, 500, 9  # pixels of a picture's side at most and at least, and of a class
_SEEN = 3  # pixels of a cell, below which classes are drawn together
_RIGHT_COLOUR, _WRONG_COLOUR = (0, 84, 140), (196, 78, 0)  # blue and orange, told apart by colour-blind people


def matrix(counts: np.ndarray, names: Sequence[str], split: str) -> Markup:
    """Images by true class (rows) and predicted class (columns), coloured by their fraction of the true class."""
    name = f"Confusion matrix, {split}: rows are true classes, columns predicted ones"
    if len(names) <= _TABLE:
        return scrolling(_as_table(counts, names, name), name)
    every, block = _named_every(len(names))[0], math.ceil(len(names) / (_PLOT // _SEEN))
    note = f"One of {every} classes is named" + (f", and a cell has {block} of them a side." if block > 1 else ".")
    shown = scrolling(_as_picture(counts, names, name), name)
    return join([shown, tag("p", note, class_="note") if every > 1 else None])


def colours(counts: np.ndarray) -> np.ndarray:
    """Colours of the cells, uint8 of shape (classes, classes, 3): right ones blue, wrong ones orange, none white.

    The root of the fraction brings out rare confusions, which are what one looks for.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    strength = np.where(fractions > 0, 0.2 + 0.8 * np.sqrt(fractions), 0)[..., None]
    full = np.where(np.eye(len(counts), dtype=bool)[..., None], _RIGHT_COLOUR, _WRONG_COLOUR)
    return np.round(255 + (full - 255) * strength).astype(np.uint8)


def _as_table(counts: np.ndarray, names: Sequence[str], name: str) -> Markup:
    shades, images = colours(counts), counts.sum(axis=1)
    head = [tag("th", tag("span", each), scope="col", title=each) for each in names]
    rows = []
    for i, each in enumerate(names):
        cells = [_cell(counts[i, j], images[i], shades[i, j], i == j) for j in range(len(names))]
        rows.append(tag("tr", tag("th", each, scope="row"), cells))
    corner = tag("td", tag("div", "true ↓"), tag("div", "predicted →"), class_="corner")
    return tag("table", tag("thead", tag("tr", corner, head)), tag("tbody", rows), class_="matrix", aria_label=name)


def _cell(count: int, images: int, shade: np.ndarray, right: bool) -> Markup:
    if not count and not right:
        return tag("td")
    dark = shade.astype(float) @ (0.299, 0.587, 0.114) < 140
    style = f"background:rgb({','.join(map(str, shade))});color:{'#fff' if dark else '#111'}"
    return tag("td", f"{count:,}", style=style, title=f"{count / images:.1%} of {images:,}" if images else None)


def _as_picture(counts: np.ndarray, names: Sequence[str], name: str) -> Markup:
    classes = len(names)
    every, side = _named_every(classes)
    margin, cell = 130, side / classes
    labels = [
        tag("text", text, x=margin - 4, y=margin - above, text_anchor="end", class_="axis-name")
        for text, above in (("true ↓", 18), ("predicted →", 5))
    ]
    for i in range(0, classes, every):
        place, text = margin + (i + 0.5) * cell, names[i] if len(names[i]) <= 20 else f"{names[i][:19]}…"
        labels.append(tag("text", text, x=margin - 4, y=f"{place + 3:.1f}", text_anchor="end"))
        turned = f"rotate(-90 {place + 3:.1f} {margin - 4})"
        labels.append(tag("text", text, x=f"{place + 3:.1f}", y=margin - 4, transform=turned))
    picture = tag("image", href=_png(counts), x=margin, y=margin, width=side, height=side, preserveAspectRatio="none")
    frame = tag("rect", x=margin, y=margin, width=side, height=side, fill="none", stroke="#999")
    whole = margin + side + 2
    size = {"viewBox": f"0 0 {whole} {whole}", "width": whole, "height": whole}
    on_diagonal = f"{int(np.trace(counts)):,} of {int(counts.sum()):,} images lie on the diagonal"
    words = f"{name}. {classes:,} classes, too many for a table; {on_diagonal}"
    return tag("svg", picture, frame, labels, role="img", aria_label=words, class_="matrix", **size)


def _named_every(classes: int) -> tuple[int, int]:
    """Every how manieth class is named, and the pixels of the picture's side."""
    side = min(max(_LEAST, _CELL * classes), _PLOT)
    return math.ceil(classes * _CELL / side), side


def together(shades: np.ndarray, most: int) -> np.ndarray:
    """Colours of a matrix of at most so many cells a side, each the darkest of a block: rare confusions stay."""
    block = math.ceil(len(shades) / most)
    if block == 1:
        return shades
    rest = -len(shades) % block
    padded = np.pad(shades, ((0, rest), (0, rest), (0, 0)), constant_values=255)
    side = len(padded) // block
    cells = padded.reshape(side, block, side, block, 3).swapaxes(1, 2).reshape(side, side, block * block, 3)
    darkest = cells.sum(axis=-1, dtype=int).argmin(axis=-1)
    return np.take_along_axis(cells, darkest[..., None, None], axis=2)[:, :, 0]


def _png(counts: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(together(colours(counts), _PLOT // _SEEN)).save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
