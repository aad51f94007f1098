"""Which split the card is about, and which rows the parity check compares."""

from collections.abc import Iterable
from typing import Any

import numpy as np

MAX_COMPARED = 500


def served_split(splits: Iterable[str]) -> str | None:
    """The split of the parity check: validation, or test where there is no other."""
    return next((name for name in ("validation", "test") if name in splits), None)


def choose_rows(count: int, seed: int) -> np.ndarray:
    """Every row of a small split, a seeded sample of MAX_COMPARED of a larger one."""
    if count <= MAX_COMPARED:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:MAX_COMPARED])


def main_split(results: dict[str, Any]) -> str | None:
    """The split that the card is about: test, else validation."""
    return next((split for split in ("test", "validation") if split in results["scores"]), None)
