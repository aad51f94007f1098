"""Bytes of image files: of regular files only, and of a bounded size; what is the machine's fault is no bad image."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from hf_imgcls.errors import ReadError
from hf_imgcls.words import megabytes

MAX_BYTES = 1 << 30  # of a file
# Errors that say what lies at a path, as opposed to whether the machine can read it at present.
_NO_FILE = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.ELOOP: "a link that leads to itself",
    errno.ENAMETOOLONG: "no such file: the name is too long",
    errno.EISDIR: "a folder, not a file",
    errno.ENXIO: "a pipe, socket or device, not a file",
    errno.ENODEV: "a pipe, socket or device, not a file",
}
# Of an image that may be there the next time, as on a drive that is mounted again.
MISSING = (_NO_FILE[errno.ENOENT], "a link to a file that does not exist")
# What decoders cause themselves, by positions that a damaged file names.
_BY_DECODER = {None, errno.EINVAL, errno.EOVERFLOW}
_ADVICE = {
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the limit of open files",
    errno.ENOMEM: "free some memory, or use fewer workers",
    errno.EIO: "the disk or the network drive fails; copy the images elsewhere",
    errno.ESTALE: "mount the network drive again",
    errno.EACCES: "grant the right to read it, or move it away",
    errno.EPERM: "grant the right to read it, or move it away",
}


class UnusableImage(ValueError):
    """An image, or what should be one, that cannot be used; the message is the whole reason."""


def open_file(path: str, buffering: int = -1) -> BinaryIO:
    """Open a regular file; a pipe is not waited for.

    Raises:
        UnusableImage: there is none, or one that is too large.
        ReadError: the machine cannot read it at present.
    """
    with naming_faults(path):
        try:
            stream = open(path, "rb", buffering, opener=_open_at_once)  # noqa: SIM115
        except ValueError:  # a name with a NUL in it
            raise UnusableImage(_NO_FILE[errno.ENOENT]) from None
        except OSError as error:
            if reason := no_file(error, path):
                raise UnusableImage(reason) from None
            raise
        status = os.fstat(stream.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size <= MAX_BYTES:
        return stream
    stream.close()
    larger = f"larger than {megabytes(MAX_BYTES)}"
    raise UnusableImage(larger if stat.S_ISREG(status.st_mode) else _NO_FILE[errno.ENXIO])


def read_bytes(path: str) -> bytes:
    """The content of a regular file; raises what `open_file` does."""
    with open_file(path, buffering=0) as stream, naming_faults(path):  # a buffer would cost as much again as the file
        # Files without a size are those of the kernel, which may never end.
        return (stream.readall() or b"") if os.fstat(stream.fileno()).st_size else b""


def no_file(error: OSError, path: str) -> str:
    """What lies at a path in place of a file, or nothing where an error does not say that."""
    if error.errno == errno.ENOENT and os.path.islink(path):
        return MISSING[1]
    return _NO_FILE.get(error.errno, "")


@contextlib.contextmanager
def naming_faults(path: str | None) -> Iterator[None]:
    """Errors of the machine, which say nothing of the bytes, become a ReadError; those of a decoder stay."""
    try:
        yield
    except MemoryError:
        raise _fault(path, "the memory does not suffice", errno.ENOMEM) from None
    except OSError as error:
        if error.errno is None and "out of memory" in str(error):  # as Pillow says it of its decoders
            raise _fault(path, str(error), errno.ENOMEM) from None
        if error.errno in _BY_DECODER:
            raise
        raise _fault(path, error.strerror or type(error).__name__, error.errno) from None


def _fault(path: str | None, what: str, number: int) -> ReadError:
    advice = _ADVICE.get(number, "mend that")
    return ReadError(f"{path or 'an image'}: {what}; {advice}, then run the same command again")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
