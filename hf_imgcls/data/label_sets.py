"""Several labels an image, as a column has them: lists, texts such as "cat|dog", vectors of 0 and 1."""

import ast
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import datasets

from hf_imgcls.data.label_vectors import are_vectors, numpy_as_list, of_vector, vectors_of_text
from hf_imgcls.data.labels import label_namer
from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import listed, one_line, plural

_SEPARATORS = {"|": "'|'", ";": "';'", ",": "','", " ": "spaces"}
_COMMON = 0.5  # of the images: so many different labels are ids or captions
_FEW = 10

LabelSet = list[str]


def read_sets(
    rows: datasets.Dataset, section: DataSection, known: Sequence[str] = ()
) -> tuple[list[LabelSet | None], list[str]]:
    """The label names of each row, without duplicates, and notes; None where there is no value that says them.

    Of a text nothing, and of a list an empty one, means that the image has none of the labels.

    Args:
        known: the names of all labels, where they are known: a text that is one of them is not divided.
    """
    feature, values = rows.features["label"], rows["label"][:]
    if inner := _inner(feature):
        if are_vectors(values, inner, section.label_names or known):
            width = len(next(value for value in values if value is not None))
            names = section.label_names or known or list(map(str, range(width)))
            return [None if value is None else of_vector(value, names) for value in values], []
        name = label_namer(inner, section.label_names)
        return [None if value is None else _unique(map(name, value), value) for value in values], []
    if not _is_text(feature):  # one label an image
        name = label_namer(feature, section.label_names)
        return [[found] if (found := name(value)) is not None else None for value in values], []
    texts = [_plain(value or "") for value in values]
    separator = _separator(texts, known)
    parts = [_divide(text, separator, known) for text in texts]
    if vectors := vectors_of_text(parts, known):
        return [None if vector is None else of_vector(vector, known) for vector in vectors], []
    notes = [f"several labels in one text are separated by {_SEPARATORS[separator]}"] if separator else []
    return [list(dict.fromkeys(part)) for part in parts], notes


def name_sets(rows: datasets.Dataset, found: Iterable[LabelSet | None], section: DataSection) -> list[str]:
    """The names of all labels, in the order of their ids, from those of the training rows."""
    feature = _inner(rows.features["label"]) or rows.features["label"]
    if section.label_names:
        twice = next((name for name in section.label_names if section.label_names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"data.label_names: {twice!r} is given more than once; label names are unique")
        return list(map(_plain, section.label_names))
    if isinstance(feature, datasets.ClassLabel):
        return list(feature.names)
    names = {name for one in found for name in one or ()}
    if not names:
        raise InputError("data.label_column: no image of train has a label; name the column of the labels")
    numbers = not _is_text(feature) and all(re.fullmatch(r"-?\d+", name) for name in names)
    return sorted(names, key=int if numbers else None)


def check_sets(found: Sequence[LabelSet | None], origin: str) -> None:
    """Refuse (InputError) columns of ids or captions."""
    names = {name for one in found for name in one or ()}
    if len(names) > max(_FEW, len(found) * _COMMON):
        raise InputError(
            f"data.label_column: {origin} has {len(names):,} different labels in {len(found):,} rows, too many; it "
            "looks like ids, names or captions: name the column of the labels"
        )


def encode_sets(found: list[LabelSet], names: Sequence[str], split: str, owner: str) -> list[list[int]]:
    """Label names as sorted ids; an InputError names a label that `owner`, who has the names, lacks."""
    ids = {name: i for i, name in enumerate(names)}
    unknown = sorted({name for one in found for name in one if name not in ids})
    if unknown:
        images = sum(unknown[0] in one for one in found)
        others = f" and {plural(len(unknown) - 1, 'more label')}" if len(unknown) > 1 else ""
        raise InputError(
            f"data: {split} has the label {unknown[0]!r} ({plural(images, 'image')}){others}, not among the "
            f"{len(names)} of {owner}: {listed(names)}{nearest(unknown[0], names)}"
        )
    return [sorted(ids[name] for name in one) for one in found]


def set_of_row(feature, section: DataSection, names: Sequence[str]) -> Callable[[Any], LabelSet | None]:
    """How the value of a row of a stream becomes label names, where those of all labels are known."""
    inner = _inner(feature)
    name = label_namer(inner or feature, section.label_names)

    def read(value) -> LabelSet | None:
        if _is_text(feature):
            text = _plain(value or "")
            parts = _divide(text, _separator([text], names), names)
            vector = vectors_of_text([parts], names)
            return of_vector(vector[0], names) if vector else list(dict.fromkeys(parts))
        if value is None or inner is None:
            return None if value is None else [name(value)]
        return of_vector(value, names) if are_vectors([value], inner, names) else _unique(map(name, value), value)

    return read


def _inner(feature):
    """The feature of a list's values; None where it is no list."""
    return getattr(feature, "feature", None)


def _is_text(feature) -> bool:
    return getattr(feature, "dtype", None) in ("string", "large_string")


def _unique(names: Iterable[str | None], value) -> LabelSet:
    found = list(names)
    if None in found:
        raise InputError(f"data.label_column: found {one_line(str(value), 60)}, expected names or ids of labels")
    return list(dict.fromkeys(map(_plain, found)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _separator(texts: Collection[str], known: Collection[str]) -> str | None:
    """What separates labels in texts: the first that leaves known labels alone, or else the first that there is."""
    texts = {text for text in texts if text not in known and not _is_list(text)}
    there = [each for each in _SEPARATORS if any(each in text for text in texts)]
    fitting = (each for each in there if known and all(set(_divide(text, each)) <= {*known} for text in texts))
    return next(fitting, next(iter(there), None))


def _is_list(text: str) -> bool:
    """Whether a text is a list, or a tuple or set of texts in quotation marks."""
    return re.fullmatch(r"""\[.*\]|\(\s*['"].*\)|\{\s*['"].*\}""", text, re.DOTALL) is not None


def _divide(text: str, separator: str | None, known: Collection[str] = ()) -> list[str]:
    """The parts of a text, as often as each is there."""
    if not text or text in known:
        return [text] if text else []
    if not _is_list(text):
        return list(filter(None, map(str.strip, text.split(separator) if separator else [text])))
    try:
        found = ast.literal_eval(numpy_as_list(text))  # as pandas writes lists into a CSV file
        found = [found] if isinstance(found, str) else found
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        quoted = re.match(r"""\W\s*['"]""", text)  # of which something is no text
        found = [None] if quoted else [part.strip() for part in text[1:-1].split(",")]  # [cat, dog]
    if isinstance(found, dict) or not all(isinstance(each, str | int) or each in (0, 1) for each in found):
        raise InputError(f"data.label_column: found {one_line(text, 60)}, expected a list of labels")
    return list(filter(None, (_plain(str(each)) for each in found)))
