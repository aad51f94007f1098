"""ONE cache for what takes long to compute: the index of image files, verdicts, prepared copies, features, ...

    <the cache folder of `datasets`>/hf_imgcls/<kind>/<key>/    files of one entry, and their digests in manifest.json

An entry is written aside and renamed, so it is there whole or not at all; its digests are compared each time it is
read, and what is damaged is built again.
"""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hf_imgcls.errors import CacheError
from hf_imgcls.store.files import read_json, write_json

_MANIFEST, _DRAFT = "manifest.json", ".part"
_BLOCK, _IN_FULL = 1 << 20, 1 << 28  # bytes


def cache_folder() -> Path:
    """`hf_imgcls` in the cache folder of `datasets`, which is not imported for it: that takes seconds."""
    if config := sys.modules.get("datasets.config"):
        return Path(config.HF_DATASETS_CACHE) / "hf_imgcls"
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(home) / "datasets").expanduser() / "hf_imgcls"


def load_rows(entry: Path):
    """A `datasets.Dataset` of an entry's Arrow files, in the order of their names, with the key as its fingerprint."""
    import datasets

    # Those of the manifest alone: `datasets` puts what it computes from the rows beside them.
    parts = [datasets.Dataset.from_file(str(entry / name)) for name in sorted(read_json(entry / _MANIFEST))]
    rows = datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]
    # By itself it would follow from the files' times and places: an entry that was rebuilt is the same data.
    rows._fingerprint = entry.name
    return rows


def cached(
    kind: str, key: Any, build: Callable[[Path], Any], load: Callable[[Path], Any] = load_rows
) -> tuple[Any, bool]:
    """Load an entry, built first if it is not there or damaged.

    Processes that build the same entry at once build it twice; the one that is ready first wins.

    Args:
        kind: "index", "verdicts", ...
        key: all that the content follows from, ready for JSON.
        build: writes the entry's files into an empty folder, which is then renamed.
        load: reads them; an OSError or ValueError of it means that they are damaged.

    Returns:
        What `load` returns, and whether the entry was there already.

    Raises:
        CacheError: there is no place for a new entry.
    """
    entry = cache_folder() / kind / hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    if _is_whole(entry):
        try:
            return load(entry), True
        except (OSError, ValueError):  # those of json and pyarrow are such
            shutil.rmtree(entry, ignore_errors=True)
    draft = entry.with_name(f"{entry.name}.{uuid.uuid4().hex[:8]}{_DRAFT}")
    try:
        draft.mkdir(parents=True)
    except OSError as error:
        raise CacheError(f"cache: {draft.parent}: {error.strerror}; HF_DATASETS_CACHE names another folder") from None
    try:
        build(draft)
        write_json(draft / _MANIFEST, _digests(draft, [file.name for file in draft.iterdir()]))
        _replace(entry, draft)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return load(entry), False


def list_cache() -> list[tuple[str, int, int]]:
    """Each kind of entries with their number and bytes, by name; what killed runs have left is in the sizes."""
    folder = cache_folder()
    kinds = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [(kind.name, len(list(kind.glob(f"*/{_MANIFEST}"))), _size(kind)) for kind in kinds]


def clear_cache() -> int:
    """Delete the cache; returns the bytes that this frees."""
    folders = [cache_folder(), *cache_folder().parent.glob("hf_imgcls_*")]  # the latter are those of version 0.1
    size = sum(map(_size, folders))
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return size - sum(map(_size, folders))


def _is_whole(entry: Path) -> bool:
    try:
        expected = read_json(entry / _MANIFEST)
        return bool(expected) and expected == _digests(entry, list(expected))
    except (OSError, ValueError, TypeError):  # not there, or its manifest is damaged
        return False


def _digests(folder: Path, names: list[str]) -> dict[str, str]:
    """Of each file its size and a hash: of all of it, or where it is larger than half a GB of blocks of 1 MB.

    They are spread evenly, the last one among them: half a second at most, when copies of a million images would take
    minutes. What is not seen so is a change of single bytes in a large file that leaves its length as it is.
    """
    found = {}
    for name in names:
        with (folder / name).open("rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            hashed = hashlib.blake2b(digest_size=16)
            for start in [*range(0, size, max(1, size // _IN_FULL) * _BLOCK), max(0, size - _BLOCK)]:
                stream.seek(start)
                hashed.update(stream.read(_BLOCK))
        found[name] = f"{size} {hashed.hexdigest()}"
    return found


def _replace(entry: Path, draft: Path) -> None:
    """Put a whole draft where a missing or damaged entry is; where another process was faster, leave that one's."""
    try:
        draft.rename(entry)
    except OSError:  # a folder with files in it is there
        if not entry.exists():
            raise
        if not _is_whole(entry):
            old = draft.with_name(f"{draft.name}.old{_DRAFT}")
            with contextlib.suppress(FileNotFoundError):
                entry.rename(old)  # what other processes have open in it stays readable
            shutil.rmtree(old, ignore_errors=True)
            _replace(entry, draft)


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a run that goes on may rename it
            size += path.lstat().st_size
    return size
