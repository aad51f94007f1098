"""Two predictions of the same images, compared image by image."""

import math
from typing import Any

import numpy as np

from hf_imgcls.scoring.metrics import Z_95
from hf_imgcls.scoring.scored import Scored


def compare_paired(before: Scored, after: Scored) -> dict[str, Any]:
    """What changes from one prediction of a split to another one of the same rows.

    Returns:
        `changed`, images whose best class is another one; `to_right` and `to_wrong` of them; the differences of
        `accuracy` and `loss`, each with its 95 % interval: of paired proportions (Agresti and Min, 2005), of a mean.
    """
    rights, count = [split.predictions == split.label_ids for split in (before, after)], len(before)
    to_right, to_wrong = (int((~old & new).sum()) for old, new in (rights, rights[::-1]))
    # Half an image is added to each of the four counts: where nothing changed, the interval still has a width.
    total, difference = count + 2, to_right - to_wrong
    reach = Z_95 * math.sqrt(to_right + to_wrong + 1 - difference**2 / total) / total
    losses = before.log_likelihoods - after.log_likelihoods
    reach_of_loss = Z_95 * float(losses.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
    return {
        "changed": int((before.predictions != after.predictions).sum()),
        "to_right": to_right,
        "to_wrong": to_wrong,
        "accuracy": _change(difference / count, difference / total, reach),
        "loss": _change(float(losses.mean()), float(losses.mean()), reach_of_loss),
    }


def _change(change: float, middle: float, reach: float) -> dict[str, Any]:
    ends = [middle - reach, middle + reach]
    return {"change": round(change, 6), "interval_95": [round(float(end), 6) for end in np.clip(ends, -1e9, 1e9)]}
