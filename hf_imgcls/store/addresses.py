"""Files at addresses (s3://, gs://, hf://, https://, memory://, ...), through fsspec: listed, opened, written.

Credentials come from the environment, as the library of each kind of storage takes them, and never from here.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote, urlsplit

from hf_imgcls.errors import InputError
from hf_imgcls.store.address_errors import address_errors
from hf_imgcls.words import without_secrets

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_CHAINED = re.compile(r"::[a-z][a-z0-9+.-]*://", re.IGNORECASE)  # zip://a.parquet::s3://bucket/x.zip
_WEB = ("http://", "https://")
_HUB = "hf://"
_BLOCK = 1 << 23  # bytes that are read ahead
_VERSIONS = ("ETag", "etag", "md5Hash", "blob_id", "mtime", "LastModified", "created")  # the first one known


class Stored(NamedTuple):
    """A file at an address: its size in bytes (None where its server does not say), and what changes with its content.

    Attributes:
        name: its path below what was listed; of a file that was named itself the last part.
    """

    address: str
    name: str
    size: int | None
    version: str


def is_address(name: str) -> bool:
    """Whether a name is an address rather than a path or a Hub id."""
    return bool(_ADDRESS.match(name))


def last_part(address: str) -> str:
    """The name of what is at an address, without a query."""
    if not address.startswith(_WEB):  # in a name there, ? and # are letters as any other
        return PurePosixPath(address.partition("://")[2]).name
    parts = urlsplit(address)
    return PurePosixPath(unquote(parts.path)).name or parts.netloc


def check_address(address: str) -> None:
    """Refuse (InputError) a kind of address that is not known, or whose library is missing; nothing is asked for."""
    if "***" in address:
        raise InputError(
            f"{without_secrets(address)}: was saved without its password or signature; give the whole address anew"
        )
    with address_errors(address):
        _file_system(address)


def find_stored(address: str) -> list[Stored]:
    """The file at an address, or all files below it by name (hidden ones left out); an InputError where none is."""
    with address_errors(address):
        system, path = _file_system(address)
        system.invalidate_cache()
        if address.startswith(_WEB):  # whose folders are pages
            return [_stored(system.info(path), last_part(address), address)]
        found = system.find(path, detail=True)
    root = path.rstrip("/")
    if set(found) == {root}:
        return [_stored(found[root], last_part(address), address)]
    files = [
        _stored(about, where[len(root) :].lstrip("/"), system.unstrip_protocol(where))
        for where, about in sorted(found.items())
        if about["type"] == "file" and not where.endswith("/")
    ]
    files = [file for file in files if not any(part.startswith(".") for part in PurePosixPath(file.name).parts)]
    if not files:
        raise InputError(f"{without_secrets(address)}: no such file, and no files below it; check the address")
    return files


def look_up(address: str) -> Stored | None:
    """What is at the address of a file now; None where nothing is."""
    with address_errors(address):
        system, path = _file_system(address)
        system.invalidate_cache()
        try:
            about = system.info(path)
        except FileNotFoundError:
            return None
    return _stored(about, last_part(address), address) if about["type"] == "file" else None


def list_stored(address: str) -> tuple[list[Stored], list[str]]:
    """The files in a folder at an address, and the names of its folders; hidden ones are left out."""
    with address_errors(address):
        system, path = _file_system(address)
        system.invalidate_cache()
        found = [each for each in system.ls(path, detail=True) if each["name"].rstrip("/") != path.rstrip("/")]
        names = {each["name"]: PurePosixPath(each["name"]).name for each in found}
        shown = sorted(
            (each for each in found if not names[each["name"]].startswith(".")), key=lambda each: each["name"]
        )
        files = [
            _stored(each, names[each["name"]], system.unstrip_protocol(each["name"]))
            for each in shown
            if each["type"] == "file"
        ]
    return files, [names[each["name"]] for each in shown if each["type"] == "directory"]


@contextlib.contextmanager
def open_stored(address: str) -> Iterator[BinaryIO]:
    """The file at an address, to be read from any place of it; errors of one line, also of what reads it inside."""
    with address_errors(address):
        system, path = _file_system(address)
        with system.open(path, "rb", block_size=_BLOCK) as file:
            yield file


def read_stored(address: str, most: int | None = None) -> bytes:
    """All of the file at an address, or so many of its bytes."""
    with address_errors(address):
        system, path = _file_system(address)
        return system.cat_file(path, end=most) if most else system.cat_file(path)


def write_stored(address: str, content: bytes) -> None:
    """Write a file whole or not at all."""
    with address_errors(address, "write"):
        system, path = _file_system(address)
        if not address.startswith(("s3://", "s3a://", "gs://", "gcs://")):  # which have no folders
            system.makedirs(system._parent(path), exist_ok=True)
        if is_disk := "file" in system.protocol:  # elsewhere a file is there when all of it is
            path, whole = f"{path}.part", path
        system.pipe_file(path, content)
        if is_disk:
            os.replace(path, whole)
        system.invalidate_cache()


def stored_names(address: str) -> list[str]:
    """The names of the files directly in a folder at an address, sorted; none where nothing is there."""
    with address_errors(address):
        system, path = _file_system(address)
        system.invalidate_cache()
        try:
            found = system.ls(path, detail=True)
        except FileNotFoundError:
            return []
    return sorted(PurePosixPath(each["name"]).name for each in found if each["type"] == "file")


def remove_stored(address: str) -> None:
    """Remove the file at an address, if it is there."""
    with address_errors(address, "write"):
        system, path = _file_system(address)
        with contextlib.suppress(FileNotFoundError):
            system.rm_file(path)
        system.invalidate_cache()


def _file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, of this process, and the path in it."""
    import fsspec

    if address.startswith(_HUB) and _is_offline():
        raise InputError(f"{without_secrets(address)}: the Hub is not asked, since HF_HUB_OFFLINE is set; unset it")
    if _CHAINED.search(address):
        return fsspec.core.url_to_fs(address)
    # As `url_to_fs` does it, to which any :: in a name begins another address.
    protocol = address.partition("://")[0]
    kind = fsspec.get_filesystem_class(protocol)
    return fsspec.filesystem(protocol, **kind._get_kwargs_from_urls(address)), kind._strip_protocol(address)


def _is_offline() -> bool:
    constants = sys.modules.get("huggingface_hub.constants")
    said = os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")
    return constants.HF_HUB_OFFLINE if constants else said


def _stored(about: dict[str, Any], name: str, address: str) -> Stored:
    version = next((about[key] for key in _VERSIONS if about.get(key)), "")
    version = version.timestamp() if isinstance(version, datetime) else version  # one of the two, by the call
    return Stored(address, name, about.get("size"), str(version))
