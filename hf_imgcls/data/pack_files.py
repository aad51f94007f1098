"""The bytes of a shard, as Parquet or as a tar (WebDataset); those of its images are the ones that were checked."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from pathlib import PurePosixPath

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from hf_imgcls.data.pack import Packed, Shard
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images import in_memory
from hf_imgcls.words import listed

_ROW_GROUP = 100  # images: a reader holds one row group in memory
_SAME = {"jpeg": "jpg", "jpe": "jpg", "jfif": "jpg", "tiff": "tif"}  # endings of one format


def write_parquet(shard: Shard, labels: list[str], group: str | None) -> bytes:
    """The rows as `datasets` writes them: an Image with bytes and name, a ClassLabel, and a column of groups."""
    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=labels))
    features |= {group: shard.part.rows.features["group"]} if group else {}
    schema, out = features.arrow_schema, io.BytesIO()
    with pq.ParquetWriter(out, schema, compression="none", use_dictionary=False) as writer:
        for start in range(0, len(shard.rows), _ROW_GROUP):
            rows = shard.rows[start : start + _ROW_GROUP]
            images = [{"bytes": image, "path": shard.part.names[row] or None} for row, image in _images(shard, rows)]
            columns = {"image": images, "label": [shard.part.ids[row] for row in rows]}
            columns |= {group: [shard.part.groups[row] for row in rows]} if group else {}
            writer.write_table(pa.table(columns, schema=schema))
    return out.getvalue()


def tar_names(parts: list[Packed]) -> dict[str, list[str]]:
    """Of each split the names of its rows in a WebDataset, with one ending for all images.

    A sample is named by what stands before the first dot: other dots become underscores, and a name that is there
    already gets its row's number.

    Raises:
        InputError: images of several endings.
    """
    endings = {_ending(part.names[row]): part.names[row] for part in parts for row in part.good}
    if len(endings) > 1:
        raise InputError(
            f"--format tar: the images have several endings ({listed(endings.values(), 3)}), of which a WebDataset has "
            "one; use --format parquet"
        )
    return {part.split: _unique(part, *endings) for part in parts}


def _ending(name: str) -> str:
    ending = PurePosixPath(name).suffix.lower().lstrip(".") or "jpg"
    return _SAME.get(ending, ending)


def _unique(part: Packed, ending: str) -> list[str]:
    found, seen = [], set()
    for row, name in enumerate(part.names):
        path = PurePosixPath(name.lstrip("/") or f"{row:08d}")
        stem = path.stem.replace(".", "_").lstrip("_") or "_"
        place = path.with_name(stem).as_posix()
        while place in seen:
            place = f"{place}-{row}"
        seen.add(place)
        found.append(f"{place}.{ending}")
    return found


def write_tar(shard: Shard, names: list[str]) -> bytes:
    """The rows as a WebDataset: `key.jpg` and `key.cls`, the class's number. The same rows make the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for row, image in _images(shard, shard.rows):
            stem = names[row].rpartition(".")[0]
            for name, content in ((names[row], image), (f"{stem}.cls", str(shard.part.ids[row]).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _images(shard: Shard, rows: list[int]) -> Iterator[tuple[int, bytes]]:
    """The bytes of images, which are those that were checked."""
    for row, image in zip(rows, shard.part.rows.select(rows)["image"][:], strict=True):
        content = in_memory(image)["bytes"]
        if hashlib.blake2b(content, digest_size=16).hexdigest() != shard.part.digests[row]:
            raise ReadError(f"{shard.part.names[row]}: was changed after it was checked; run the same command again")
        yield row, content
