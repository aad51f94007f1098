"""The folder of an export, in any format: what marks it, and how it is replaced as a whole or not at all."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import local_path
from hf_imgcls.store import raise_denied, read_json, write_json

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
    """Write export.json: `about`, and size and digest of every other file."""
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": file_digest(path)}
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != EXPORT
    }
    write_json(folder / EXPORT, {**about, "files": files})


def check_target(target: Path) -> None:
    """Refuse a folder that has anything but an earlier export, unchanged."""
    folder = target.expanduser()
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output: {target} is a file")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not is_exported(str(folder)):
        raise InputError(f"--output: {target} has files of no export; name another folder")
    foreign = _foreign_file(folder)
    if foreign:
        raise InputError(f"--output: {foreign} was not written by the export there; move it, or name another folder")


def _foreign_file(folder: Path) -> Path | None:
    """A file in the folder of an export, or of its quantized one, that is not as it was written."""
    try:
        known = {name: each["sha256"] for name, each in read_json(folder / EXPORT)["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return folder / EXPORT
    for path in sorted(folder.iterdir()):
        if path.name == INT8 and is_exported(str(path)):
            foreign = _foreign_file(path)
            if foreign:
                return foreign
        elif path.name != EXPORT and (not path.is_file() or known.get(path.name) != file_digest(path)):
            return path
    return None


@contextlib.contextmanager
def replace_folder(target: Path) -> Iterator[Path]:
    """A new folder that replaces the target at the end; after an error nothing of it is left."""
    place = Path(os.path.realpath(target.expanduser()))
    draft = place.with_name(f".{place.name}.part-{os.getpid()}")
    created = [parent for parent in place.parents if not parent.exists()]
    try:
        draft.mkdir(parents=True)
        yield draft
        check_target(target)
        _move(draft, place)
        created = []
    except OSError as error:
        raise_denied(error)
        raise InputError(f"export: {target}: {' '.join(str(error).split())}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        for parent in created:
            with contextlib.suppress(OSError):
                parent.rmdir()


def _move(draft: Path, place: Path) -> None:
    old = draft.with_name(f"{draft.name}.old")
    if place.exists():
        place.rename(old)
    try:
        draft.rename(place)
    except BaseException:
        if old.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)
