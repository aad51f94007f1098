"""Points of a map as SVG: groups by colour and marker, others grey, wrong ones ringed. Arrays in, markup out."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hf_imgcls.reports.html.markup import Markup, tag
from hf_imgcls.reports.html.scale import COLOURS

MOST_GROUPS = len(COLOURS)  # with a colour and a marker of its own
_WIDTH, _LEAST, _MOST, _MARGIN = 360, 150, 330, 14
_GREY, _RING = "#8a949e", "#111"
_TOLD = 400  # rings that name their image when the pointer is on them

# Drawn from the point on; a stroke without length shows its cap alone, a dot or a square.
_SHAPES = ("h.01", "h.01", "m0-2.4l2.3 4h-4.6z", "m0-2.8l2.6 2.8l-2.6 2.8l-2.6-2.8z", "m-2.4 0h4.8m-2.4-2.4v4.8",
           "m-1.9-1.9l3.8 3.8m0-3.8l-3.8 3.8")  # fmt: skip
_STYLES = (
    {"stroke_width": 4, "stroke_linecap": "round"},
    {"stroke_width": 3.6, "stroke_linecap": "square"},
    *[{"stroke_width": 1.1}] * 2,
    *[{"stroke_width": 1.5}] * 2,
)


class Points(NamedTuple):
    """What a map shows.

    Attributes:
        places: shape (points, 2), in one unit on both axes.
        groups: of each point its number in `names`, -1 of the others; shape (points,).
        names: of the groups, at most MOST_GROUPS, for the legend.
        others: what the others are, for the legend.
        wrong: which points are ringed, shape (points,).
        words: what each wrong one is, in their order.
    """

    places: np.ndarray
    groups: np.ndarray
    names: Sequence[str]
    others: str
    wrong: np.ndarray
    words: Sequence[str]


def point_map(title: str, points: Points, axes: tuple[str, str], description: str) -> Markup:
    """A figure with a legend.

    Args:
        axes: their names, the horizontal one first.
        description: for those who do not see it.
    """
    places, height = _placed(points.places)
    drawn = [_frame(height, axes), _markers(places[points.groups < 0], None)]
    drawn += [_markers(places[points.groups == number], number) for number in range(len(points.names))]
    drawn.append(_rings(places[points.wrong], points.words))
    box = f"0 0 {_WIDTH} {height + 2 * _MARGIN + 6}"
    svg = tag("svg", drawn, viewBox=box, role="img", aria_label=description, class_="chart")
    legend = [tag("span", _sample(number), " ", name) for number, name in enumerate(points.names)]
    if points.others:
        legend.append(tag("span", _sample(None), " ", points.others))
    if points.wrong.any():
        legend.append(tag("span", _ring_sample(), " predicted wrongly"))
    return tag("figure", tag("figcaption", title), svg, tag("div", legend, class_="legend"), class_="chart map")


def _placed(values: np.ndarray) -> tuple[np.ndarray, int]:
    """Places in the drawing, in which both axes have the same scale, and its height."""
    low, high = values.min(axis=0), values.max(axis=0)
    width, span = _WIDTH - 2 * _MARGIN, np.maximum(high - low, 1e-12 + 1e-9 * np.abs(high).max())
    height = int(np.clip(math.ceil(width * span[1] / span[0]), _LEAST, _MOST))
    scale = min((width - 10) / span[0], (height - 10) / span[1])
    middle = np.array([_WIDTH / 2, _MARGIN + height / 2])
    return middle + (values - (low + high) / 2) * (scale, -scale), height


def _frame(height: int, axes: tuple[str, str]) -> Markup:
    box = tag("rect", x=_MARGIN, y=_MARGIN, width=_WIDTH - 2 * _MARGIN, height=height, fill="none", stroke="#e4e8ec")
    below = tag("text", axes[0], x=_WIDTH / 2, y=height + 2 * _MARGIN + 2, text_anchor="middle")
    x, y = _MARGIN - 4, _MARGIN + height / 2
    beside = tag("text", axes[1], x=x, y=y, text_anchor="middle", transform=f"rotate(-90 {x} {y})")
    return tag("g", box, below, beside)


def _markers(places: np.ndarray, number: int | None) -> Markup | None:
    """All points of a group as one path; None of the others."""
    if not len(places):
        return None
    return tag("path", d=_path(places, number), **_style(number))


def _path(places: np.ndarray, number: int | None) -> str:
    shape = _SHAPES[0 if number is None else number]
    return "".join(f"M{x:.1f} {y:.1f}{shape}" for x, y in places)


def _style(number: int | None) -> dict:
    if number is None:
        return {"fill": "none", "stroke": _GREY, "stroke_width": 2.6, "stroke_linecap": "round", "stroke_opacity": 0.6}
    filled = COLOURS[number] if number in (2, 3) else "none"
    return {"fill": filled, "stroke": COLOURS[number], "stroke_opacity": 0.8, "fill_opacity": 0.8, **_STYLES[number]}


def _rings(places: np.ndarray, words: Sequence[str]) -> Markup | None:
    if not len(places):
        return None
    rings = [_ring(x, y, tag("title", told)) for (x, y), told in zip(places[:_TOLD], words, strict=False)]
    return tag("g", rings, [_ring(x, y) for x, y in places[_TOLD:]], fill="#fff", fill_opacity=0, stroke=_RING)


def _ring(x: float, y: float, inner: Markup | None = None) -> Markup:
    return tag("g", inner, tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=4.4))


def _sample(number: int | None) -> Markup:
    drawn = tag("path", d=_path(np.array([[6.0, 6.0]]), number), **_style(number))
    return tag("svg", drawn, viewBox="1.5 1.5 9 9", class_="marker", aria_hidden="true")


def _ring_sample() -> Markup:
    ring = tag("circle", cx=6, cy=6, r=4.4, fill="none", stroke=_RING)
    return tag("svg", ring, viewBox="0 0 12 12", class_="marker", aria_hidden="true")
