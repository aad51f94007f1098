"""What the machine denies (room, rights, handles, memory, processes) as one line: where, what, what to do.

Libraries say it in many ways: an OSError without a path, an error of their own around it, a text. Every pattern here
was seen: torch.save, safetensors, pyarrow, `datasets`, Pillow and the workers of a DataLoader on a full disk, with few
handles, without rights, without memory, killed.
"""

import contextlib
import errno
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from hf_imgcls.errors import MachineError, UserError
from hf_imgcls.store.cache_place import cache_folder
from hf_imgcls.store.os_errors import error_causes, error_chain, error_number, error_path
from hf_imgcls.store.streams import output_fails
from hf_imgcls.words import megabytes

_AGAIN = "then run the same command again"
_LESS = "lower the batch size (training.per_device_train_batch_size, --batch-size) or training.dataloader_num_workers"
_SHARED = "enlarge it (docker run --shm-size=8g), or set training.dataloader_num_workers=0"
_DISK = "the disk or the network drive fails; put it right"


class _Denial(NamedTuple):
    what: str
    advice: str


_SERIOUS = {
    errno.ENOSPC: _Denial("the disk is full", "make room"),
    errno.EDQUOT: _Denial("the quota of this user is used up", "make room"),
    errno.EFBIG: _Denial("the file is larger than the limit", "raise it (ulimit -f), or take another disk"),
    errno.EROFS: _Denial("a read-only file system", "name another place, or make it writable"),
    errno.EACCES: _Denial("no permission", "grant the right to it, or name another place"),
    errno.EPERM: _Denial("no permission", "grant the right to it, or name another place"),
    errno.EMFILE: _Denial(
        "too many open files", "raise the limit (ulimit -n 65536), or lower training.dataloader_num_workers"
    ),
    errno.ENFILE: _Denial("too many open files", "close other programs, or raise the system's limit"),
    errno.ENOMEM: _Denial("the memory does not suffice", f"free some, or {_LESS}"),
    errno.EAGAIN: _Denial(
        "no further process or thread can be started", "raise the limit (ulimit -u), or use fewer workers"
    ),
    errno.EIO: _Denial("input/output error", _DISK),
    errno.ESTALE: _Denial("the network drive is gone", "mount it again"),
    errno.ENOTCONN: _Denial("the network drive is gone", "mount it again"),
    errno.ENODEV: _Denial("the device is gone, or cannot do this", "take another disk"),
    errno.ENOLCK: _Denial("the file system cannot lock files", "name a place on another disk"),
    errno.ETXTBSY: _Denial("in use by another program", "end that"),
    errno.EBUSY: _Denial("in use by another program", "end that"),
}
_LITTLE = 1 << 28  # bytes: a disk with more is not the one that is full
_OF_NO_PLACE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)
# Only of an error that reaches the edge itself: behind others they are questions of libraries whether a file is there.
_GONE = {
    errno.ENAMETOOLONG: _Denial("the name is too long", "take a shorter one"),
    errno.ENOENT: _Denial("no such file or folder", "put it back"),
    errno.ENOTDIR: _Denial("not a folder", "put it back"),
    errno.EISDIR: _Denial("a folder, where a file is to be", "move it away"),
    errno.EEXIST: _Denial("is there, where something new is to be", "move it away"),
    errno.ENOTEMPTY: _Denial("holds files, where something new is to be", "move it away"),
    errno.ELOOP: _Denial("a link that leads to itself", "remove it"),
}


class as_machine_error(contextlib.ContextDecorator):
    """Inside, what the machine denies becomes a MachineError; everything else stays what it is."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, error, traceback) -> None:
        if isinstance(error, Exception) and not isinstance(error, UserError) and (line := denied(error)):
            raise MachineError(line) from error


def raise_denied(error: Exception) -> None:
    """Raise a MachineError if that is what an error is about; where others blame what a user has named."""
    if line := denied(error, missing=False):
        raise MachineError(line) from error


def denied(error: BaseException, missing: bool = True) -> str | None:
    """What the machine denies, if that is what an error or one behind it says, in a line; None for any other error.

    Args:
        missing: whether a file that is not there is the machine's fault too.
    """
    for each in error_chain(error):
        if line := _without_number(each):
            return line
        if (number := error_number(each)) in _SERIOUS:
            return _line(number, _SERIOUS[number], each)
    for each in error_causes(error) if missing else ():
        if (number := error_number(each)) in _GONE:
            return _line(number, _GONE[number], each)
    return None


def free_space(path: str | os.PathLike) -> int | None:
    """Bytes that are free for a user where a path is or would be; None where that cannot be told."""
    place = next((place for place in (Path(path), *Path(path).absolute().parents) if place.exists()), None)
    try:
        return None if place is None else shutil.disk_usage(place).free
    except OSError:
        return None


def _line(number: int, denial: _Denial, error: BaseException) -> str:
    text = str(error)
    if number == errno.ENOENT and not _in_a_folder():
        return f"the current folder was deleted; change to one that is there, {_AGAIN}"
    what, advice, where = *denial, error_path(error) or ("standard output" if output_fails(number) else "")
    if number in (errno.ENOSPC, errno.EDQUOT):
        if "/torch_" in text or "shared memory" in text:
            return f"/dev/shm: the shared memory is full; {_SHARED}, {_AGAIN}"
        where = where or _fullest()
        free = free_space(where) if where not in ("", "standard output") else None
        what += f" ({megabytes(free)} free)" if free is not None else ""
    elif number in _OF_NO_PLACE:
        where = ""
        if number == errno.ENOMEM and "CUDA" in text:
            what = "the GPU's memory does not suffice"
        if number == errno.EMFILE and _handles():
            what += f" (the limit is {_handles()})"
    return f"{f'{where}: ' if where else ''}{what}; {advice}, {_AGAIN}"


def _without_number(error: BaseException) -> str | None:
    """Of what no errno says."""
    text = str(error)
    if ended := re.search(r"DataLoader worker \(pid \d+\) is killed by signal: ([\w ]+)", text):
        if ended[1].startswith("Bus error"):
            return f"/dev/shm: the shared memory is too small for the workers; {_SHARED}, {_AGAIN}"
        if ended[1].startswith(("Segmentation fault", "Aborted", "Illegal instruction", "Floating")):
            return None  # a bug of a library
        if not ended[1].startswith("Killed"):
            return f"a worker process was ended by a signal ({ended[1].strip()}); run the same command again"
    if ended or "abruptly died during map operation" in text:
        return (
            "a worker process was killed, as a system does that is out of memory; free some, or lower "
            f"training.dataloader_num_workers, or OMP_NUM_THREADS where features are computed, {_AGAIN}"
        )
    if "No usable temporary directory" in text:
        return f"no folder for temporary files is writable; make room in {_temporary()}, or name another in TMPDIR"
    if isinstance(error, RuntimeError) and "Could not determine home directory" in text:
        return f"this user has no home folder; set HOME, or HF_HOME for the caches, {_AGAIN}"
    return None


def _fullest() -> str:
    """Of the places that a command writes the one with the least room: writing to an open file names none."""
    places = [*written, cache_folder(), _temporary()]
    place = min(places, key=lambda place: free_space(place) or 0)
    return str(place) if (free_space(place) or 0) < _LITTLE else ""


written: list[Path] = []  # places that this command writes, beside its cache and temporary files


def _temporary() -> Path:
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return Path(os.environ.get("TMPDIR") or "/tmp")


def _in_a_folder() -> bool:
    try:
        return bool(os.getcwd())
    except OSError:
        return False


def _handles() -> int | None:
    try:
        import resource
    except ImportError:  # on Windows
        return None
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
