"""Parts of a split in which rows of one group (a patient, a site, a video) stay together, and k folds of a split."""

from typing import NamedTuple

import numpy as np

from hf_imgcls.data.iterative import stratify_sets

_DRAWS = 30  # hold-outs that are drawn, of which the nearest to what is wanted is taken
_WORK = 5_000  # groups that are looked at for that; of many groups, one drawn hold-out is near enough


class _Groups(NamedTuple):
    """Images of each group by class.

    Attributes:
        number: the group of each row, shape (rows,).
        parts: of each group its classes and its images of each. The last one is a class of all images, so that parts
            are balanced in size as they are by class.
        totals: images of each class, shape (classes + 1,).
    """

    number: np.ndarray
    parts: list[tuple[np.ndarray, np.ndarray]]
    totals: np.ndarray


def count_groups(labels: np.ndarray, groups: np.ndarray) -> _Groups:
    names, number = np.unique(groups, return_inverse=True)
    several = labels.ndim == 2
    classes = labels.shape[1] if several else int(labels.max()) + 1
    rows, ids = np.nonzero(labels) if several else (np.arange(len(labels)), labels)
    pairs, counts = np.unique(number[rows] * classes + ids, return_counts=True)
    ends, images = np.searchsorted(pairs, np.arange(1, len(names)) * classes), np.bincount(number)
    parts = [
        (np.append(pair % classes, classes), np.append(count, total))
        for pair, count, total in zip(np.split(pairs, ends), np.split(counts, ends), images, strict=True)
    ]
    return _Groups(number, parts, np.append(np.bincount(ids, minlength=classes), len(labels)))


def hold_out_groups(
    labels: np.ndarray, groups: np.ndarray, wanted: np.ndarray, seed: int, at_least: bool = False
) -> np.ndarray:
    """Rows of whole groups, as near as groups allow to so many images of each class; every class keeps some rows.

    Args:
        labels: of each row, as `read_labels` has them.
        groups: of each row, shape (rows,).
        wanted: images of each class that occurs among the labels and those below it, shape (classes,).
        at_least: no fewer than these of a class, where groups that may be held out have as many.

    Returns:
        Sorted row numbers; none where every group has all images of some class.
    """
    found, random = count_groups(labels, groups), np.random.default_rng(seed)
    images = wanted.sum() * len(labels) / max(found.totals[:-1].sum(), 1)  # fewer than labels, where they have several
    target = np.append(wanted, images).astype(float)
    draws = max(1, min(_DRAWS, _WORK // len(found.parts)))
    orders = [random.permutation(len(found.parts)) for _ in range(draws)]
    chosen = min((_draw(found, target, order, at_least) for order in orders), key=lambda drawn: drawn[0])[1]
    return np.flatnonzero(np.isin(found.number, chosen))


def _draw(found: _Groups, target: np.ndarray, order: np.ndarray, at_least: bool) -> tuple[tuple, list[int]]:
    """Groups in this order where each brings the part nearer to the target; how far from it the part is, and these."""
    have, chosen, weight = np.zeros(len(target)), [], 1 / np.maximum(target, 1)
    changes = {}  # of the groups that were not taken

    def take(group: int) -> None:
        classes, counts = found.parts[group]
        have[classes] += counts
        chosen.append(group)

    for group in order:
        classes, counts = found.parts[group]
        before, after = have[classes], have[classes] + counts
        if (after >= found.totals[classes]).any():
            continue
        gaps = (after - target[classes]) ** 2 - (before - target[classes]) ** 2
        changes[group] = float((gaps * weight[classes]).sum())
        if changes[group] < 0:
            take(group)
    if not chosen and changes:  # all are larger than what is wanted
        take(min(changes, key=changes.get))
    for group in order if at_least else ():
        classes, counts = found.parts[group]
        missing = (have[classes] < target[classes])[:-1].any()
        if missing and group not in chosen and (have[classes] + counts < found.totals[classes]).all():
            take(group)
    short = np.maximum(target - have, 0)[:-1].sum() if at_least else 0.0
    return (not chosen, float(short), float(((have - target) ** 2 * weight).sum())), chosen


def fold_of_rows(labels: np.ndarray, groups: np.ndarray | None, folds: int, seed: int) -> np.ndarray:
    """The fold of each row, 0 to folds - 1, stratified by class; -1 for rows that no fold may hold out.

    These are the rows of a class that has one image, or one group, alone: without them nothing would be left of it.

    Args:
        labels: as `read_labels` has them.
        groups: of each row, shape (rows,); rows of a group are in one fold.
    """
    random = np.random.default_rng(seed)
    if groups is None and labels.ndim == 2:
        rows = np.flatnonzero(~labels[:, labels.sum(axis=0) == 1].any(axis=1))
        fold = np.full(len(labels), -1)
        fold[rows] = stratify_sets(labels[rows], np.bincount(np.arange(len(rows)) % folds, minlength=folds), seed)
        return fold
    if groups is None:
        shuffled = random.permutation(len(labels))
        order = shuffled[labels[shuffled].argsort(kind="stable")]
        order = order[np.bincount(labels)[labels[order]] > 1]
        fold = np.full(len(labels), -1)
        fold[order] = np.arange(len(order)) % folds
        return fold
    found = count_groups(labels, groups)
    have, fold_of = np.zeros((folds, len(found.totals))), np.full(len(found.parts), -1)
    drawn = random.permutation(len(found.parts))
    sizes = np.array([counts[-1] for _, counts in found.parts])
    # The largest first, each into the fold that has least of its classes, as scikit-learn's StratifiedGroupKFold does.
    for group in drawn[np.argsort(-sizes[drawn], kind="stable")]:
        classes, counts = found.parts[group]
        before, after = have[:, classes], have[:, classes] + counts
        cost = ((after**2 - before**2) / found.totals[classes] ** 2).sum(axis=1)
        cost[(after >= found.totals[classes]).any(axis=1)] = np.inf
        if np.isfinite(best := cost.min()):
            fold_of[group] = int(np.flatnonzero(cost == best)[0])
            have[fold_of[group]][classes] += counts
    return fold_of[found.number]
