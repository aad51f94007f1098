"""Shards and their manifest at an address: begun, gone on with, or refused; nothing there is deleted."""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm

from hf_imgcls.data import Shard
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.machine import show_progress
from hf_imgcls.store import list_stored, look_up, open_stored, read_stored, write_stored
from hf_imgcls.words import as_json, listed, without_secrets

_MANIFEST = "_MANIFEST"  # without an ending of data files, among which it lies
_BLOCK = 1 << 22  # bytes
_EVERY = 20  # seconds between two manifests: that of 40,000 shards has 6 MB


def open_place(place: str, output: str) -> None:
    """Before every image is read: refuse (InputError) a place with other files, and find out that it can be written."""
    if look_up(f"{place}/{_MANIFEST}") is None:
        _refuse_others(place, output)
        write_stored(f"{place}/{_MANIFEST}", _as_bytes({"key": None, "shards": {}}))


def begin_shards(place: str, manifest: dict[str, Any], output: str) -> dict[str, Any]:
    """The manifest with the shards that an earlier run has written; an InputError where those are of something else."""
    shown = without_secrets(output)
    try:
        before = json.loads(read_stored(f"{place}/{_MANIFEST}"))
        key, shards = before["key"], before["shards"]
    except (ValueError, LookupError, TypeError):
        raise InputError(f"--output: {shown} holds a {_MANIFEST} of something else; name an empty place") from None
    if key not in (None, manifest["key"]):
        raise InputError(
            f"--output: {shown} was packed from other images, labels or options; name another place, or empty it"
        )
    if key is None:
        _refuse_others(place, output)
        # Before the first shard: a run that is killed leaves none that another one would not know of.
        write_stored(f"{place}/{_MANIFEST}", _as_bytes(manifest))
    return manifest | {"shards": shards}


def _refuse_others(place: str, output: str) -> None:
    try:
        files, folders = list_stored(place)
    except InputError:  # nothing is there
        return
    if there := [file.name for file in files if file.name != _MANIFEST] + folders:
        shown = without_secrets(output)
        raise InputError(f"--output: {shown} holds other files already ({listed(there, 3)}); name an empty place")


def write_shards(
    place: str, shards: list[Shard], manifest: dict[str, Any], make: Callable[[Shard], bytes]
) -> list[str]:
    """Write the shards that are not there as the manifest says, and the manifest; the names of them."""
    written, saved, images = [], time.monotonic(), sum(len(shard.rows) for shard in shards)
    bar = tqdm(total=images, desc="packing", unit="image", disable=not show_progress())
    try:
        with bar:
            for shard in shards:
                if not _is_there(f"{place}/{shard.name}", manifest["shards"].get(shard.name)):
                    manifest["shards"][shard.name] = _write_one(f"{place}/{shard.name}", make(shard), len(shard.rows))
                    written.append(shard.name)
                if time.monotonic() - saved > _EVERY:
                    write_stored(f"{place}/{_MANIFEST}", _as_bytes(manifest))
                    saved = time.monotonic()
                bar.update(len(shard.rows))
    finally:  # also where it is interrupted: what is written is known then
        if written:
            write_stored(f"{place}/{_MANIFEST}", _as_bytes(manifest))
    return written


def _write_one(address: str, content: bytes, images: int) -> dict[str, Any]:
    write_stored(address, content)
    found = look_up(address)
    if found is None or found.size not in (None, len(content)):
        raise ReadError(f"{without_secrets(address)}: is not there as it was written; run the same command again")
    return {"images": images, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _is_there(address: str, known: dict[str, Any] | None) -> bool:
    """Whether a file has the size and the hash that it was written with."""
    found = known and look_up(address)
    if not found or found.size != known["size"]:
        return False
    hashed = hashlib.sha256()
    with open_stored(address) as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    return hashed.hexdigest() == known["sha256"]


def _as_bytes(manifest: dict[str, Any]) -> bytes:
    return f"{as_json(manifest, indent=1)}\n".encode()
