"""The labels of rows as an array, whether an image has one or several, and what is counted of them."""

from collections.abc import Sequence

import datasets
import numpy as np


def is_multi_label(rows: datasets.Dataset) -> bool:
    return isinstance(rows.features["label"], datasets.List)


def read_labels(rows: datasets.Dataset) -> np.ndarray:
    """Class ids, shape (rows,); where an image may have several labels whether it has each, bool, (rows, classes)."""
    values = rows["label"][:]
    if not is_multi_label(rows):
        return np.array(values, int)
    found = np.zeros((len(values), rows.features["label"].feature.num_classes), bool)
    counts = [len(each) for each in values]
    found[np.repeat(np.arange(len(values)), counts), [i for each in values for i in each]] = True
    return found


def count_classes(labels: np.ndarray, classes: int) -> np.ndarray:
    """Images of each class, shape (classes,), of labels as `read_labels` has them."""
    return labels.sum(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=classes)


def label_texts(rows: datasets.Dataset, names: Sequence[str]) -> list[str]:
    """The label of each row as text; several as `cat|dog`, in the same order whatever their ids are."""
    if is_multi_label(rows):
        return ["|".join(sorted(names[i] for i in each)) for each in rows["label"][:]]
    return [names[i] for i in rows["label"][:]]
