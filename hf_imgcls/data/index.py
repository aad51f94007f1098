"""A list of image files as a dataset that loads in a second and notices every change.

The list is an entry of the cache. Its key is the hash of its content, size and time of change of each image included:
nothing downstream is computed again unless an image was added, removed or changed, and a changed or deleted image
never meets a stale result.
"""

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from typing import Any, NamedTuple

import datasets
import pyarrow as pa

from hf_imgcls.errors import InputError
from hf_imgcls.store import cached_rows


class Entry(NamedTuple):
    """One image file: where it is, its name relative to the data's root, its label as the source has it."""

    path: str | None
    name: str
    label: Any
    size: int
    changed: int  # ns


def entry(path: str, name: str, label: Any) -> Entry:
    """An entry with the file's present size and time of change; a missing file has size -1.

    The name is brought to Unicode NFC, so that a copy made on a Mac has the same fingerprints. Of the two times the
    later one counts: a file that another one was moved or unpacked onto may keep an old time of modification.
    """
    name = unicodedata.normalize("NFC", name)
    try:
        status = os.stat(path)
    except OSError:
        return Entry(path, name, label, -1, 0)
    return Entry(path, name, label, status.st_size, max(status.st_mtime_ns, status.st_ctime_ns))


def load_entries(entries: Iterable[Entry], label: Any = None) -> datasets.Dataset:
    """Entries as a dataset with the columns image (bytes none, absolute path), label, name, size, changed.

    Args:
        entries: the image files, in the order of the rows.
        label: the label column's feature; a string if not given.

    Raises:
        InputError: a file name that is not Unicode text.
    """
    paths, names, labels, sizes, changed = (list(column) for column in zip(*entries, strict=True))
    _check_text(paths)
    features = datasets.Features(
        image=datasets.Image(decode=False),
        label=label or datasets.Value("string"),
        name=datasets.Value("string"),
        size=datasets.Value("int64"),
        changed=datasets.Value("int64"),
    )
    schema = features.arrow_schema
    images = pa.StructArray.from_arrays(
        [pa.nulls(len(paths), pa.binary()), pa.array(paths, pa.string())], ["bytes", "path"]
    )
    others = [pa.array(column, schema.types[i]) for i, column in enumerate((labels, names, sizes, changed), start=1)]
    # Not through `load_dataset`, which takes longer than listing the files.
    content = _as_arrow(pa.table([images, *others], schema=schema))
    key = hashlib.sha256(content).hexdigest()[:32]
    return cached_rows("index", key, lambda folder: (folder / "rows.arrow").write_bytes(content))[0]


def _check_text(paths: list[str | None]) -> None:
    paths = [path or "" for path in paths]
    try:
        "".join(paths).encode()
    except UnicodeEncodeError as error:
        # Names in an older encoding (a Korean or Japanese zip file, unpacked elsewhere) reach Python as surrogates.
        count = 0
        broken = next(path for path in paths if (count := count + len(path)) > error.start)
        raise InputError(
            f"data.path: the name {broken!a} is not UTF-8; rename it (convmv does whole folders)"
        ) from None


def _as_arrow(table: pa.Table) -> pa.Buffer:
    """A table as an Arrow file, which `datasets` maps into memory; its schema holds the features, names included."""
    written = pa.BufferOutputStream()
    with pa.ipc.new_stream(written, table.schema) as stream:
        stream.write_table(table)
    return written.getvalue()
