"""Whether the files of one split number its classes alike."""

from collections.abc import Sequence
from pathlib import Path

import datasets
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError
from hf_imgcls.words import listed


def check_files(files: Sequence[Path]) -> None:
    """Refuse (InputError) Parquet files of one split that number their classes otherwise than the first one does."""
    first = None
    for file in files if len(files) > 1 else ():
        found = datasets.Features.from_arrow_schema(pq.read_schema(file))
        first = first or found
        check_same_classes(found, first, str(file))


def check_same_classes(found: datasets.Features, first: datasets.Features, where: str) -> None:
    """Refuse (InputError) a file whose numbers of classes stand for others than in the first file of its split.

    `datasets` takes the names of the first one for all.
    """
    for name in found.keys() & first.keys():
        own, known = (getattr(getattr(each[name], "feature", each[name]), "names", None) for each in (found, first))
        if own and known and own != known:
            raise InputError(
                f"data.path: {where} has the classes {listed(own, 3)} in its column {name!r}, the first file "
                f"{listed(known, 3)}; write all with the same ones in the same order, or labels as text"
            )
