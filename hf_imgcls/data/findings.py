"""What is wrong with a dataset, by what was read of its images: each finding names files and says what to do."""

from collections.abc import Iterator

import numpy as np

from hf_imgcls.data.inspected import KINDS, Finding, Inspected
from hf_imgcls.data.twins import find_twins
from hf_imgcls.words import listed

FEW = 10  # images of a class in train, below which it is hardly learned
UNEVEN = 5  # times as many images
_CONSTANT = 12  # levels of 255 between the darkest and the lightest pixels
_TINY, _TINY_SHARE = 16, 0.25  # pixels of the shorter side, and of the median of the dataset
_LONG = 4  # longer side / shorter side


def find_faults(seen: Inspected) -> list[Finding]:
    """All findings, the gravest first."""
    found = [*_unreadable(seen), *_unknown(seen), *find_twins(seen), *_classes(seen), *_odd_images(seen)]
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


def _classes(seen: Inspected) -> Iterator[Finding]:
    data = seen.data
    counts = {role: np.array(data.count_classes(role)) for role in data.splits}
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
