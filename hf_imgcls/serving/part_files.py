"""The rows of a run on many machines: a folder with a Parquet file for each block of images.

A block is a piece of the list of images, which lies in the folder while a run goes on. Its batches are those that one
machine makes of the list, and its file is named by its images: a block that is predicted again replaces it.
"""

import hashlib
import io
import itertools
import json
import re
from collections.abc import Iterator
from typing import NamedTuple, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.serving.merge import is_dropped, schema_of
from hf_imgcls.serving.output import WrittenRows, collect_written, parquet_rows
from hf_imgcls.serving.rows import Row
from hf_imgcls.store import SharedFolder

_PART = re.compile(r"part-\d{6,}-[0-9a-f]{12}\.parquet")
_OF_A_RUN = "_hf_imgcls_"  # begins the names of files that are there while it runs; readers of Parquet skip them
_LARGEST = {"cpu": 2048, "cuda": 16_384}  # images of a block: what is predicted again where a machine fails
_BLOCKS = 8  # for each actor at least, so that all end at about the same time
_ATTEMPTS = 3  # at a block that ends its process


class Block(NamedTuple):
    """A piece of the list of images: its number, where it begins and ends in bytes, and how many images it has."""

    number: int
    start: int
    end: int
    images: int


def read_written_parts(folder: SharedFolder) -> WrittenRows:
    """What a folder holds; an InputError if it was not written by predict."""
    names = folder.names()
    other = next((name for name in names if not (_PART.fullmatch(name) or _is_of_a_run(name))), None)
    if other:
        raise InputError(f"--output: {folder.place} has other files ({other}); name a new folder")
    parts = filter(_PART.fullmatch, names)
    return collect_written(((name, parquet_rows(io.BytesIO(folder.read(name)), name)) for name in parts), folder.place)


def drop_rows_of_parts(folder: SharedFolder, again: set[int], columns: list[str]) -> None:
    """Remove the rows that know nothing of images (`name_hash`) which are read again."""
    dropped = is_dropped(again)
    for name in filter(_PART.fullmatch, folder.names() if again else ()):
        rows = pq.read_table(io.BytesIO(folder.read(name))).to_pylist()
        left = [row for row in rows if not dropped(row)]
        if not left:
            folder.remove(name)
        elif len(left) < len(rows):
            folder.write(name, _as_parquet(left, columns))


def block_size(images: int, actors: int, batch_size: int, device: str) -> int:
    """Images of a block: whole batches, so that they are those of one machine."""
    wanted = min(_LARGEST[device], images / (_BLOCKS * actors))
    return batch_size * max(1, round(wanted / batch_size))


def as_blocks(names: TextIO, size: int) -> Iterator[Block]:
    """The blocks of a list as `write_list` writes it."""
    names.seek(0)
    start = 0
    for number in itertools.count():
        lines = list(itertools.islice(names, size))
        if not lines:
            return
        end = start + sum(map(len, lines))
        yield Block(number, start, end, len(lines))
        start = end


def put_list(folder: SharedFolder, names: TextIO) -> str:
    """Write a list of images into a folder, for all machines; its name, which no other folder has."""
    content = (names.seek(0), names.read().encode("ascii"))[1]
    name = f"{_OF_A_RUN}images_{hashlib.blake2b(content, digest_size=6).hexdigest()}"
    folder.write(name, content)
    return name


def clear_run(folder: SharedFolder) -> None:
    """Remove what a run needs only while it goes on."""
    for name in filter(_is_of_a_run, folder.names()):
        folder.remove(name)
    folder.remove_drafts()


def read_block(folder: SharedFolder, list_name: str, block: Block) -> list[str]:
    """The names of a block's images."""
    with folder.open(list_name) as file:
        file.seek(block.start)
        return list(map(json.loads, file.read(block.end - block.start).splitlines()))


def begin_block(folder: SharedFolder, block: Block) -> str:
    """Count an attempt at a block, in a file that goes when it has succeeded; a MachineError if it is one too many."""
    name = f"{_OF_A_RUN}attempts_{block.number}"
    before = int(folder.read(name) or 0)
    if before >= _ATTEMPTS:
        raise MachineError(
            f"block {block.number} of {block.images} images ended its process {before} times, as a system does that "
            "is out of memory, or as a broken image may: lower --batch-size, or predict its images on one machine"
        )
    folder.write(name, str(before + 1).encode())
    return name


def write_part(folder: SharedFolder, block: Block, rows: list[Row], columns: list[str]) -> None:
    """Write the file of a block: whole, or not at all, and the same one whoever does."""
    digest = hashlib.blake2b(json.dumps([row["image"] for row in rows]).encode(), digest_size=6).hexdigest()
    folder.write(f"part-{block.number:06}-{digest}.parquet", _as_parquet(rows, columns))


def _as_parquet(rows: list[Row], columns: list[str]) -> bytes:
    content = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema_of(columns)), content)
    return content.getvalue()


def _is_of_a_run(name: str) -> bool:
    return name.startswith(_OF_A_RUN)
