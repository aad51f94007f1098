"""Several predictions of the same images, each compared with the first: what differs, with intervals and p-values."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hf_imgcls.scoring.bootstrap import draw_set_metrics
from hf_imgcls.scoring.metrics import compute_metrics, mean_f1
from hf_imgcls.scoring.paired import change_of_proportion, compare_paired, correct_for_several, exact_p_value
from hf_imgcls.scoring.scored import BEST, Scored
from hf_imgcls.scoring.sets import ScoredSets

_DRAWS, _LEAST, _WORK = 1000, 200, 30_000_000  # draws of a bootstrap; images that are gone through for them


def compare_splits(splits: Sequence[Scored | ScoredSets]) -> list[dict[str, Any]]:
    """What changes from the first split to each other one of the same rows.

    Returns:
        As `compare_paired`, and: `both_right`; of `macro_f1` (of several labels an image also `micro_f1` and `map`) the
        difference with the 95 % interval of a paired bootstrap, None where nothing is predicted otherwise; of
        `top5_accuracy` as of `accuracy`; `p_value` of McNemar's exact test, and `p_corrected` for all comparisons.
    """
    first, *others = splits
    drawn, values = [_draw(each) for each in splits], [compute_metrics(each) for each in splits]
    found = []
    for number, other in enumerate(others, 1):
        each = compare_paired(first, other)
        rights = [split.predictions == split.label_ids for split in (first, other)]
        each["both_right"] = int((rights[0] & rights[1]).sum())
        for key, draws in drawn[number].items():
            differences = draws - drawn[0][key]
            change = values[number][key] - values[0][key]
            middle = change - float(np.nanmedian(differences)) if key == "map" else 0.0  # see `bootstrap`
            each[key] = {"change": round(change, 6), "interval_95": _ends(differences, middle)}
        if isinstance(other, Scored):
            each |= _of_one_label(first, other)
            each["p_value"] = exact_p_value(each["to_right"], each["to_wrong"])
        found.append(each)
    if isinstance(first, Scored):
        corrected = correct_for_several([each["p_value"] for each in found])
        found = [{**each, "p_corrected": p} for each, p in zip(found, corrected, strict=True)]
    return found


def _ends(differences: np.ndarray, middle: float) -> list[float] | None:
    known = differences[~np.isnan(differences)]
    if not known.size or not known.any():  # no draw says how far from 0 the difference may be
        return None
    return [round(float(end) + middle, 6) for end in np.percentile(known, [2.5, 97.5])]


def _of_one_label(first: Scored, other: Scored) -> dict[str, Any]:
    if first.classes <= BEST or min(first.ranked.shape[1], other.ranked.shape[1]) < BEST:
        return {}
    old, new = ((each.ranked == each.label_ids[:, None]).any(axis=1) for each in (first, other))
    counts = int((~old & new).sum()), int((old & ~new).sum())
    return {"top5_accuracy": change_of_proportion(*counts, len(first))}


def _draw(split: Scored | ScoredSets) -> dict[str, np.ndarray]:
    return draw_set_metrics(split) if isinstance(split, ScoredSets) else {"macro_f1": _draw_macro_f1(split)}


def _draw_macro_f1(split: Scored) -> np.ndarray:
    """Macro-F1 of draws of as many images, with replacement; of splits of one size the draws are the same."""
    labels, size, count = split.label_ids, split.classes + 1, len(split)
    predicted = np.where(split.failed, split.classes, split.predictions)  # none is a class of its own
    right = labels == predicted
    generator, found = np.random.default_rng(0), []
    for _ in range(int(np.clip(_WORK // max(count, 1), _LEAST, _DRAWS))):
        times = np.bincount(generator.integers(0, count, count), minlength=count)
        kinds = (labels, times), (predicted, times), (labels[right], times[right])
        found.append(mean_f1(*(np.bincount(ids, weights, size) for ids, weights in kinds)))
    return np.array(found)
