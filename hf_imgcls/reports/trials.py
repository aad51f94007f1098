"""The trials of a search: their table and their plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hf_imgcls.reports.plots.drawing import import_plots, save
from hf_imgcls.words import as_json, duration

_ROWS = 40  # of a table on the console
_CELL = 24  # characters


class TrialRow(NamedTuple):
    """A trial: its number from 1, its state (complete, stopped, failed, running) and its value where it is complete.

    `reported` are the values of its evaluations, `values` those of the recipe's keys; `why` it was stopped.
    """

    number: int
    state: str
    value: float | None
    reported: tuple[float, ...]
    values: dict[str, Any]
    seconds: float | None
    why: str


def best_trial(rows: Sequence[TrialRow], maximize: bool) -> TrialRow | None:
    """The complete trial with the best value; of equal ones the first."""
    complete = [row for row in rows if row.value is not None]
    return min(complete, key=lambda row: -row.value if maximize else row.value, default=None)


def trial_table(rows: Sequence[TrialRow], metric: str, best: TrialRow | None) -> list[str]:
    """The lines of a table of the trials, the first and the last of many; `*` marks the best."""
    keys = list(dict.fromkeys(key for row in rows for key in row.values))
    lines = [["trial", "state", metric, *keys, "time"]]
    for row in rows:
        shown = f"{row.value:.4f}" if row.value is not None else "-"
        cells = [_cell(row.values[key]) if key in row.values else "-" for key in keys]
        time = duration(row.seconds) if row.seconds is not None else "-"
        lines.append([str(row.number), row.state, shown + (" *" if row is best else "  "), *cells, time])
    if len(lines) > _ROWS:
        lines = [*lines[: _ROWS // 2], ["..."] * len(lines[0]), *lines[-_ROWS // 2 :]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def trial_cells(rows: Sequence[TrialRow], keys: Sequence[str]) -> list[list[Any]]:
    """The rows of trials.csv, behind its heading: trial, state, value, evaluations, the keys, seconds, why."""
    return [
        [row.number, row.state, row.value, len(row.reported)]
        + [as_json(row.values[key]) if key in row.values else None for key in keys]
        + [row.seconds, row.why]
        for row in rows
    ]


def draw_trials(
    folder: Path,
    rows: Sequence[TrialRow],
    metric: tuple[str, TrialRow],
    keys: Sequence[str],
    logarithmic: Sequence[str],
) -> None:
    """trials.png: the values of complete trials in their order, and over each key; `metric` with the best trial."""
    complete = [row for row in rows if row.value is not None]
    columns = {
        key: [row.values[key] if _numbers(complete, key) else _cell(row.values[key]) for row in complete]
        for key in keys
    }
    tried = [row.number for row in complete], [row.value for row in complete]
    save(
        import_plots("trials").trials(*tried, columns, (metric[0], complete.index(metric[1])), logarithmic),
        folder,
        "trials.png",
    )


def _numbers(rows: Sequence[TrialRow], key: str) -> bool:
    return all(isinstance(row.values[key], int | float) and not isinstance(row.values[key], bool) for row in rows)


def _cell(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else as_json(value)
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"
