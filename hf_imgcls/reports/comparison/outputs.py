"""Rows of a report as the scored split that they were written from, without what they do not keep."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hf_imgcls.scoring import BEST, Scored, ScoredSets

_LEAST = 1e-12  # a probability that a logit is taken of, and how far it stays below 1


def scored_rows(rows: pa.Table, labels: Sequence[str]) -> Scored | ScoredSets:
    """One label an image, or several; of several the thresholds are some that give the predictions."""
    return (_sets if "labels" in rows.column_names else _scored)(rows, labels)


def _scores(rows: pa.Table, classes: int) -> np.ndarray | None:
    """Of all classes, float64, shape (images, classes); None where they were too many to be kept."""
    column = rows["scores"].combine_chunks()
    return None if column.null_count else column.flatten().to_numpy().reshape(-1, classes).astype(np.float64)


def _scored(rows: pa.Table, labels: Sequence[str]) -> Scored:
    known = pa.array(labels, pa.string())
    label_ids, predictions = (
        pc.fill_null(pc.index_in(rows[name], known), -1).to_numpy().astype(np.int64) for name in ("label", "prediction")
    )
    scores, ranked = _scores(rows, len(labels)), predictions[:, None]
    if scores is not None:
        given = np.flatnonzero(predictions >= 0)
        order = scores.copy()
        order[given, predictions[given]] = np.inf  # of equal scores, as rounding makes them, it is the first
        ranked = np.argsort(-order, axis=1, kind="stable")[:, :BEST]
        ranked[predictions < 0] = -1
    top = np.log(rows["score"].to_numpy().astype(np.float64))
    return Scored(ranked, -rows["loss"].to_numpy().astype(np.float64), top, label_ids, len(labels), None, scores)


def _sets(rows: pa.Table, labels: Sequence[str]) -> ScoredSets:
    places = {name: place for place, name in enumerate(labels)}
    has, predicted = (np.zeros((len(rows), len(labels)), bool) for _ in range(2))
    for column, found in (("labels", has), ("predictions", predicted)):
        for place, names in enumerate(rows[column].to_pylist()):
            found[place, [places[name] for name in names]] = True
    scores = _scores(rows, len(labels)).clip(_LEAST, 1 - _LEAST)
    lowest = np.where(predicted, scores, 2).min(axis=0)
    highest = np.where(predicted | np.isnan(scores), 0, scores).max(axis=0)
    return ScoredSets(np.log(scores) - np.log1p(-scores), has, None, (lowest + highest) / 2)
