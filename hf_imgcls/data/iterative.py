"""Parts of a split that have of each label as much as of the others, where an image may have several."""

from collections.abc import Sequence

import numpy as np


def stratify_sets(sets: np.ndarray, sizes: Sequence[int], seed: int) -> np.ndarray:
    """The part of each row, shape (rows,), by iterative stratification; parts have exactly these sizes.

    The images of the rarest label that is left are distributed first, each to the part that still lacks most of it
    (Sechidis and others, 2011, "On the stratification of multi-label data"). Images without labels fill up the rest.

    Args:
        sets: whether an image has each label, bool, shape (rows, labels).
        sizes: rows of each part, in sum those that there are.
    """
    random, room = np.random.default_rng(seed), np.array(sizes)
    lack, left = np.outer(room / max(len(sets), 1), sets.sum(axis=0)), sets.sum(axis=0)
    part, order = np.full(len(sets), -1), random.permutation(len(sets))
    while left.any():
        label = int(np.argmin(np.where(left > 0, left, len(sets) + 1)))
        for row in order[sets[order, label] & (part[order] < 0)]:
            chosen = max(np.flatnonzero(room > 0), key=lambda each: (lack[each, label], room[each]))
            part[row] = chosen
            room[chosen] -= 1
            lack[chosen] -= sets[row]
            left -= sets[row]
    rest = order[part[order] < 0]
    part[rest] = random.permutation(np.repeat(np.arange(len(room)), room))
    return part


def sample_sets(sets: np.ndarray, count: int, seed: int, keep_one: bool = False) -> np.ndarray:
    """Sorted numbers of `count` rows; with `keep_one` a little less where another row is the last of its label."""
    count = min(count, len(sets))
    rows = stratify_sets(sets, (count, len(sets) - count), seed) == 0
    for label in np.flatnonzero(sets.any(axis=0)) if keep_one else ():
        if not sets[~rows, label].any():
            rows[np.flatnonzero(rows & sets[:, label])[0]] = False
    return np.flatnonzero(rows)
