"""Which rows belong to which split: named splits, slices, seeded stratified parts, and their fingerprints."""

import hashlib
import re

import datasets
import numpy as np

from hf_imgcls.recipe import DataSection, InputError, nearest

_USUAL = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}


def choose_splits(available: dict[str, int], data: DataSection) -> dict[str, str | None]:
    """The source's split (or slice) for train, validation and test; None where there is none.

    Args:
        available: rows of each split the source has (0 where unknown).

    Raises:
        InputError: a named split does not exist.
    """
    chosen = {}
    for role, usual in _USUAL.items():
        key, named = f"{role}_split", getattr(data, f"{role}_split")
        if named is None:
            chosen[role] = next((name for name in usual if name in available), None)
            continue
        chosen[role] = named or None
        for name in split_names(named) if named else []:
            if name not in available:
                raise InputError(
                    f"data.{key}: {data.path} has no split {name!r}{nearest(name, available)} "
                    f"It has {', '.join(available)}"
                )
    if chosen["train"] is None:
        if len(available) != 1:
            raise InputError(f"data.train_split: {data.path} has the splits {', '.join(available)}; name one of them")
        chosen["train"] = next(iter(available))
    for role in ("validation", "test"):
        if data.train_split is None and chosen[role] == chosen["train"]:
            raise InputError(f"data.{role}_split: {chosen[role]!r} is the split that is trained on")
    return chosen


def split_names(instruction: str) -> list[str]:
    """`train[:50%]+test` names train and test."""
    return [re.match(r"[^\[]*", part).group().strip() for part in instruction.split("+")]


def take_rows(splits: dict[str, datasets.Dataset], instruction: str, key: str) -> datasets.Dataset:
    """The rows that an instruction such as `train[:5000]` or `train[80%:]+extra` names.

    Raises:
        InputError: the slice is malformed or empty.
    """
    lengths = {name: len(ds) for name, ds in splits.items()}
    try:
        parts = datasets.ReadInstruction.from_spec(instruction).to_absolute(lengths)
    except (ValueError, AssertionError, AttributeError) as error:
        raise InputError(f"data.{key}: {instruction!r} is no slice such as train[:5000] ({error})") from None
    rows = []
    for part in parts:
        start, stop = part.from_ or 0, lengths[part.splitname] if part.to is None else part.to
        rows.append(splits[part.splitname].select(range(start, max(start, min(stop, lengths[part.splitname])))))
    taken = datasets.concatenate_datasets(rows) if len(rows) > 1 else rows[0]
    if len(taken) == 0:
        raise InputError(f"data.{key}: {instruction!r} holds no rows")
    return taken


def stratified(labels: np.ndarray, count: int, seed: int, keep_one: bool = False) -> np.ndarray:
    """Rows of a seeded sample in which every class has its share, by largest remainder.

    Args:
        labels: class ids, shape (rows,).
        count: rows to take, at most len(labels).
        keep_one: leave at least one row of every class behind (for a part that is held out of train).

    Returns:
        Sorted row numbers, shape (count,) or a little less where keep_one forbids more.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    room = sizes - 1 if keep_one else sizes
    exact = sizes * min(count, len(labels)) / max(len(labels), 1)
    shares = np.minimum(np.floor(exact).astype(int), room)
    for c in np.argsort(-(exact - np.floor(exact)), kind="stable"):
        if shares.sum() >= count:
            break
        shares[c] += shares[c] < room[c]
    return _draw(labels, dict(zip(classes.tolist(), shares.tolist(), strict=True)), seed)


def per_class(labels: np.ndarray, count: int, names: list[str], seed: int, key: str) -> np.ndarray:
    """Rows of a seeded sample with exactly `count` of every class.

    Raises:
        InputError: a class has fewer; the line names it.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    for c, size in zip(classes, sizes, strict=True):
        if size < count:
            raise InputError(f"data.samples_per_class.{key}: {count} asked for, but {names[c]!r} has only {size}")
    return _draw(labels, dict.fromkeys(classes.tolist(), count), seed)


def _draw(labels: np.ndarray, shares: dict[int, int], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    drawn = [random.permutation(np.flatnonzero(labels == c))[:share] for c, share in sorted(shares.items())]
    return np.sort(np.concatenate(drawn)) if drawn else np.array([], dtype=int)


def fingerprint(names: list[str], digests: list[str], labels: list[str]) -> str:
    """A split's identity: relative names, contents and labels in order. A moved folder keeps it."""
    hashed = hashlib.sha256()
    for line in zip(names, digests, labels, strict=True):
        hashed.update("\t".join(line).encode() + b"\n")
    return hashed.hexdigest()[:32]
