"""ONE cache for what takes long to compute: the index of image files, verdicts, prepared copies, features, ...

    <the cache folder of `datasets`>/hf_imgcls/<kind>/<key>/    files of one entry, and their digests in manifest.json

An entry is written aside and renamed, so it is there whole or not at all; its digests are compared each time it is
read, and what is damaged is built again. One process builds an entry, and others that need it wait for that one.
"""

import contextlib
import errno
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hf_imgcls.errors import CacheError
from hf_imgcls.store.cache_place import MANIFEST, cache_folder, cache_in_use, delete
from hf_imgcls.store.files import read_json, write_json
from hf_imgcls.store.locks import LOCK, Lock

_DRAFT = ".part"
_BLOCK, _STEP = 1 << 26, 1 << 20  # bytes
_THREADS = 8  # that read: some disks answer several faster than one


def load_rows(entry: Path):
    """A `datasets.Dataset` of an entry's Arrow files, in the order of their names, with the key as its fingerprint."""
    import datasets

    # Those of the manifest alone: `datasets` puts what it computes from the rows beside them.
    parts = [datasets.Dataset.from_file(str(entry / name)) for name in sorted(read_json(entry / MANIFEST))]
    rows = datasets.concatenate_datasets(parts) if len(parts) > 1 else parts[0]
    # By itself it would follow from the files' times and places: an entry that was rebuilt is the same data.
    rows._fingerprint = entry.name
    return rows


def cached(
    kind: str, key: Any, build: Callable[[Path], Any], load: Callable[[Path], Any] = load_rows
) -> tuple[Any, bool]:
    """Load an entry, built first if it is not there or damaged; while another process builds it, wait for that.

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
    with contextlib.suppress(OSError, ValueError):  # those of json and pyarrow are such
        if _is_whole(entry):
            return load(entry), True
    with cache_in_use(), _building(entry):
        with contextlib.suppress(OSError, ValueError):
            if _is_whole(entry):  # by another process, while this one waited
                return load(entry), True
        draft = entry.with_name(f"{entry.name}.{uuid.uuid4().hex[:8]}{_DRAFT}")
        try:
            draft.mkdir()
            build(draft)
            write_json(draft / MANIFEST, file_digests(draft, [file.name for file in draft.iterdir()]))
            _replace(entry, draft)
        finally:
            delete(draft)
        return load(entry), False


@contextlib.contextmanager
def _building(entry: Path) -> Iterator[None]:
    """The one process that builds an entry; what killed ones have left beside it is deleted."""
    with Lock() as lock:
        try:
            entry.parent.mkdir(parents=True, exist_ok=True)
            lock.wait_for(_lock_of(entry), f"cache: {entry.parent.name}")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise  # whose line says how much room there is
            where = f"{entry.parent}: {error.strerror}"
            raise CacheError(f"cache: {where}; HF_DATASETS_CACHE names another folder") from None
        for left in entry.parent.glob(f"*{_DRAFT}"):
            with Lock() as of_other:
                building = entry.with_name(left.name.split(".")[0])
                if building == entry or of_other.try_to_take(_lock_of(building)):
                    delete(left)
        yield


def _lock_of(entry: Path) -> Path:
    return entry.with_name(entry.name + LOCK)


def _is_whole(entry: Path) -> bool:
    try:
        expected = read_json(entry / MANIFEST)
        return bool(expected) and expected == file_digests(entry, list(expected))
    except (OSError, ValueError, TypeError):  # not there, or its manifest is damaged
        return False


def file_digests(folder: Path, names: list[str]) -> dict[str, str]:
    """Of each file its size and the hash of all of it, of blocks that several threads read: 1 GB a second and core."""
    found = {}
    with ThreadPoolExecutor(_THREADS) as threads:
        for name in names:
            file = folder / name
            size = file.stat().st_size
            hashes = threads.map(lambda start, file=file: _digest(file, start), range(0, size, _BLOCK))
            found[name] = f"{size} {hashlib.blake2b(b''.join(hashes), digest_size=16).hexdigest()}"
            file.open("rb").close()  # an empty one too is a file that can be read
    return found


def _digest(file: Path, start: int) -> bytes:
    hashed = hashlib.blake2b(digest_size=16)
    with file.open("rb", buffering=0) as stream:
        for place in range(start, start + _BLOCK, _STEP):
            stream.seek(place)
            hashed.update(stream.read(min(_STEP, start + _BLOCK - place)))
    return hashed.digest()


def _replace(entry: Path, draft: Path) -> None:
    """Put a whole draft where a missing or damaged entry is."""
    old = draft.with_name(f"{draft.name}.old{_DRAFT}")
    with contextlib.suppress(FileNotFoundError):
        entry.rename(old)  # what other processes have open in it stays readable
    draft.rename(entry)
    delete(old)
