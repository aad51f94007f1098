"""Packing: the images of a folder or dataset as Parquet or tar shards at an address, or in a folder."""

import functools
import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from hf_imgcls import data, machine
from hf_imgcls.api.inspect import read_data_recipe
from hf_imgcls.api.packed_shards import begin_shards, open_place, write_shards
from hf_imgcls.data import Packing, Shard
from hf_imgcls.errors import InputError
from hf_imgcls.machine import say
from hf_imgcls.recipe import check_outside, check_path
from hf_imgcls.store import cache_in_use, check_address, is_address
from hf_imgcls.words import listed, megabytes, plural, without_secrets

FORMATS = ("parquet", "tar")


class PackOptions(NamedTuple):
    """How to pack.

    Attributes:
        output: the address of a folder, or a folder.
        format: "parquet" or "tar".
        shard_size: MB of images in a shard.
    """

    output: str
    format: str = "parquet"
    shard_size: float = 256


@cache_in_use()
def pack_data(source: str | Path, overrides: Iterable[str], options: PackOptions) -> dict[str, Any]:
    """Write the images and labels of a source as shards, which training reads as the same rows.

    The bytes of an image stay as they are; one that cannot be read is skipped, or refused with data.bad_images=raise.
    The same source makes the same shards, and a second run writes only those that are missing or damaged.

    Args:
        source: a recipe, or anything that `data.path` can be.
        overrides: `section.key=value`.

    Returns:
        The content of the file _MANIFEST, which lies beside the shards.

    Raises:
        InputError: the data cannot be loaded, or the output holds something else.
    """
    section = read_data_recipe(source, list(overrides)).data
    _check(options, section)
    machine.prepare_launch()
    place = _as_address(options.output)
    open_place(place, options.output)
    packing = data.open_packing(section)
    if section.bad_images == "raise":
        data.refuse_bad_images(packing.bad)
    for line in [*packing.notes, *_skipped(packing)]:
        say(f"data: {line}")
    shards = [
        shard
        for part in packing.parts
        for shard in data.plan_shards(part, options.format, int(options.shard_size * 1e6))
    ]
    make = _writer(packing, section, options)
    manifest = begin_shards(place, _describe(packing, shards, options), options.output)
    written = write_shards(place, shards, manifest, make)
    for line in _report(options, manifest, written):
        say(line)
    return manifest


def _check(options: PackOptions, section) -> None:
    if options.format not in FORMATS:
        raise InputError(f"--format: found {options.format!r}, expected {' or '.join(FORMATS)}")
    if not 0 < options.shard_size < math.inf:
        raise InputError(f"--shard-size: found {options.shard_size:g}, expected more than 0 (MB)")
    if section.streaming:
        raise InputError("data.streaming: pack reads every image before it writes; leave it out")
    if section.multi_label:
        raise InputError("model.multi_label: pack writes one label an image")
    if section.relabel:
        raise InputError("data.relabel: it is applied by training, whose file names pack keeps; leave it out")
    if section.group_column and options.format == "tar":
        raise InputError("data.group_column: a tar has no column of groups; use --format parquet")
    check_path(section)
    if is_address(options.output):
        check_address(options.output)
    elif Path(options.output).expanduser().is_file():
        raise InputError(f"--output: {options.output} is a file; name a folder")
    else:
        check_outside(Path(options.output).expanduser(), section.path)


def _as_address(output: str) -> str:
    return output.rstrip("/") if is_address(output) else f"file://{Path(output).expanduser().resolve()}"


def _skipped(packing: Packing) -> list[str]:
    shown = (f"{bad.file} ({bad.reason})" for bad in packing.bad)
    return [f"skipped {plural(len(packing.bad), 'unreadable image')}: {listed(shown, 3)}"] if packing.bad else []


def _describe(packing: Packing, shards: list[Shard], options: PackOptions) -> dict[str, Any]:
    """The manifest of what is to be written."""
    planned = [[shard.name, shard.key] for shard in shards]
    return {
        "format": options.format,
        "labels": packing.labels,
        "images": {part.split: len(part.good) for part in packing.parts},
        "skipped": [bad._asdict() for bad in packing.bad],
        "key": hashlib.sha256(json.dumps([packing.labels, planned]).encode()).hexdigest()[:32],
        "shards": {},
    }


def _writer(packing: Packing, section, options: PackOptions) -> Callable[[Shard], bytes]:
    if options.format == "parquet":
        return functools.partial(data.write_parquet, labels=packing.labels, group=section.group_column)
    names = data.tar_names(packing.parts)
    return lambda shard: data.write_tar(shard, names[shard.part.split])


def _report(options: PackOptions, manifest: dict[str, Any], written: list[str]) -> list[str]:
    """What was written, and what to put into a recipe."""
    shards = manifest["shards"].values()
    size = megabytes(sum(shard["size"] for shard in shards))
    images = ", ".join(f"{split} {count:,}" for split, count in manifest["images"].items())
    earlier = len(shards) - len(written)
    there = f", {earlier:,} of them written earlier" if earlier else ""
    path = options.output if is_address(options.output) else str(Path(options.output))
    section = {"path": without_secrets(path), "streaming": True}
    if options.format == "tar":
        section["label_names"] = manifest["labels"]
    return [
        f"packed: {images} images in {plural(len(shards), 'shard')} of {size}{there}",
        f'in a recipe: "data": {json.dumps(section, ensure_ascii=False)}; without "streaming" the shards are '
        f"{'downloaded into the cache' if is_address(path) else 'read'} once",
    ]
