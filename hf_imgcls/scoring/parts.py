"""The scores of some rows of a split."""

from typing import Any

import numpy as np

from hf_imgcls.scoring.bootstrap import bootstrap
from hf_imgcls.scoring.metrics import interval
from hf_imgcls.scoring.scored import Scored
from hf_imgcls.scoring.sets import ScoredSets, mean_average_precision


def score_part(split: Scored | ScoredSets, rows: np.ndarray) -> dict[str, Any] | None:
    """`images`, `accuracy` and its interval of some rows, a mask of shape (images,); None where there are none.

    Of several labels an image `map` and its interval; None also where none of the rows has a label.
    """
    count = int(rows.sum())
    if not count:
        return None
    if isinstance(split, ScoredSets):
        part = split.select(rows)
        if not part.label_ids.any():
            return None
        ends = [round(float(end), 6) for end in bootstrap(part)["map"]]
        return {"images": count, "map": round(mean_average_precision(part), 6), "map_interval_95": ends}
    correct = float(np.mean(split.predictions[rows] == split.label_ids[rows]))
    ends = [round(end, 6) for end in interval(correct, count)]
    return {"images": count, "accuracy": round(correct, 6), "accuracy_interval_95": ends}
