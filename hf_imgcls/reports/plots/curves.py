"""Curves of a run across its stages: loss, metrics, learning rate. The trainer's log in, figure out."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hf_imgcls.reports.plots.gallery import DPI
from hf_imgcls.scoring import metrics_in

# A panel: its axis' name, and for each key of the log its name and colour.
_LOSSES = ("loss", {"loss": ("training", "C0"), "eval_loss": ("validation", "C1")})
_COLOURS = ("C1", "C4", "C2", "C5", "C6", "C8", "C9")  # of metrics; blue is the training's, red the best step's
_RATES = ("learning rate", {"learning_rate": (None, "C0")})
_RUNNING = ("loss", "train_accuracy")  # of the training batches: smoothed where there are many points
_MANY = 60

Points = np.ndarray  # steps across stages and values, shape (2, points)


def curves(history: Sequence[Mapping], best: Mapping[int, int]) -> Figure:
    """Loss, metrics of validation, accuracy of training and learning rate over the steps of all stages.

    Args:
        history: entries of the trainer's log: `step` within its stage, `stage` from 1 (left out where there is one),
            and what was logged. A value that is no number (null, NaN) leaves a gap and a cross below it.
        best: the best step of each stage that has one.
    """
    spans = stage_spans(history)
    found = {key: metric for entry in history for key, metric in metrics_in(entry, "eval_").items() if key != "loss"}
    named = {f"eval_{key}": f"validation {metric.name}" for key, metric in found.items()}
    metrics = {key: (name, colour) for (key, name), colour in zip(named.items(), cycle(_COLOURS))}
    if any("train_accuracy" in entry for entry in history):
        metrics = {"train_accuracy": ("training accuracy", "C0"), **metrics}
    panels = [_LOSSES, ("metrics", metrics), _RATES] if metrics else [_LOSSES, _RATES]
    heights = [3, 3, 1.4] if metrics else [3, 1.4]
    if metrics and all("penalty" in entry for entry in history):  # of heads that were solved, which have no rate
        del panels[-1], heights[-1]
    figure = Figure(figsize=(8, 1 + 0.8 * sum(heights)), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(panels), sharex=True, height_ratios=heights)
    for ax, (title, keys) in zip(axes, panels, strict=True):
        drawn = {key: _by_stage(history, key, spans) for key in keys}
        for key, points in drawn.items():
            _draw(ax, list(points.values()), *keys[key], smooth=key in _RUNNING)
        if title != "learning rate":
            for number, (stage, step) in enumerate(best.items()):
                scored = [drawn[key].get(stage) for key in keys if key not in _RUNNING]
                _mark_best(ax, scored, spans[stage][0] + step, number == 0)
        _mark_gaps(ax, [part for points in drawn.values() for part in points.values()])
        ax.set_ylabel(title)
        if keys is metrics and all(np.nanmax(part[1], initial=0) <= 1 for p in drawn.values() for part in p.values()):
            low, high = ax.get_ylim()  # of fractions that are all 1, the axis would go beyond
            ax.set_ylim(min(low, 0.9 * high), min(high, 1.01))
    _finish(axes, spans)
    if panels[-1] is _RATES:
        _scale_rate(axes[-1])
    return figure


def stage_spans(history: Iterable[Mapping]) -> dict[int, tuple[int, int]]:
    """First and last step of each stage, counted across stages; a stage begins where the one before it ended."""
    lengths: dict[int, int] = {}
    for entry in history:
        stage = entry.get("stage", 1)
        lengths[stage] = max(lengths.get(stage, 0), entry["step"])
    spans, end = {}, 0
    for stage in sorted(lengths):
        spans[stage] = (end, end + lengths[stage])
        end += lengths[stage]
    return spans


def smoothed(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean of each value and its neighbours as far as `reach` on both sides; what is not a number stays so."""
    known = np.isfinite(values)
    kernel = np.ones(2 * reach + 1)
    total = np.convolve(np.pad(np.where(known, values, 0), reach), kernel, "valid")
    count = np.convolve(np.pad(known.astype(float), reach), kernel, "valid")
    return np.where(known, total / np.maximum(count, 1), np.nan)


def _by_stage(history: Sequence[Mapping], key: str, spans: Mapping) -> dict[int, Points]:
    """What was logged under a key, for each stage that logged it."""
    found = {}
    for stage, (start, _) in spans.items():
        points = [(start + e["step"], e[key]) for e in history if e.get("stage", 1) == stage and key in e]
        if points:
            found[stage] = np.array(points, dtype=float).T  # None becomes NaN
            found[stage][1, ~np.isfinite(found[stage][1])] = np.nan
    return found


def _draw(ax: Axes, stages: Sequence[Points], label: str | None, colour: str, smooth: bool) -> None:
    """A line for each stage, under one label: what happens between two stages is not a slope."""
    smooth = smooth and sum(points.shape[1] for points in stages) > _MANY
    for number, (steps, values) in enumerate(stages):
        if smooth:
            ax.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
            values = smoothed(values, max(1, len(steps) // 25))
        name = label if number == 0 else None
        ax.plot(steps, values, "o-" if len(steps) <= 25 else "-", markersize=3, color=colour, label=name)


def _mark_best(ax: Axes, curves_of_stage: Sequence[Points | None], step: int, named: bool) -> None:
    ax.axvline(step, color="crimson", linestyle=":", linewidth=1.2, label="best step" if named else None)
    values = [points[1, points[0] == step] for points in curves_of_stage if points is not None]
    for value in np.concatenate([[], *values]):
        ax.plot(step, value, "o", markersize=8, markerfacecolor="none", color="crimson")


def _mark_gaps(ax: Axes, parts: Sequence[Points]) -> None:
    steps = np.unique(np.concatenate([[], *(points[0, np.isnan(points[1])] for points in parts)]))
    if steps.size:
        bottom = np.full(steps.shape, 0.03)
        ax.plot(
            steps, bottom, "x", transform=ax.get_xaxis_transform(), color="black", markersize=5, label="not a number"
        )


def _finish(axes: Sequence[Axes], spans: Mapping[int, tuple[int, int]]) -> None:
    last = max(1, *(end for _, end in spans.values()))
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="0.9")
        for start, _ in list(spans.values())[1:]:
            ax.axvline(start, color="0.5", linestyle="--", linewidth=0.9)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize=9)
    for stage, (start, end) in spans.items() if len(spans) > 1 else ():
        name = f"stage {stage}" if end - start > 0.08 * last else str(stage)
        axes[0].text((start + end) / 2, 1.02, name, transform=axes[0].get_xaxis_transform(), ha="center")
    axes[-1].set_xlabel("step")
    axes[-1].set_xlim(0, last * 1.02)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))


def _scale_rate(ax: Axes) -> None:
    """Logarithmic where stages differ by so much that the lower ones would lie on the axis."""
    peaks = [np.nanmax(line.get_ydata(), initial=0) for line in ax.lines if line.get_linestyle() == "-"]
    peaks = [peak for peak in peaks if peak > 0]
    if peaks and max(peaks) > 8 * min(peaks):
        ax.set_yscale("log", nonpositive="mask")
        ax.set_ylim(min(peaks) / 20, max(peaks) * 2)
    else:
        ax.set_ylim(bottom=0)
