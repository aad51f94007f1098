"""Which rows belong to which split: named splits, slices, seeded stratified parts, and their fingerprints."""

import hashlib
import itertools
from collections.abc import Callable, Collection
from typing import NamedTuple

import datasets
import numpy as np

from hf_imgcls.data.datafiles import chain
from hf_imgcls.data.folders import SPLIT_NAMES, USUAL_NAMES
from hf_imgcls.data.iterative import sample_sets
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import DataSection


class Span(NamedTuple):
    """Rows start to stop (exclusive) of one of the source's splits."""

    split: str
    start: int
    stop: float  # infinite where a stream goes on to its end


def choose_spans(
    available: Collection[str], data: DataSection, read: Callable[[str, str], list[Span]]
) -> dict[str, list[Span]]:
    """The rows of train, validation and test where they are there; `read` is given an instruction and its key."""
    chosen = {role: spec for role, spec in choose_splits(available, data).items() if spec}
    spans = {role: read(spec, f"data.{role}_split") for role, spec in chosen.items()}
    check_overlap(spans, chosen)
    return spans


def choose_splits(available: Collection[str], data: DataSection) -> dict[str, str | None]:
    """The source's split (or slice) for train, validation and test; None where there is none.

    A split that the recipe names for one role is never chosen for another by default.
    """
    named = {role: getattr(data, f"{role}_split") for role in USUAL_NAMES}
    used = [name for role, spec in named.items() for name in _named(spec, available, f"data.{role}_split", data.path)]
    chosen = {}
    for role, usual in USUAL_NAMES.items():
        free = [name for name in usual if name in available and (role == "train" or name not in used)]
        chosen[role] = None if named[role] is False else named[role] or next(iter(free), None)
    if chosen["train"] is None:
        chosen["train"] = next(iter(available))
        if len(available) > 1 or chosen["train"] in USUAL_NAMES["validation"] + USUAL_NAMES["test"]:
            has = f"{'the splits' if len(available) > 1 else 'only the split'} {', '.join(available)}"
            raise InputError(f"data.train_split: {data.path} has {has}; name the one to train on")
    return chosen


def scored_split(available: Collection[str], data: DataSection, named: str | None) -> tuple[str, str]:
    """The split (or slice) to score a model on, and why: the named one, else test, validation, or the only one.

    Test and validation are those that the recipe names; false: not that one.
    """
    _named(named, available, "split", data.path)
    usual = []
    for role in ("test", "validation"):
        own = getattr(data, f"{role}_split")
        _named(own or None, available, f"data.{role}_split", data.path)
        usual += [own] if own else [name for name in USUAL_NAMES[role] if name in available and own is None]
    chosen = named or next(iter(usual), None) or (next(iter(available)) if len(available) == 1 else None)
    if chosen is None:
        raise InputError(f"split: {data.path} has the splits {', '.join(available)}; say which to score")
    if named or chosen in (data.test_split, data.validation_split):
        return chosen, "named"
    if len(available) == 1:
        return chosen, "the only split"
    return chosen, f"by default, since none was named; the data has {', '.join(available)}"


def role_of(instruction: str, data: DataSection) -> str | None:
    """What a split or slice is for: as the recipe says, or by its name (`val[:50%]`: validation); None if unknown."""
    for role in USUAL_NAMES:
        if getattr(data, f"{role}_split") == instruction:
            return role
    roles = {SPLIT_NAMES.get(name) for name in split_names(instruction)}
    return roles.pop() if len(roles) == 1 else None


def unused_limits(data: DataSection, roles: Collection[str | None]) -> list[str]:
    """A note on each limit of a split that is not used."""
    return [
        f"data.{key}.{role} has no effect: no {role} split is used"
        for key in ("max_samples", "samples_per_class")
        for role in USUAL_NAMES
        if getattr(getattr(data, key), role) and role not in roles
    ]


def _named(instruction: str | None, available: Collection[str], key: str, path: str) -> list[str]:
    """The splits that an instruction names, all of which exist."""
    names = split_names(instruction)
    for name in names:
        if name not in available:
            raise InputError(
                f"{key}: {path} has no split {name!r}, it has {', '.join(available)}{nearest(name, available)}"
            )
    return names


def split_names(instruction: str | None) -> list[str]:
    """`train[:50%]+test` names train and test."""
    return [part.partition("[")[0].strip() for part in instruction.split("+")] if instruction else []


def read_spans(instruction: str, lengths: dict[str, int], key: str) -> list[Span]:
    """The rows that an instruction such as `train[:5000]` or `train[80%:]+extra` names."""
    try:
        parts = datasets.ReadInstruction.from_spec(instruction).to_absolute(lengths)
    except (ValueError, AssertionError, AttributeError) as error:
        raise InputError(f"{key}: {instruction!r} is no slice such as train[:5000] or train[80%:] ({error})") from None
    spans = [Span(p.splitname, p.from_ or 0, lengths[p.splitname] if p.to is None else p.to) for p in parts]
    spans = [Span(split, start, min(stop, lengths[split])) for split, start, stop in spans]
    if all(span.stop <= span.start for span in spans):
        rows = ", ".join(f"{name} has {lengths[name]} rows" for name in dict.fromkeys(split_names(instruction)))
        raise InputError(f"{key}: {instruction!r} holds no rows; {rows}")
    return spans


def take_rows(splits: dict[str, datasets.Dataset], spans: list[Span], key: str) -> datasets.Dataset:
    """The rows of spans, one after the other, with their numbers in their split as the column `row`."""
    taken = []
    for split, start, stop in spans:
        rows = range(start, max(start, stop))
        taken.append(splits[split].select(rows).add_column("row", np.array(rows, dtype=int)))
    return chain(taken, f"{key}: the splits")


def check_overlap(spans: dict[str, list[Span]], chosen: dict[str, str | None]) -> None:
    """An InputError where two splits share rows.

    A score on rows that were trained on is no score, nor is one on those that selected the checkpoint.
    """
    uses = {"train": "which is trained on", "validation": "which selects the checkpoint"}
    for first, role in itertools.combinations([role for role in USUAL_NAMES if role in spans], 2):
        for one, other in itertools.product(spans[first], spans[role]):
            if one.split == other.split and max(one.start, other.start) < min(one.stop, other.stop):
                raise InputError(
                    f"data.{role}_split: {chosen[role]} shares rows with {chosen[first]}, {uses[first]}; take slices "
                    f"that do not meet, such as {one.split}[:80%] and {one.split}[80%:]"
                )


def stratified(labels: np.ndarray, count: int, seed: int, keep_one: bool = False) -> np.ndarray:
    """Rows of a seeded sample that is stratified by class, by largest remainder; the seed decides equal remainders.

    Args:
        labels: as `read_labels` has them; those of several labels an image are stratified as far as that goes.
        count: rows to take, at most len(labels).
        keep_one: leave at least one row of every class behind (for a part that is held out of train).

    Returns:
        Sorted row numbers, shape (count,) or a little less where keep_one forbids more.
    """
    if labels.ndim == 2:
        return sample_sets(labels, count, seed, keep_one)
    classes, sizes = np.unique(labels, return_counts=True)
    room = sizes - 1 if keep_one else sizes
    exact = sizes * min(count, len(labels)) / max(len(labels), 1)
    counts = np.minimum(np.floor(exact).astype(int), room)
    # Rounded, or the last bit of a float would decide between equal remainders of classes of different sizes.
    remainders = np.round(exact - np.floor(exact), 9)
    # A generator of its own: where no remainders are equal, the rows that are drawn do not depend on this.
    drawn = np.random.default_rng([seed, 1]).permutation(len(classes))
    for c in drawn[np.argsort(-remainders[drawn], kind="stable")]:
        if counts.sum() >= count:
            break
        counts[c] += counts[c] < room[c]
    return draw_rows(labels, dict(zip(classes.tolist(), counts.tolist(), strict=True)), seed)


def per_class(labels: np.ndarray, count: int, names: list[str], seed: int, role: str) -> np.ndarray:
    """Rows of a seeded sample with exactly `count` of every class that occurs; an InputError where one has fewer."""
    classes, sizes = np.unique(labels, return_counts=True)
    for c, size in zip(classes, sizes, strict=True):
        if size < count:
            raise InputError(f"data.samples_per_class.{role}: {count} requested, but {names[c]!r} has only {size}")
    return draw_rows(labels, dict.fromkeys(classes.tolist(), count), seed)


def draw_rows(labels: np.ndarray, counts: dict[int, int], seed: int) -> np.ndarray:
    """Rows of a seeded sample with so many of each class, sorted."""
    random = np.random.default_rng(seed)
    drawn = [random.permutation(np.flatnonzero(labels == c))[:count] for c, count in sorted(counts.items())]
    return np.sort(np.concatenate(drawn)) if drawn else np.array([], dtype=int)


def fingerprint(names: list[str], digests: list[str], labels: list[str]) -> str:
    """A split's identity: relative names, contents and labels in order. A moved folder keeps it."""
    hashed = hashlib.sha256()
    for line in zip(names, digests, labels, strict=True):
        hashed.update("\t".join(line).encode() + b"\n")
    return hashed.hexdigest()[:32]
