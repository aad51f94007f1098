"""A column that says of each row which split it is of: it is not read, which is said."""

from collections.abc import Iterable

import datasets

from hf_imgcls.data.datafiles import SourcePart, head
from hf_imgcls.data.folders import split_of
from hf_imgcls.words import listed


def note_split_column(part: SourcePart, used: Iterable[str | None], where: str) -> list[str]:
    """A note on the first column, other than those `used`, whose values all name splits; a stream is not looked at."""
    if not isinstance(part.rows, datasets.Dataset):
        return []
    for name, feature in part.rows.features.items():
        if name in used:
            continue
        found = list(dict.fromkeys(_texts(part.rows, name, feature)))
        if found and all(map(split_of, found)):
            return [
                f'column "{name}" of {where} ({listed(found, 3)}) is not read and divides no rows; a table for each '
                "split (train.csv, test.csv) does"
            ]
    return []


def _texts(rows: datasets.Dataset, name: str, feature) -> list[str]:
    """The names of a column of class labels, or the first values of one of texts."""
    if isinstance(feature, datasets.ClassLabel):
        return feature.names
    return head(rows, name) if getattr(feature, "dtype", None) in ("string", "large_string") else []
