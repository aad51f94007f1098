"""From values to places in a drawing: the axes of a chart as SVG, and curves in them."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hf_imgcls.reports.html.markup import Markup, tag

# Told apart by colour-blind people (Okabe and Ito, 2008), and by marks and dashes without any colour.
BLUE, ORANGE, GREEN, PURPLE, BLACK, SKY = "#0072B2", "#D55E00", "#007A5A", "#AA4499", "#222222", "#56B4E9"
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, BLACK, SKY)
DASHES = (None, "6 3", "2 2", "8 3 2 3", "1 3", "4 4")
WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 342, 22, 190
_LETTER = 6.2  # width of a digit in the text of a chart


class Line(NamedTuple):
    """A curve: values of shape (points,) at `x`; what is not a number leaves a gap. `place` chooses colour and dash."""

    name: str
    x: np.ndarray
    y: np.ndarray
    place: int = 0


class Axes(NamedTuple):
    """What the axes show; `y_range` where it is not that of the values, `marked` is a place on x with its name.

    `x_ticks` are places with their names, in place of round numbers.
    """

    title: str
    x_name: str
    x_range: tuple[float, float]
    y_range: tuple[float, float] | None = None
    logarithmic: bool = False
    marked: tuple[float, str] | None = None
    x_ticks: Sequence[tuple[float, str]] = ()


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from low to high, at most so many."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


class Scale:
    """From values to places in the drawing."""

    def __init__(self, axes: Axes, values: np.ndarray):
        self.axes = axes
        low, high = axes.y_range or (values.min(), values.max()) if values.size or axes.y_range else (0.0, 1.0)
        if axes.logarithmic:
            low, high = math.log10(low), math.log10(high)
        room = 0 if axes.y_range else 0.05 * (high - low) or 0.1 * abs(high) or 0.1
        self.low, self.high = low - room, high + room
        if not axes.logarithmic and not axes.y_range and values.size and values.min() >= 0:
            self.low = max(0.0, self.low)

    def x(self, value) -> np.ndarray:
        low, high = self.axes.x_range
        return LEFT + (np.asarray(value, float) - low) / ((high - low) or 1) * (RIGHT - LEFT)

    def y(self, value) -> np.ndarray:
        value = np.asarray(value, float)
        if self.axes.logarithmic:
            with np.errstate(divide="ignore", invalid="ignore"):
                value = np.where(value > 0, np.log10(value), np.nan)
        return BOTTOM - (value - self.low) / (self.high - self.low) * (BOTTOM - TOP)

    def frame(self) -> Markup:
        """Grid, numbers and the name of the horizontal axis."""
        parts = []
        if self.axes.logarithmic:
            shown = [10.0**i for i in range(math.ceil(self.low), math.floor(self.high) + 1)]
            shown = shown if len(shown) > 1 else [10.0**each for each in (self.low, self.high)]
        else:
            shown = ticks(self.low, self.high)
        for value in shown:
            y = f"{float(self.y(value)):.1f}"
            parts.append(tag("line", x1=LEFT, x2=RIGHT, y1=y, y2=y, class_="grid"))
            parts.append(tag("text", short_number(value), x=LEFT - 6, y=f"{float(y) + 4:.1f}", text_anchor="end"))
        free = -math.inf  # from where on a name does not touch the one before it
        for value, written in self.axes.x_ticks or [(v, short_number(v)) for v in ticks(*self.axes.x_range, 6)]:
            place, half = float(self.x(value)), _LETTER / 2 * len(written)
            x = f"{place:.1f}"
            parts.append(tag("line", x1=x, x2=x, y1=BOTTOM, y2=BOTTOM + 4, class_="axis"))
            if place - half >= free:
                parts.append(tag("text", written, x=x, y=BOTTOM + 17, text_anchor="middle"))
                free = place + half + _LETTER
        parts.append(tag("line", x1=LEFT, x2=RIGHT, y1=BOTTOM, y2=BOTTOM, class_="axis"))
        name = tag("text", self.axes.x_name, x=(LEFT + RIGHT) / 2, y=BOTTOM + 34, text_anchor="middle")
        return tag("g", parts, name, class_="frame")

    def curve(self, line: Line) -> Markup:
        """A polyline for each part without gaps; points where there are few."""
        places = np.stack([self.x(line.x), self.y(line.y)], axis=1)
        known = np.isfinite(places).all(axis=1)
        runs = [run for run in np.split(places, np.flatnonzero(~known)) if np.isfinite(run).all(axis=1).any()]
        runs = [run[np.isfinite(run).all(axis=1)] for run in runs]
        colour = COLOURS[line.place % 6]
        style = {"fill": "none", "stroke": colour, "stroke_width": 2, "stroke_dasharray": DASHES[line.place % 6]}
        drawn = [tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in run), **style) for run in runs]
        if known.sum() <= 25:
            drawn += [tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.8, fill=colour) for x, y in places[known]]
        return tag("g", drawn)

    def mark(self, place: float, name: str) -> Markup:
        """A dotted line with its name on the side where there is room."""
        x = float(self.x(np.clip(place, *self.axes.x_range)))
        left = x > (LEFT + RIGHT) / 2
        text = tag(
            "text", name, x=f"{x - 4 if left else x + 4:.1f}", y=TOP - 7, text_anchor="end" if left else "start",
            class_="marked",
        )  # fmt: skip
        return tag("g", tag("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=TOP, y2=BOTTOM, class_="marked"), text)


def short_number(value: float) -> str:
    """A number of an axis: 0.25, 12, 1,200, 3e-05."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e6):
        digits, power = f"{value:.1e}".split("e")
        return f"{digits.removesuffix('.0')}e{int(power)}"
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"
