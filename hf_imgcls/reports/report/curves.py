"""The curves of a training, a row of charts for each stage, over its epochs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hf_imgcls.reports.html.charts import line_chart
from hf_imgcls.reports.html.markup import Markup, tag
from hf_imgcls.reports.html.scale import Axes, Line
from hf_imgcls.scoring import metrics_in


def stage_curves(stage: Mapping[str, Any]) -> list[Markup]:
    """Loss, metrics and learning rate of a stage, from its record with `history` and `best_step`.

    Over epochs; a head that was solved has penalties in their place, a stream's training may have steps alone.
    """
    history = [entry for entry in stage["history"] if "step" in entry]
    key, x_name, x_ticks = x_axis(history)
    last = max((entry[key] for entry in history if key in entry), default=0)
    best = next((e[key] for e in history if e["step"] == stage["best_step"] and key in e), None)
    span = (1, last) if key == "step" and last > 1 else (0, last)
    marked = None if best is None else (best, f"best: {x_name} {dict(x_ticks).get(best, f'{best:.4g}')}")
    metrics = {name: each for entry in history for name, each in metrics_in(entry, "eval_").items() if name != "loss"}
    accuracies = [("train_accuracy", "training accuracy", 0)] if _has(history, "train_accuracy") else []
    accuracies += [(f"eval_{name}", f"validation {each.name}", i) for i, (name, each) in enumerate(metrics.items(), 1)]
    panels = {
        "Loss": [("loss", "training", 0), ("eval_loss", "validation", 1)],
        "Metrics": accuracies,
        "Learning rate": [("learning_rate", "", 0)],
    }
    axes = {title: Axes(title, x_name, span, marked=marked, x_ticks=x_ticks) for title in panels}
    charts = [_chart(history, key, lines, axes[title]) for title, lines in panels.items()]
    return [chart for chart in charts if chart]


def x_axis(history: Sequence[Mapping]) -> tuple[str, str, list[tuple[float, str]]]:
    """The key of the log that is the horizontal axis, its name, and the names of its places where they have any."""
    if any("penalty" in entry for entry in history):
        return "step", "penalty", [(entry["step"], f"{entry['penalty']:g}") for entry in history]
    return ("epoch", "epoch", []) if any("epoch" in entry for entry in history) else ("step", "step", [])


def series(history: Sequence[Mapping], x: str, key: str) -> tuple[np.ndarray, np.ndarray]:
    """What was logged under a key, and where; what is not a number becomes NaN."""
    points = [(entry[x], entry[key]) for entry in history if key in entry and x in entry]
    where, values = np.array(points, dtype=float).reshape(-1, 2).T  # None becomes NaN
    return where, np.where(np.isfinite(values), values, np.nan)


def _has(history: Sequence[Mapping], key: str) -> bool:
    return any(key in entry for entry in history)


def _chart(history: Sequence[Mapping], x: str, keys: Sequence[tuple[str, str, int]], axes: Axes) -> Markup | None:
    lines = [Line(name, *series(history, x, key), place) for key, name, place in keys if _has(history, key)]
    if not lines:
        return None
    words = "; ".join(f"{line.name or axes.title} {_first_and_last(line.y)}" for line in lines)
    best = f" Best at {axes.x_name} {axes.marked[0]:.4g}." if axes.marked else ""
    return line_chart(lines, axes, f"{axes.title} over {axes.x_name}: {words}.{best}")


def _first_and_last(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not known.size:
        return "without a number"
    return f"{known[0]:.4g}" if known.size == 1 else f"from {known[0]:.4g} to {known[-1]:.4g}"


def curves_section(stages: Sequence[Mapping]) -> list[Markup]:
    """All stages of a run, each under its name where there are several."""
    parts = []
    for stage in stages:
        if len(stages) > 1:
            of = f" of network {stage['network']}" if "network" in stage else ""
            parts.append(tag("h3", f"Stage {stage['stage']}{of}"))
        charts = stage_curves(stage)
        parts.append(tag("div", charts, class_="charts") if charts else tag("p", "Nothing was logged.", class_="note"))
    return parts
