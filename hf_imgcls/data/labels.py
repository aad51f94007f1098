"""What the labels are called, how they become ids, and values that are no labels."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable

import datasets

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed, plural

_FEW = 10  # so many different values are classes, however few the rows are
_SEPARATORS = ("|", ",", ";")  # of several labels in one text
_DOUBTFUL = (*_SEPARATORS, " ", "/", "+", "&")  # a name may have these, too


def label_namer(feature, given: list[str] | None = None, signed: bool = False) -> Callable[[object], str | None]:
    """How a label's value becomes its class name; a missing, blank or negative label becomes None.

    Args:
        feature: the label column's type.
        given: `data.label_names`, for integers by position. A ClassLabel that shares names with them is mapped by
            name; one with none in common is renamed by position.
        signed: negative numbers are classes.
    """
    names = given
    if isinstance(feature, datasets.ClassLabel) and not (given and set(given).isdisjoint(feature.names)):
        names = feature.names

    def name(value) -> str | None:
        if value is None or value != value:  # nan, which a table of numbers has where a label is missing
            return None
        if isinstance(value, str):
            return unicodedata.normalize("NFC", value) if value.strip() else None
        if isinstance(value, bool):
            return str(value)
        if isinstance(value, float):
            if not value.is_integer():
                raise InputError(f"data.label_column: found the label {value}, expected names or whole numbers")
            value = int(value)
        if value < 0:
            return str(value) if signed else None
        if names and value >= len(names):
            raise InputError(f"data.label_names: has {len(names)} names, but there is a label {value}")
        return names[value] if names else str(value)

    return name


def label_values(dataset: datasets.Dataset, given: list[str] | None, known: Iterable[str]) -> list[str | None]:
    """The labels as class names; a missing one is None, and a negative one if no `known` class is a negative number."""
    signed = any(re.fullmatch(r"-\d+", name) for name in known)
    return list(map(label_namer(dataset.features["label"], given, signed), dataset["label"][:]))


def name_labels(dataset: datasets.Dataset | datasets.IterableDataset, given: list[str] | None) -> list[str]:
    """The class names of a training split, in the order of their ids.

    Names that the recipe gives come first of all. A ClassLabel brings its own, complete even where this part of the
    dataset lacks a class; strings are sorted; integers are counted.
    """
    feature, streamed = dataset.features["label"], isinstance(dataset, datasets.IterableDataset)
    signed = not streamed and _negatives_are_classes(dataset, feature)
    if given:
        twice = next((name for name in given if given.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"data.label_names: {twice!r} is given {given.count(twice)} times; class names are unique")
        if signed:
            raise InputError("data.label_names: names the labels 0, 1, ..., but there are negative ones; leave it out")
        return [unicodedata.normalize("NFC", name) for name in given]
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    if streamed:
        raise InputError("data.label_names: the labels of a stream are not known beforehand; name them here")
    found = {*map(label_namer(feature, signed=signed), dataset.unique("label"))} - {None}
    return sorted(found, key=None if feature.dtype in ("string", "large_string", "bool") else int)


def _negatives_are_classes(dataset: datasets.Dataset, feature) -> bool:
    """-1 means "no label", but not where it and 1 are the only labels, nor where there are others below 0."""
    if isinstance(feature, datasets.ClassLabel) or not feature.dtype.startswith(("int", "float")):
        return False
    found = {value for value in dataset.unique("label") if value is not None and value == value}
    return found == {-1, 1} or min(found, default=0) < -1


def encode_labels(values: list[str | None], names: list[str], split: str, owner: str) -> list[int]:
    """Class names as ids; a missing one is -1. An InputError names a label that `owner`, who has the names, lacks."""
    ids = {name: i for i, name in enumerate(names)}
    twice = {name for name in names if names.count(name) > 1} & {*values} if len(ids) < len(names) else ()
    for name in sorted(twice):
        both = listed(i for i, other in enumerate(names) if other == name)
        raise InputError(
            f"data: {split} has the label {name!r}, the name of several classes of {owner} (ids {both}); rename "
            "them in its config.json (id2label)"
        )
    unknown = sorted({value for value in values if value is not None and value not in ids})
    if unknown:
        rows = sum(value == unknown[0] for value in values)
        others = f" and {plural(len(unknown) - 1, 'more label')}" if len(unknown) > 1 else ""
        raise InputError(
            f"data: {split} has the label {unknown[0]!r} ({plural(rows, 'image')}){others}, not among the "
            f"{len(names)} of {owner}: {listed(names)}{nearest(unknown[0], names)}"
        )
    return [-1 if value is None else ids[value] for value in values]


def check_values(rows: datasets.Dataset, origin: str, section: DataSection) -> list[str]:
    """Refuse (InputError) values of a column that are no class labels; a note on those that may be several in one.

    Args:
        rows: all rows of the source that train is taken from.
        origin: which column of what this is; folder names are labels whatever they are.
    """
    if isinstance(rows.features["label"], datasets.ClassLabel) or not origin.startswith("column "):
        return []
    # Where the recipe names the column, classes of one image may be meant, but no column of ids.
    most = 0.9 if section.label_column else 0.5
    values = [value for value in rows.unique("label") if value is not None and value == value]
    if len(values) > max(_FEW, len(rows) * most):
        raise InputError(
            f"data.label_column: {origin} has {len(values):,} different values in {len(rows):,} rows, too many for "
            "labels; it looks like ids, names or captions: name the column of the labels"
        )
    return _check_several([value for value in values if isinstance(value, str)], origin, section.label_names)


def _check_several(values: list[str], origin: str, given: list[str] | None) -> list[str]:
    advice = "keep one of them, or set model.multi_label=true, with which an image may have several"
    for value in values:
        if re.fullmatch(r"\s*\[.*\]\s*", value, re.DOTALL):
            raise InputError(f"data.label_column: {origin} holds lists ({_quoted(value)}), multi-label; {advice}")
    for separator in _DOUBTFUL:
        combined = {value: _parts(value, separator) for value in values if separator in value.strip()}
        sure, doubtful = _several(combined, values)
        if sure and separator in _SEPARATORS and not given:
            raise InputError(
                f"data.label_column: {origin} looks like multi-label ({_quoted(sure)}: several labels in one text); "
                f"{advice}, or list all values as classes in data.label_names"
            )
        if sure or (doubtful and separator in _SEPARATORS):
            return [f"{origin} looks like multi-label ({_quoted(sure or doubtful)}); each such text is a class here"]
    return []


def _several(combined: dict[str, tuple[str, ...]], values: Collection[str]) -> tuple[str | None, str | None]:
    """A value whose parts are all labels by themselves, or come in another order too; one whose parts recur."""
    alone = {value.strip() for value in values} - {value.strip() for value in combined}
    orders = Counter(frozenset(parts) for parts in set(combined.values()))
    times = Counter(part for parts in combined.values() for part in set(parts))
    several = {value: parts for value, parts in combined.items() if len(set(parts)) > 1}
    sure = (value for value, parts in several.items() if alone.issuperset(parts) or orders[frozenset(parts)] > 1)
    doubtful = (value for value, parts in several.items() if any(times[part] > 1 or part in alone for part in parts))
    return next(sure, None), next(doubtful, None)


def _parts(value: str, separator: str) -> tuple[str, ...]:
    return tuple(part for part in map(str.strip, value.split(separator)) if part)


def note_alike(names: Iterable[str]) -> list[str]:
    """A note on class names that differ by case, spaces or Unicode form alone."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(" ".join(unicodedata.normalize("NFKC", name).casefold().split()), []).append(name)
    shown = [" and ".join(map(_quoted, group)) for group in groups.values() if len(group) > 1]
    return [f"classes whose names differ by case, spaces or Unicode form alone: {listed(shown)}"] if shown else []


def _quoted(text: str) -> str:
    """Text on one line between quotation marks, cut where it is long."""
    return json.dumps(text if len(text) <= 60 else f"{text[:59]}…", ensure_ascii=not text.isprintable())
