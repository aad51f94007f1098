"""The folder of the cache: where it lies, who uses it, what is in it, and clearing it."""

import contextlib
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

from hf_imgcls.store.locks import LOCK, Lock

MANIFEST = "manifest.json"  # of an entry: its files with their digests
_IN_USE = ".in_use"  # a folder of locks, one of each run that reads the cache


def cache_folder() -> Path:
    """`hf_imgcls` in the cache folder of `datasets`, which is not imported for it: that takes seconds."""
    if config := sys.modules.get("datasets.config"):
        return Path(config.HF_DATASETS_CACHE) / "hf_imgcls"
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(home) / "datasets").expanduser() / "hf_imgcls"


@contextlib.contextmanager
def cache_in_use() -> Iterator[None]:
    """Inside, `clear_cache` refuses: what was loaded from the cache is read from its files."""
    with Lock() as lock:
        with contextlib.suppress(OSError), _entrance() as folder:  # one that cannot be written can be read
            for user in _users(folder):
                with Lock() as of_killed:
                    of_killed.try_to_take(user)  # which deletes it
            lock.try_to_take(folder / f"{uuid.uuid4().hex}{LOCK}")
        yield


@contextlib.contextmanager
def _entrance() -> Iterator[Path]:
    """The folder of the locks of those that use the cache, which one process at a time enters."""
    folder = cache_folder() / _IN_USE
    folder.mkdir(parents=True, exist_ok=True)
    with Lock() as lock:
        lock.wait_for(folder / LOCK, "cache")
        yield folder


def _users(folder: Path) -> list[Path]:
    return [file for file in folder.glob(f"*{LOCK}") if file.name != LOCK]


def list_cache() -> list[tuple[str, int, int]]:
    """Each kind of entries with their number and bytes, by name; what killed runs have left is in the sizes."""
    folder = cache_folder()
    kinds = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    kinds = [kind for kind in kinds if kind.name != _IN_USE]
    return [(kind.name, len(list(kind.glob(f"*/{MANIFEST}"))), _size(kind)) for kind in kinds]


def clear_cache() -> int:
    """Delete the cache; returns the bytes that this frees.

    Raises:
        InputError: a process uses it.
    """
    folder = cache_folder()
    old = list(folder.parent.glob("hf_imgcls_*"))  # those of version 0.1
    size = _size(folder) + sum(map(_size, old))
    if folder.is_dir():
        with _entrance() as users:
            for user in _users(users):
                with Lock() as lock:
                    lock.take(user, f"cache: {folder}", "clear it when that has ended", "used")
            for kind in folder.iterdir():
                if kind != users:
                    delete(kind)
        for empty in (users, folder):
            with contextlib.suppress(OSError):
                empty.rmdir()
    for path in old:
        delete(path)
    return size - _size(folder) - sum(map(_size, old))


def delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a run that goes on may rename it
            size += path.lstat().st_size
    return size
