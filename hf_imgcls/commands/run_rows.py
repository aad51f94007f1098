"""Runs as rows: what is shown of them, in which order, and the keys of their recipes that differ."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.scoring import METRICS, metrics_in
from hf_imgcls.store import FoundRun, differing_keys, natural
from hf_imgcls.words import without_paths

SPLITS = ("validation", "test")
_KEYS = ("name", "state", "date", "model", "data", "time", *SPLITS)


class Row(NamedTuple):
    """A run as it is shown.

    Attributes:
        scores: by split and metric, of several runs the mean; None where a score is not a number.
        spread: of several runs the sample standard deviation, likewise.
        differs: keys of its recipe, those with values that runs beside it do not have alike.
    """

    run: FoundRun
    model: str
    data: str
    seconds: float | None
    scores: dict[str, dict[str, float | None]]
    spread: dict[str, dict[str, float | None]]
    differs: dict[str, Any]
    members: tuple["Row", ...]


def rows_of(runs: Sequence[FoundRun]) -> list[Row]:
    """The rows of runs that stand beside each other, and of their members."""
    return [_row(run, own) for run, own in zip(runs, differing_keys([run.recipe for run in runs]), strict=True)]


def _row(run: FoundRun, differs: dict[str, Any]) -> Row:
    several = run.kind in ("seeds", "folds")
    mean, spread = ({}, {}) if run.state == "damaged" else _scores(run.results, "mean" if several else None)
    members = tuple(rows_of(run.members))
    seconds = _number(_at(run.results, "time", "run")) or _number(_at(run.results, "training", "seconds"))
    if several:
        known = [member.seconds for member in members if member.seconds is not None]
        seconds = sum(known) if known else None
    data = _at(run.recipe, "data", "path")
    return Row(run, _model(run), _short_path(data), seconds, mean, spread, differs, members)


def _scores(results: Mapping[str, Any], mean: str | None) -> tuple[dict, dict]:
    values, deviations = {}, {}
    for split, scores in (_at(results, "scores") or {}).items():
        for key in metrics_in(scores) if isinstance(scores, dict) else ():
            value = scores[key]
            found = _at(value, mean) if mean else value
            if not (found is None or _number(found) is not None):
                continue
            values.setdefault(split, {})[key] = _number(found)
            if mean:
                deviations.setdefault(split, {})[key] = _number(_at(value, "std"))
    return values, deviations


def _model(run: FoundRun) -> str:
    models = _at(run.results, "average", "models")
    if isinstance(models, list):
        return f"average of {len(models)}"
    further = _at(run.recipe, "ensemble", "networks")
    sections = [run.recipe, *(further if isinstance(further, list) else ())]
    names = [_at(each, "model", "checkpoint") or _at(each, "model", "architecture") for each in sections]
    return " + ".join(filter(None, map(_short_path, names)))


def _short_path(name: Any) -> str:
    """A Hub id as it is, of a folder elsewhere the last part."""
    return str(without_paths(name)).rstrip("/") if isinstance(name, str) else ""


def _at(content: Any, *keys: str) -> Any:
    """A value in nested JSON; None where anything on the way is not as a run writes it."""
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return value if known else None


def sort_rows(rows: Sequence[Row], key: str) -> list[Row]:
    """By name, state, model or data; the newest, the fastest or the best first; what has no value last.

    Args:
        key: one of these, or `validation.loss`, `test.macro_f1` and the like; `test` is that of its main metric.
    """
    split, _, metric = key.partition(".")
    known = sorted({name for row in rows for name in row.scores.get(split, ())})
    if key not in _KEYS and not (split in SPLITS and metric in known):
        names = [*_KEYS, *(f"{each}.{name}" for each in SPLITS for row in rows for name in row.scores.get(each, ()))]
        raise InputError(
            f"--sort: found {key!r}, expected one of {', '.join(dict.fromkeys(names))}{nearest(key, names)}"
        )
    if key in ("name", "state", "model", "data"):
        return sorted(rows, key=lambda row: (row.run.state if key == "state" else getattr(row, key, ""), _name(row)))
    return sorted(rows, key=lambda row: (_order(row, split, metric) is None, _order(row, split, metric), _name(row)))


def _name(row: Row) -> list[tuple[int, str]]:
    return natural(str(row.run.folder))


def _order(row: Row, split: str, metric: str) -> float | None:
    if split in ("date", "time"):
        return -row.run.date if split == "date" else row.seconds
    metric = metric or main_metric(row.scores.get(split, {}))
    value = row.scores.get(split, {}).get(metric)
    return value if value is None or (metric in METRICS and not METRICS[metric].greater_is_better) else -value


def main_metric(scores: Mapping[str, Any]) -> str:
    """Accuracy, of several labels an image mAP, or else the first metric that a run has."""
    return next((key for key in ("accuracy", "map") if key in scores), next(iter(scores), "accuracy"))
