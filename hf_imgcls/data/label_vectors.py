"""Vectors of 0 and 1, one for each label, as lists and as text; what tells them from lists of ids."""

import re
from collections.abc import Collection, Sequence

import datasets

from hf_imgcls.errors import InputError

_FLAGS = {**dict.fromkeys(("0", "0.", "0.0", "False"), 0), **dict.fromkeys(("1", "1.", "1.0", "True"), 1)}


def are_vectors(values: Sequence, inner, known: Collection[str]) -> bool:
    """Whether lists of a feature's numbers say of each label whether the image has it; see `_are_flags`."""
    if isinstance(inner, datasets.ClassLabel) or getattr(inner, "dtype", None) in ("string", "large_string"):
        return False
    kind = getattr(inner, "dtype", "")
    return _are_flags([value for value in values if value is not None], kind == "bool" or "float" in kind, known)


def vectors_of_text(parts: Sequence[Sequence[str]], known: Collection[str]) -> list[list[int] | None] | None:
    """Vectors that the parts of texts are, None of an empty one; None where they are names or ids.

    `[0, 1, 1]` and `[1. 0. 1.]`, as pandas and numpy write them, or `0 1 1`. Where labels are called 0 and 1, they are
    none.
    """
    given = [part for part in parts if part]
    flags = [[_FLAGS.get(each) for each in part] for part in given]
    written = {each for part in given for each in part}
    if max(map(len, given), default=0) < 2 or {"0", "1"} <= {*known}:
        return None
    if not _are_flags(flags, not written <= {"0", "1"}, known):
        return None
    if not known:
        raise InputError("data.label_column: its texts are vectors of 0 and 1; data.label_names names them in order")
    return [[_FLAGS[each] for each in part] or None for part in parts]


def of_vector(value: Sequence, names: Sequence[str]) -> list[str]:
    """The names of the labels that a vector has."""
    if len(value) != len(names):
        raise InputError(
            f"data.label_column: a vector of labels has {len(value)} values, but there are {len(names)} names of "
            "labels; data.label_names has them all, in their order"
        )
    return [name for name, has in zip(names, value, strict=True) if has]


def numpy_as_list(text: str) -> str:
    """A list as numpy writes it, `['cat' 'dog']` or `[0 1]`, with the commas that it lacks: Python joins texts."""
    quoted = "'" in text or '"' in text
    return re.sub(r"""(?<=['"])\s+(?=['"])""" if quoted else r"(?<=[\w.])\s+(?=\w)", ", ", text)


def _are_flags(given: Sequence[Sequence], sure: bool, known: Collection[str]) -> bool:
    """Whether lists are vectors: of 0 and 1 alone, and `sure` by their type, or one of them has a number twice.

    Ids of labels do not come twice in one list.

    Raises:
        InputError: vectors of several lengths; 0 and 1 in each list, of two labels, which may be either.
    """
    if not any(given) or not {each for value in given for each in value} <= {0, 1}:
        return False
    lengths = {len(value) for value in given}
    if not (sure or any(len(set(value)) < len(value) for value in given)):
        if lengths == {2} and len(known) in (0, 2):
            raise InputError(
                f"data.label_column: {[*given[0]]} and the like: two ids, or a vector of 0 and 1? write names of labels"
            )
        return False
    if len(lengths) > 1:
        raise InputError(f"data.label_column: vectors of 0 and 1 of several lengths, {min(lengths)} and {max(lengths)}")
    return True
