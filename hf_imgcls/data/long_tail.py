"""A training split thinned to a long tail, with which what is done against imbalance can be compared."""

import math

import datasets
import numpy as np

from hf_imgcls.data.splits import draw_rows
from hf_imgcls.errors import InputError
from hf_imgcls.words import plural


def long_tail(labels: np.ndarray, ratio: float, seed: int) -> np.ndarray:
    """Rows of a seeded sample with exponentially falling class sizes, as many as there can be.

    Of k classes the one in place i keeps n * ratio^(-i / (k - 1)) images, after Cui and others (2019,
    arXiv:1901.05555). Larger classes come first, equal ones in a drawn order; n is as large as the images allow.

    Args:
        labels: class ids, shape (rows,).

    Raises:
        InputError: not one image of the last class would be left.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        return np.arange(len(labels))
    drawn = np.random.default_rng([seed, 2]).permutation(len(classes))
    order = drawn[np.argsort(-sizes[drawn], kind="stable")]
    fractions = ratio ** (-np.arange(len(order)) / (len(order) - 1))
    most = math.floor(np.round((sizes[order] / fractions).min(), 9))
    if most < ratio:
        raise InputError(
            f"data.long_tail: {ratio:g} to 1 needs {math.ceil(ratio):,} images of the largest class, of which the "
            f"images allow {most:,}; take a smaller ratio"
        )
    counts = np.minimum(np.round(most * fractions).astype(int), sizes[order])
    return draw_rows(labels, dict(zip(classes[order].tolist(), counts.tolist(), strict=True)), seed)


def describe_long_tail(train: datasets.Dataset, names: list[str], ratio: float, seed: int) -> str:
    """A line on what is left."""
    counts = np.bincount(train["label"][:], minlength=len(names))
    present = np.flatnonzero(counts)
    largest, smallest = present[counts[present].argmax()], present[counts[present].argmin()]
    return (
        f"train: thinned to a long tail of {ratio:g} to 1: {plural(len(train), 'image')}, {counts[largest]:,} of "
        f"{names[largest]!r} to {counts[smallest]:,} of {names[smallest]!r}, seed {seed}"
    )
