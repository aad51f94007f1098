"""The lines that a cross-validation prints at its end."""

from collections.abc import Mapping
from typing import Any

from hf_imgcls.reports.results import describe_scores
from hf_imgcls.reports.spread import spread_table

_POOLED = "out of fold"


def describe_folds(summary: Mapping[str, Any]) -> list[str]:
    """A table with a row for each fold, mean and deviation; and the score of all images that were held out."""
    rows = [f"{number:<9}  {images:>7,}" for number, images in enumerate(summary["images"], 1)]
    lines = spread_table(summary["scores"], f"{'fold':<9}  {'images':>7}", rows)
    pooled = {key: float("nan") if value is None else value for key, value in summary["out_of_fold"].items()}
    lines += describe_scores({_POOLED: pooled}, {_POOLED: summary["cautions"].get("validation", ())})
    lines += [f"test (fold 1): {caution}" for caution in summary["cautions"].get("test", ())]
    return lines
