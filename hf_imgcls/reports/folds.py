"""The lines that a cross-validation prints at its end."""

from collections.abc import Mapping
from typing import Any

from hf_imgcls.reports.results import describe_scores
from hf_imgcls.scoring import metrics_in

_POOLED = "out of fold"


def describe_folds(summary: Mapping[str, Any]) -> list[str]:
    """A table with a row for each fold, mean and deviation; and the score of all images that were held out."""
    spreads = summary["scores"]
    columns = {
        (split, key): f"{'' if split == 'validation' else f'{split} '}{metric.name}"
        for split, values in spreads.items()
        for key, metric in metrics_in(values).items()
    }
    lines = [_row("fold", "images", columns.values())]
    for number, images in enumerate(summary["images"]):
        lines.append(_row(number + 1, f"{images:,}", _cells(columns, spreads, lambda s, n=number: s["folds"][n])))
    for name, key in (("mean", "mean"), ("deviation", "std")):
        lines.append(_row(name, "", _cells(columns, spreads, lambda s, key=key: s[key])))
    pooled = {key: float("nan") if value is None else value for key, value in summary["out_of_fold"].items()}
    lines += describe_scores({_POOLED: pooled}, {_POOLED: summary["cautions"].get("validation", ())})
    lines += [f"test (fold 1): {caution}" for caution in summary["cautions"].get("test", ())]
    return lines


def _cells(columns: Mapping, spreads: Mapping, value) -> list[tuple[str, str]]:
    shown = []
    for (split, key), heading in columns.items():
        found = value(spreads[split][key])
        shown.append("nan" if found is None else f"{found:.4f}".rjust(len(heading)))
    return shown


def _row(first, images: str, cells) -> str:
    headings = [str(cell) for cell in cells]
    return "  ".join([f"{first!s:<9}", f"{images:>7}", *(f"{cell:>8}" for cell in headings)]).rstrip()
