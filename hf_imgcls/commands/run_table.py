"""Rows of runs as a table for a terminal, as JSON and as CSV."""

import json
import time
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

from hf_imgcls.commands.run_rows import SPLITS, Row, main_metric
from hf_imgcls.scoring import METRICS
from hf_imgcls.store import FoundRun
from hf_imgcls.words import clean, columns, duration, plural

_SHOWN = {"model.checkpoint", "model.architecture", "data.path"}  # in columns of their own
_LONG = 40  # characters of a value in the table
_FIRST = ["run", "kind", "state", "reason", "date", "model", "data", "seconds"]  # columns of CSV


def table_of(rows: Sequence[Row], width: int) -> list[str]:
    """Lines of a table, at most so many columns wide; members stand behind their run, further in."""
    heading = ["run", "state", "date", "model", "data", "validation", "test", "time", "differs in"]
    cells = [heading, *(_cells(row, depth) for row, depth in _with_members(rows))]
    widths = [max(columns(line[place]) for line in cells) for place in range(len(heading) - 1)]
    lines = []
    for line in cells:
        padded = [cell + " " * (wide - columns(cell)) for cell, wide in zip(line[:-1], widths, strict=True)]
        lines.append(cut("  ".join([*padded, line[-1]]).rstrip(), width))
    return lines


def _with_members(rows: Sequence[Row], depth: int = 0) -> Iterator[tuple[Row, int]]:
    for row in rows:
        yield row, depth
        yield from _with_members(row.members, depth + 1)


def _cells(row: Row, depth: int) -> list[str]:
    run = row.run
    name = "  " * depth + (run.folder.name if depth else str(run.folder))
    state = f"{run.state} ({_count(run)})" if run.kind in ("seeds", "folds") else run.state
    differs = "; ".join(f"{key}={_value(value)}" for key, value in row.differs.items() if key not in _SHOWN)
    reason = run.reason if run.state != "running" else ""
    scores = [_score(row, split) for split in SPLITS]
    taken = "-" if row.seconds is None else duration(row.seconds)
    shown = [name, state, date_of(run), row.model or "-", row.data or "-", *scores, taken]
    shown.append("; ".join(filter(None, (reason, differs))))
    return [
        unicodedata.normalize("NFC", clean(" ".join(cell.split()) if place else cell))
        for place, cell in enumerate(shown)
    ]


def _count(run: FoundRun) -> str:
    """`3 seeds`, or `2 of 3 seeds` where mean and deviation are of so many."""
    summed, there = run.results.get("runs"), plural(len(run.members), run.kind.removesuffix("s"))
    return f"{len(summed)} of {there}" if isinstance(summed, list) and len(summed) != len(run.members) else there


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"


def _score(row: Row, split: str) -> str:
    scores = row.scores.get(split)
    if not scores:
        return "-"
    metric = main_metric(scores)
    value, spread = scores[metric], row.spread.get(split, {}).get(metric)
    text = "nan" if value is None else f"{value:.4f}"
    text += "" if spread is None else f" ± {spread:.4f}"
    return text if metric == "accuracy" else f"{METRICS[metric].name if metric in METRICS else metric} {text}"


def date_of(run: FoundRun) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(run.date))
    except (OverflowError, OSError, ValueError):  # no date that this machine has
        return "-"


def cut(text: str, width: int) -> str:
    """A line in at most so many columns."""
    if columns(text) <= width:
        return text
    while columns(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def as_objects(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows for JSON, members within theirs."""
    return [
        {
            "run": str(row.run.folder), "kind": row.run.kind, "state": row.run.state, "reason": row.run.reason,
            "date": date_of(row.run), "model": row.model, "data": row.data, "scores": row.scores, "std": row.spread,
            "seconds": row.seconds, "differs": row.differs, "members": as_objects(row.members),
        }
        for row in rows
    ]  # fmt: skip


def as_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[Any]]]:
    """Heading and rows for CSV: members behind their run, a column for each score and each key that differs."""
    every = [row for row, _ in _with_members(rows)]
    scores = list(dict.fromkeys((split, key) for row in every for split, found in row.scores.items() for key in found))
    keys = list(dict.fromkeys(key for row in every for key in row.differs))
    cells = []
    for row in every:
        run = row.run
        first = [str(run.folder), run.kind, run.state, run.reason, date_of(run), row.model, row.data, row.seconds]
        values = [row.scores.get(split, {}).get(key) for split, key in scores]
        differing = [_text(row.differs[key]) if key in row.differs else "" for key in keys]
        cells.append([*first, *values, *differing])
    return [*_FIRST, *(f"{split}.{key}" for split, key in scores), *keys], cells


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def is_listing(text: str) -> bool:
    """Whether a file's text was written from `as_objects` or `as_cells`: such a file may be replaced."""
    return text.startswith(('{\n  "runs": [', ",".join(_FIRST)))
