"""What is wrong with a dataset, by what was read of its images: each finding names files and says what to do."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hf_imgcls.data.drop_near import find_contents
from hf_imgcls.data.looks import Looks
from hf_imgcls.data.rows import Data
from hf_imgcls.words import listed

KINDS = (
    "unreadable", "unknown_label", "duplicates_across", "duplicates_within", "near_across", "near_within",
    "other_label", "few_images", "imbalance", "constant", "tiny", "long",
)  # fmt: skip
FEW = 10  # images of a class in train, below which it is hardly learned
UNEVEN = 5  # times as many images
_CONSTANT = 12  # levels of 255 between the darkest and the lightest pixels
_TINY, _TINY_SHARE = 16, 0.25  # pixels of the shorter side, and of the median of the dataset
_LONG = 4  # longer side / shorter side


class Finding(NamedTuple):
    """Something that is wrong with one split, or between two.

    Attributes:
        kind: one of KINDS.
        images: how many of the split it concerns; 0 where it is about the split as a whole.
        text: what was found, without the files.
        advice: what to do.
        files: of each image `split`, `file`, `label` and where there is a second one `other_split`, `other_file`,
            `other_label`; `detail` where there is more to say.
    """

    kind: str
    split: str
    images: int
    text: str
    advice: str
    files: list[dict[str, str]]


class Inspected(NamedTuple):
    """A dataset, and the looks of its images by split."""

    data: Data
    looks: dict[str, Looks]


def find_faults(seen: Inspected) -> list[Finding]:
    """All findings, the gravest first."""
    found = [*_unreadable(seen), *_unknown(seen), *_twins(seen), *_classes(seen), *_odd_images(seen)]
    return sorted(found, key=lambda each: KINDS.index(each.kind))


def _unreadable(seen: Inspected) -> Iterator[Finding]:
    for split in dict.fromkeys(bad.split for bad in seen.data.bad):
        files = [
            {"split": split, "file": bad.file, "label": bad.label, "detail": bad.reason}
            for bad in seen.data.bad
            if bad.split == split
        ]
        advice = "mend or remove them; training skips them (data.bad_images)"
        yield Finding("unreadable", split, len(files), "unreadable", advice, files)


def _unknown(seen: Inspected) -> Iterator[Finding]:
    for split in dict.fromkeys(each.split for each in seen.data.unknown or ()):
        files = [
            {"split": split, "file": each.file, "label": each.label}
            for each in seen.data.unknown
            if each.split == split
        ]
        text = f"of a class that train does not have: {listed(sorted({repr(each['label']) for each in files}))}"
        advice = "rename the class, or give train images of it; training refuses these data"
        yield Finding("unknown_label", split, len(files), text, advice, files)


class _Images(NamedTuple):
    """Of all splits one after the other: split, file, label, content."""

    split: np.ndarray
    file: list[str]
    label: np.ndarray
    digest: np.ndarray


def _twins(seen: Inspected) -> Iterator[Finding]:
    """Images that are the same byte for byte, and nearly the same, by the splits that they are in."""
    data, roles = seen.data, list(seen.looks)
    split = np.repeat(roles, [len(seen.data.files[role]) for role in roles])
    labels = np.concatenate([np.array(data.splits[role]["label"][:], int) for role in roles])
    images = _Images(
        split,
        list(itertools.chain(*(data.files[role] for role in roles))),
        labels,
        np.concatenate([data.digests[r] for r in roles]),
    )
    number, pairs = find_contents(images.digest, np.concatenate([seen.looks[role].thumbnails for role in roles]))
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


def _classes(seen: Inspected) -> Iterator[Finding]:
    data = seen.data
    counts = count_classes(data)
    train = counts["train"]
    few = [i for i in np.argsort(train, kind="stable") if train[i] < FEW]
    if few:
        files = [{"split": "train", "label": data.labels[i], "detail": f"{train[i]} images"} for i in few]
        text = f"{len(few)} of {len(train)} classes have less than {FEW} images"
        advice = "add images, or merge or drop these classes"
        yield Finding("few_images", "train", 0, text, advice, files)
    least, most = int(train.argmin()), int(train.argmax())
    if train[most] >= UNEVEN * max(1, train[least]):
        text = f"{train[most]:,} images of {data.labels[most]!r}, {train[least]:,} of {data.labels[least]!r}"
        advice = "training.metric_for_best_model=macro_f1; sampling.balance, loss.logit_adjustment"
        files = [{"split": "train", "label": data.labels[i], "detail": f"{train[i]} images"} for i in (most, least)]
        yield Finding("imbalance", "train", 0, text, advice, files)
    for role in set(counts) - {"train"}:
        missing = [i for i in np.flatnonzero(counts[role] == 0) if train[i]]
        if missing:
            files = [{"split": role, "label": data.labels[i], "detail": "0 images"} for i in missing]
            text = f"no images of {len(missing)} of {len(train)} classes"
            yield Finding("few_images", role, 0, text, "they are not scored: add images of them", files)


def count_classes(data: Data) -> dict[str, np.ndarray]:
    """Images of each class, shape (classes,), by split."""
    return {
        role: np.bincount(np.array(rows["label"][:], int), minlength=len(data.labels))
        for role, rows in data.splits.items()
    }


def _odd_images(seen: Inspected) -> Iterator[Finding]:
    median = np.median(np.concatenate([looks.sizes.min(1) for looks in seen.looks.values()]))
    least = max(_TINY, _TINY_SHARE * median)
    for role, looks in seen.looks.items():
        shorter, longer = looks.sizes.min(1), looks.sizes.max(1)
        sizes = [f"{width}x{height}" for width, height in looks.sizes]
        levels = [f"{spread:.0f} of 255 levels" for spread in looks.spreads]
        yield from _odd(seen, role, "constant", looks.spreads < _CONSTANT, levels)
        yield from _odd(seen, role, "tiny", shorter < least, sizes)
        yield from _odd(seen, role, "long", longer > _LONG * shorter, sizes)


_ODD = {
    "constant": ("nearly one colour throughout", "look at them: nothing can be recognized; remove them"),
    "tiny": ("much smaller than the others", "look at them: enlarged to the model's input they are blurred"),
    "long": ("long and narrow", "crop them, or model.processor.resize=pad keeps their proportions"),
}


def _odd(seen: Inspected, role: str, kind: str, which: np.ndarray, details: list[str]) -> Iterator[Finding]:
    labels = seen.data.splits[role]["label"][:]
    rows = np.flatnonzero(which)
    files = [
        {"split": role, "file": seen.data.files[role][i], "label": seen.data.labels[labels[i]], "detail": details[i]}
        for i in rows
    ]
    if files:
        yield Finding(kind, role, len(files), *_ODD[kind], files)
