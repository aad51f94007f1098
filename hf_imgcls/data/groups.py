"""Groups of images (a patient, a site, a video): their names, and which of them are in several splits."""

import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import datasets
import numpy as np

from hf_imgcls.data.rows import Data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection
from hf_imgcls.words import one_line, plural

_NAMED = 20  # groups that are named of those in two splits


class SharedGroups(NamedTuple):
    """Groups of a split that are in another one too.

    Attributes:
        images: of the split that are of such groups.
        groups: how many they are, of so many in the split.
        examples: at most 20 of their names.
    """

    split: str
    other: str
    images: int
    groups: int
    of_groups: int
    examples: list[str]


def group_names(rows: datasets.Dataset, role: str, data: Data, section: DataSection) -> list[str] | None:
    """The group of each row by name; None where a held-out split of the source has none at all, with a note.

    Names are compared without spaces around them, in Unicode NFC, and 3.0 is 3: a table of numbers becomes one of
    floats. A row without a group is refused: it could be of any.
    """
    if "group" not in rows.column_names:
        return None
    name = group_namer(rows.features["group"])
    names = [name(value) for value in rows["group"][:]]
    missing = [number for number, name in enumerate(names) if name is None]
    if len(missing) == len(names) and role != "train":
        data.notes.append(f"{role}: none of its rows has a value of {section.group_column!r}: its groups are not known")
        return None
    if missing:
        raise InputError(
            f"data.group_column: {plural(len(missing), 'row')} of {len(names):,} of {role} of {section.path} have no "
            f"value of {section.group_column!r} (first: row {missing[0]}); give each a group, or take them out"
        )
    if role == "train" and len(set(names)) == len(names):
        data.notes.append(f"groups: every image of train has another {section.group_column!r}, which changes nothing")
    return names


def group_namer(feature) -> Callable[[object], str | None]:
    """How a value of the group column becomes the group's name; a missing or blank one becomes None."""

    def name(value) -> str | None:
        if isinstance(value, dict | list):  # in a column of several types
            raise InputError(f"data.group_column: found {one_line(str(value), 60)}, expected a single value a row")
        if value is None or value != value:  # nan
            return None
        if isinstance(feature, datasets.ClassLabel):
            return feature.names[value] if value >= 0 else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return unicodedata.normalize("NFC", str(value)).strip() or None

    return name


def groups_of(rows: datasets.Dataset) -> np.ndarray | None:
    """The group of each row, shape (rows,); None where they are not known."""
    return np.array(rows["group"][:]) if "group" in rows.column_names else None


def compare_groups(data: Data) -> None:
    """Find the groups that are in two splits, which the source's own splits may have; sets `shared_groups`."""
    known = {role: groups for role, rows in data.splits.items() if (groups := groups_of(rows)) is not None}
    roles = list(known)
    for position, role in enumerate(roles):
        for other in roles[:position]:
            shared = np.isin(known[role], known[other])
            if shared.any():
                names, of_all = np.unique(known[role][shared]), len(np.unique(known[role]))
                examples = [one_line(str(name), 60) for name in names[:_NAMED]]
                data.shared_groups.append(SharedGroups(role, other, int(shared.sum()), len(names), of_all, examples))
