"""Images that are there more than once, by the splits that they are in and by their labels."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hf_imgcls.data.inspected import Finding, Inspected


class _Images(NamedTuple):
    """Of all splits one after the other: split, file, label."""

    split: np.ndarray
    file: list[str]
    label: np.ndarray


def find_twins(seen: Inspected) -> Iterator[Finding]:
    """Images that are the same byte for byte, and nearly the same, by the splits that they are in."""
    data, roles = seen.data, list(seen.looks)
    split = np.repeat(roles, [len(seen.data.files[role]) for role in roles])
    labels = np.concatenate([np.array(data.splits[role]["label"][:], int) for role in roles])
    images = _Images(split, list(itertools.chain(*(data.files[role] for role in roles))), labels)
    number, pairs = seen.contents
    members = np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1])
    equal = [(rows[0], row, "") for rows in members for row in rows[1:]]
    one_each = [list({(split[row], labels[row]): row for row in rows[::-1]}.values()) for rows in members]
    near = [
        (min(a, b), max(a, b), f"likeness {likeness:.2f}")
        for one, other, likeness in zip(*pairs, strict=True)
        for a, b in itertools.product(one_each[one], one_each[other])
    ]
    yield from _pairs_by_split(images, data.labels, equal, "duplicates", "same bytes")
    yield from _pairs_by_split(images, data.labels, near, "near", "nearly the same")


def _pairs_by_split(images: _Images, names: list[str], pairs: list, kind: str, words: str) -> Iterator[Finding]:
    """A finding for each two splits, and one for each of those where labels differ."""
    groups: dict[tuple, list] = {}
    for a, b, detail in pairs:
        # The later split, which is scored, is the one that has the fault.
        differ = images.label[a] != images.label[b]
        groups.setdefault((images.split[b], images.split[a], bool(differ)), []).append((b, a, detail))
    for (split, other, differ), members in groups.items():
        files = [_pair(images, names, *each) for each in members]
        count = len({each[0] for each in members})
        where = "as another one there" if split == other else f"as one of {other}"
        if differ:
            text = f"{words} {where}, under another label"
            advice = "one of the two labels is wrong, or the classes overlap: correct it (data.relabel) or drop both"
            yield Finding("other_label", str(split), count, text, advice, files)
        else:
            name = f"{kind}_{'within' if split == other else 'across'}"
            yield Finding(name, str(split), count, f"{words} {where}", _advice(split, other, kind), files)


def _advice(split: str, other: str, kind: str) -> str:
    if split == other:
        return "keep one of each; in train they count twice, in a scored split too"
    value = "drop_from_train" if kind == "duplicates" else "drop_near_from_train"
    if other == "train":
        return f"the score of {split} says too much: data.duplicates={value} leaves them out of train"
    return f"keep them in one of {other} and {split}"


def _pair(images: _Images, names: list[str], row: int, other: int, detail: str) -> dict[str, str]:
    one, two = (
        {"split": str(images.split[i]), "file": images.file[i], "label": names[images.label[i]]} for i in (row, other)
    )
    return one | {f"other_{key}": value for key, value in two.items()} | ({"detail": detail} if detail else {})
