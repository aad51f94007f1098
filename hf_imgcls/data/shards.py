"""Rows of Parquet and tar files at addresses, read one after the other as they come: nothing is kept on the disk."""

import contextlib
import itertools
import tarfile
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.packaged_modules.webdataset.webdataset import WebDataset

from hf_imgcls.data.datafiles import LOAD_ERRORS, reason, without_nulls
from hf_imgcls.data.formats import NO_ROWS, known_fault
from hf_imgcls.data.same_classes import check_same_classes
from hf_imgcls.errors import InputError, ReadError, UserError
from hf_imgcls.store import Stored, look_up, open_stored
from hf_imgcls.words import listed, without_secrets

_ROWS = 16  # of a Parquet file that are in memory as Python values
_FIRST = 5  # samples of a tar from which its columns are known, as `datasets` has it
_PAUSES = (1, 10)  # seconds before a shard is read on, where its service failed


def stream_shards(shards: list[Stored]) -> datasets.IterableDataset:
    """The rows of shards of one kind; each worker reads shards of its own.

    Raises:
        InputError: the first one is not what its name says, or has no rows; or, while it is read, a column is missing
            in one of them or has other classes than in the first.
    """
    features = check_shard(shards[0])
    arguments = {"shards": list(shards), "columns": features}  # of these only lists are divided among workers
    return datasets.IterableDataset.from_generator(_read_shards, features=features, gen_kwargs=arguments)


def check_shard(shard: Stored) -> datasets.Features:
    """The columns of a shard; an InputError where it is not what its name says, has no rows, or paths for images."""
    with _naming(shard), open_stored(shard.address) as file:
        if _is_parquet(shard):
            parquet = pq.ParquetFile(file)
            found = datasets.Features.from_arrow_schema(parquet.schema_arrow)
            rows = next((batch.to_pylist() for batch in parquet.iter_batches(_ROWS)), [])
        else:
            rows = list(itertools.islice(_samples(file, shard), _FIRST))
            found = _columns_of(rows)
    where = without_secrets(shard.address)
    if not rows:
        raise InputError(f"data.path: {where} {NO_ROWS}")
    for name in filter(lambda name: _is_encoded(found[name]), found):
        images = [row[name] for row in rows if isinstance(row[name], dict) and row[name]["path"] is not None]
        if images and all(image["bytes"] is None for image in images):
            raise InputError(
                f"data.path: {where} has paths in its column {name!r} ({images[0]['path']}), not images; write the "
                "images into it: hf-imgcls pack, where these files are"
            )
    return found


def _is_encoded(feature: Any) -> bool:
    return isinstance(feature, datasets.Image) or (isinstance(feature, dict) and {"bytes", "path"} <= feature.keys())


def _columns_of(samples: list[dict[str, Any]]) -> datasets.Features:
    found = without_nulls(datasets.Features.from_arrow_schema(pa.Table.from_pylist(samples).schema))
    images = _image_fields(samples[0]) if samples else []
    return datasets.Features({**found, **dict.fromkeys(images, datasets.Image())})


def _read_shards(shards: list[Stored], columns: datasets.Features) -> Iterator[dict[str, Any]]:
    for shard in shards:
        _check_unchanged(shard)
        yield from _read_on(shard, columns)
        _check_unchanged(shard)


def _read_on(shard: Stored, columns: datasets.Features) -> Iterator[dict[str, Any]]:
    """The rows of a shard; where its service fails for a while, from the next row on."""
    done = 0
    for pause in (*_PAUSES, None):
        try:
            for row in itertools.islice(_rows(shard, columns), done, None):
                yield row
                done += 1
            return
        except ReadError:
            if pause is None:
                raise
            time.sleep(pause)


def _rows(shard: Stored, columns: datasets.Features) -> Iterator[dict[str, Any]]:
    with _naming(shard), open_stored(shard.address) as file:
        yield from (_parquet_rows if _is_parquet(shard) else _tar_rows)(file, shard, columns)


def _parquet_rows(file: BinaryIO, shard: Stored, columns: datasets.Features) -> Iterator[dict[str, Any]]:
    parquet = pq.ParquetFile(file)
    if missing := set(columns) - set(parquet.schema_arrow.names):
        where = without_secrets(shard.address)
        raise InputError(f"data.path: {where} has no column {min(missing)!r}, but other files do")
    check_same_classes(
        datasets.Features.from_arrow_schema(parquet.schema_arrow), columns, without_secrets(shard.address)
    )
    for batch in parquet.iter_batches(_ROWS, columns=list(columns)):
        yield from batch.to_pylist()


def _tar_rows(file: BinaryIO, shard: Stored, columns: datasets.Features) -> Iterator[dict[str, Any]]:
    for sample in _samples(file, shard):
        names = [name for name in _image_fields(sample) if name in columns]
        images = {name: {"bytes": sample[name], "path": f"{sample['__key__']}.{name}"} for name in names}
        yield {name: sample.get(name) for name in columns} | images


def _samples(file: BinaryIO, shard: Stored) -> Iterator[dict[str, Any]]:
    """The samples of a tar; an InputError where the images of one have another ending than those of the first one."""
    known = None
    for sample in WebDataset._get_pipeline_from_tar(shard.address, _members(file)):
        images = _image_fields(sample)
        if images != (known := known or images):
            raise InputError(
                f"data.path: {without_secrets(shard.address)}: the sample {sample['__key__']!r} has the images "
                f"{listed(images) or 'none'}, the first one {listed(known) or 'none'}; give all one ending, and "
                "let the files of a sample follow each other"
            )
        yield sample


def _members(file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    """The files of a tar that is read once, from front to back; hidden ones are left out, as `datasets` does."""
    with tarfile.open(fileobj=file, mode="r|*") as archive:
        for member in archive:
            if member.isfile() and not member.name.rpartition("/")[2].startswith((".", "__")):
                yield member.name, archive.extractfile(member)
            archive.members = []  # which would grow with the archive


def _image_fields(sample: dict[str, Any]) -> list[str]:
    return [name for name in sample if name.rpartition(".")[2].lower() in WebDataset.IMAGE_EXTENSIONS]


def _is_parquet(shard: Stored) -> bool:
    return shard.name.lower().endswith(".parquet")


def _check_unchanged(shard: Stored) -> None:
    now = look_up(shard.address)
    if now is None or (now.size, now.version) != (shard.size, shard.version):
        what = "is gone" if now is None else "was changed"
        raise ReadError(
            f"{without_secrets(shard.address)} {what} while the data were read; mend that, then run the same command "
            "again"
        )


@contextlib.contextmanager
def _naming(shard: Stored) -> Iterator[None]:
    """What is wrong with a shard as an InputError that names it; what its service denies is one line already."""
    try:
        yield
    except UserError:
        raise
    except LOAD_ERRORS as error:
        fault = known_fault(error) or f"cannot be read: {reason(error)}"
        raise InputError(f"data.path: {without_secrets(shard.address)} {fault}") from None
