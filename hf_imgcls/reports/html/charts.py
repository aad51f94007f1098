"""Charts as SVG. Arrays in, markup out; 360 wide, so that text is as large on a phone as beside it."""

import math
from collections.abc import Sequence

import numpy as np

from hf_imgcls.reports.html.markup import Markup, tag
from hf_imgcls.reports.html.scale import BLACK, BLUE, BOTTOM, COLOURS, DASHES, HEIGHT, ORANGE, WIDTH, Axes, Line, Scale

MOST_POINTS = 300


def thinned(line: Line, most: int = MOST_POINTS) -> Line:
    """A curve of at most so many points, each the mean of neighbours."""
    if len(line.x) <= most:
        return line
    parts = [np.array_split(np.asarray(each, float), most) for each in (line.x, line.y)]
    return line._replace(x=np.array([p.mean() for p in parts[0]]), y=np.array([_mean(p) for p in parts[1]]))


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan


def line_chart(lines: Sequence[Line], axes: Axes, description: str) -> Markup:
    """Curves over one axis. A curve of few points shows each; the marked place lies inside the axes."""
    lines = [thinned(line) for line in lines]
    scale = Scale(axes, _values(lines, axes.logarithmic))
    drawn = [scale.frame(), *(scale.curve(line) for line in lines)]
    if axes.marked:
        drawn.append(scale.mark(*axes.marked))
    return chart(axes.title, drawn, _legend(lines), description)


def chart(title: str, drawn: Sequence[Markup], legend: Markup | None, description: str) -> Markup:
    """A drawing under its title, with what it shows in words for those who do not see it."""
    svg = tag("svg", *drawn, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=description, class_="chart")
    return tag("figure", tag("figcaption", title), svg, legend, class_="chart")


def _values(lines: Sequence[Line], logarithmic: bool) -> np.ndarray:
    found = np.concatenate([[], *(np.asarray(line.y, float) for line in lines)])
    return found[np.isfinite(found) & ((found > 0) | (not logarithmic))]


def _legend(lines: Sequence[Line]) -> Markup | None:
    named = [line for line in lines if line.name]
    if not named:
        return None
    return tag("div", [tag("span", sample(line.place), " ", line.name) for line in named], class_="legend")


def sample(place: int) -> Markup:
    """A piece of a curve, for a legend."""
    stroke = {"stroke": COLOURS[place % 6], "stroke_width": 2.5, "stroke_dasharray": DASHES[place % 6]}
    return tag(
        "svg", tag("line", x1=0, y1=5, x2=26, y2=5, **stroke), viewBox="0 0 26 10", class_="sample", aria_hidden="true"
    )


def reliability_chart(bins: Sequence[dict], title: str) -> Markup:
    """Accuracy over score, a bar for each bin of `scoring.reliability`, with the mean score in it as a line."""
    axes = Axes(title, "score of the prediction", (0, 1), (0, 1))
    scale, total = Scale(axes, np.zeros(0)), sum(each["images"] for each in bins)
    drawn = [scale.frame()]
    for each in bins:
        left, right = (float(scale.x(each[key])) + side for key, side in (("low", 1), ("high", -1)))
        top, middle = float(scale.y(each["accuracy"])), float(scale.y(each["score"]))
        box = {"x": f"{left:.1f}", "width": f"{right - left:.1f}"}
        text = (
            f"score {each['low']:.2f} to {each['high']:.2f}: {each['images']:,} images, accuracy {each['accuracy']:.1%}"
        )
        share = 0.2 + 0.8 * math.sqrt(each["images"] / total)
        bar = {**box, "y": f"{top:.1f}", "height": f"{BOTTOM - top:.1f}", "fill": BLUE, "fill_opacity": f"{share:.2f}"}
        drawn.append(
            tag(
                "g",
                tag("title", text),
                tag("rect", **bar),
                tag(
                    "line",
                    x1=f"{left:.1f}",
                    x2=f"{right:.1f}",
                    y1=f"{middle:.1f}",
                    y2=f"{middle:.1f}",
                    stroke=ORANGE,
                    stroke_width=2.5,
                ),
            )
        )
    ends = {"x1": scale.x(0), "y1": scale.y(0), "x2": scale.x(1), "y2": scale.y(1)}
    drawn.append(tag("line", **ends, stroke=BLACK, stroke_width=1, stroke_dasharray="3 3"))
    words = "; ".join(f"{b['low']:.2f} to {b['high']:.2f}: {b['accuracy']:.0%} of {b['images']:,}" for b in bins)
    named = {" accuracy (darker: more images)": (10, BLUE), " mean score": (3, ORANGE)}
    key = tag("div", [tag("span", _box(*box), name) for name, box in named.items()], class_="legend")
    return chart(title, drawn, key, f"Accuracy by score of the prediction. {words}")


def _box(height: int, colour: str) -> Markup:
    box = tag("rect", x=2, y=5 - height / 2, width=22, height=height, fill=colour)
    return tag("svg", box, viewBox="0 0 26 10", class_="sample", aria_hidden="true")
