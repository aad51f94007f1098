"""One writer at a time: locks of `filelock`, which the system lets go when their process ends, however it ends.

A lock is a small file that says who holds it, in or beside what it guards; it is gone when the lock is released. Where
a file system has no locks, the file itself is the lock: that of a process which has ended on this machine is taken
over, that of another machine has to be deleted by hand.
"""

import contextlib
import errno
import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from hf_imgcls.errors import InputError
from hf_imgcls.words import one_line

LOCK = ".lock"  # the name in a folder, and the ending beside a file
_WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
_AGAIN = 600  # seconds between two lines of one that waits


class Lock:
    """A lock that is taken inside a `with` block and released at its end; one process of a launch takes it."""

    def __init__(self):
        self._file: Path | None = None
        self._lock: BaseFileLock | None = None
        self._signed: os.stat_result | None = None
        self._made: list[Path] = []

    def __enter__(self) -> "Lock":
        return self

    def __exit__(self, *error) -> None:
        self.release()

    def take(self, file: Path, what: str, advice: str, done: str = "written") -> None:
        """Take a lock whose folder is made if it is missing; an InputError names the process that holds it."""
        missing = [folder for folder in file.parents if not folder.exists()]
        file.parent.mkdir(parents=True, exist_ok=True)
        self._made = self._made or missing
        if not self.try_to_take(file):
            time.sleep(0.1)  # another that has it since this very moment has not signed it yet
            raise InputError(f"{what} is being {done} by {holder(file)}; {advice}")

    def wait_for(self, file: Path, what: str) -> None:
        """Take a lock, however long another process holds it; a line says which."""
        told = -_AGAIN
        while not self.try_to_take(file, seconds=1):
            if time.monotonic() - told > _AGAIN:
                told = time.monotonic()
                print(one_line(f"{what}: waiting for {holder(file)}", 380), file=sys.stderr, flush=True)

    def try_to_take(self, file: Path, seconds: float = 0) -> bool:
        """Whether the lock could be taken within so many seconds."""
        lock = FileLock(file, timeout=seconds, thread_local=False, fallback_to_soft=False, on_acquired=self._sign)
        try:
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
            with contextlib.suppress(OSError):
                file.unlink()  # which nobody can lock
            lock = SoftFileLock(_soft(file), timeout=seconds, thread_local=False)
            try:
                lock.acquire()
            except Timeout:
                return False
        self._file, self._lock = file, lock
        return True

    def move_aside(self, folder: Path, aside: Path) -> None:
        """Rename the folder of the lock, and hold that of a new folder in its place.

        Raises:
            InputError: another process was faster; the old folder is where it was moved.
        """
        folder.rename(aside)
        if self._lock is None:
            return
        old, self._lock = self._lock, None
        signed, name = self._signed, self._file.name
        try:
            self.take(folder / name, f"{folder}", f"what was there is in {aside}")
        finally:
            _remove(aside / name, signed)
            old.release()

    def release(self) -> None:
        """Let the lock go, if it is held, and leave no file or empty folder of it behind."""
        if self._lock is None:
            return
        _remove(self._file, self._signed)
        self._lock.release()
        self._lock = None
        for folder in self._made:
            with contextlib.suppress(OSError):  # something was written into it
                folder.rmdir()

    def _sign(self, descriptor: int) -> None:
        """Say in a lock's file who holds it."""
        self._signed = os.fstat(descriptor)
        command = shlex.join([os.path.basename(sys.argv[0] or "python"), *sys.argv[1:3]])  # no token of an override
        facts = {
            "pid": os.getpid(),
            "host": platform.node(),
            "command": command,
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        with contextlib.suppress(OSError):  # a full disk: it is held all the same
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, json.dumps(facts).encode())


def lock_beside(file: Path) -> Path:
    """The lock of a file that may not be there yet."""
    file = file.resolve()
    return file.with_name(f".{file.name}{LOCK}")


def is_lock(file: Path) -> bool:
    """Whether a file in a run's folder is its lock, perhaps of a process that was killed."""
    return file.name in (LOCK, _soft(Path(LOCK)).name)


def holder(file: Path) -> str:
    """Who holds a lock: `process 4711 (hf-imgcls train recipe.json, since 2026-11-27 10:02:31)`."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        facts = json.loads(file.read_text(encoding="utf-8"))
        host = "" if facts["host"] == platform.node() else f" on {facts['host']}"
        return f"process {int(facts['pid'])}{host} ({facts['command']}, since {facts['since']})"
    with contextlib.suppress(OSError, ValueError):
        pid, host, *_ = _soft(file).read_text(encoding="utf-8").split()
        return f"process {int(pid)} on {host} (delete {_soft(file)} if it has ended)"
    return "another process"


def _soft(file: Path) -> Path:
    return file.with_name(f"{file.name}.soft")


def _remove(file: Path, signed: os.stat_result | None) -> None:
    """Delete a lock's file, while it is held: those who wait for it notice, and make another one."""
    with contextlib.suppress(OSError):
        if signed and os.path.samestat(file.stat(), signed):  # not that of another process, in a folder made anew
            file.unlink()
