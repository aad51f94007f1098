"""The folder of an export, in any format: what marks it, and how it is written as a whole or not at all."""

import contextlib
import glob
import hashlib
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import local_path
from hf_imgcls.store import raise_denied, write_json

EXPORT = "export.json"  # marks a folder as an export, and has the digests of its other files
INT8 = "int8"  # the folder of the quantized export, within that of the export


def is_exported(name: str) -> bool:
    """Whether a model's name is that of a folder that `hf-imgcls export` has written."""
    return (local_path(name, "model") / EXPORT).is_file()


def file_digest(file: Path) -> str:
    """SHA-256 of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_manifest(folder: Path, about: dict[str, Any]) -> None:
    """Write export.json: `about`, and size and digest of every other file; the folder int8 has its own."""
    inside = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    quantized = (folder / INT8 / EXPORT).is_file()  # else a folder of this name is that of a model
    files = {
        place.as_posix(): {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for place, path in inside.items()
        if place != Path(EXPORT) and not (quantized and place.parts[0] == INT8)
    }
    write_json(folder / EXPORT, {**about, "files": files})


def check_target(target: Path) -> None:
    """Refuse whatever is there, but an empty folder: an export never writes over anything."""
    folder = target.expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output: {target} is a file")
    if folder.exists() and any(folder.iterdir()):
        what = "has an earlier export" if is_exported(str(folder)) else "is not empty"
        raise InputError(f"--output: {target} {what}; name another folder, or remove this one")
    if os.path.ismount(folder):
        raise InputError(f"--output: {target} is a disk of its own; name a folder in it")


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target, which becomes it at the end; after an error nothing of it is left."""
    place = Path(os.path.realpath(target.expanduser()))
    _remove_left(place)
    draft = place.with_name(f"{_draft_name(place)}{os.getpid()}")
    created = [parent for parent in place.parents if not parent.exists()]
    try:
        draft.mkdir(parents=True)
        yield draft
        check_target(target)
        if place.exists():
            place.rmdir()
        draft.rename(place)
        created = []
    except OSError as error:
        raise_denied(error)
        raise InputError(f"--output: {target}: {' '.join(str(error).split())}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        for parent in created:
            with contextlib.suppress(OSError):
                parent.rmdir()


def _draft_name(place: Path) -> str:
    """Without the number of the process."""
    return f".{place.name}.part-{socket.gethostname()}-"


def _remove_left(place: Path) -> None:
    """Remove what killed exports on this machine have left."""
    for draft in place.parent.glob(f"{glob.escape(_draft_name(place))}*"):
        number = draft.name.rpartition("-")[2]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(draft, ignore_errors=True)
