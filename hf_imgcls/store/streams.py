"""Standard output and standard error: closed from the start, or with a reader that is gone."""

import contextlib
import errno
import os
import stat
import sys
from typing import TextIO


def open_streams() -> None:
    """Open /dev/null where a command was started with a closed stream (`>&-`).

    The next file that is opened would have its number, and what any library prints would be written into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+"))  # noqa: SIM115


def close_output(stream: TextIO) -> None:
    """Write what follows to /dev/null: the reader, such as `head`, is gone, or the disk of a log file is full."""
    with contextlib.suppress(OSError, ValueError):  # of a stream that is no file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def close_terminal() -> None:
    """Write what follows to /dev/null where it went to a terminal, which is gone; a log file stays."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if stat.S_ISCHR(os.fstat(stream.fileno()).st_mode):
                close_output(stream)


def flush_streams() -> None:
    """Write what is left; what cannot be written is nobody's any more, and no reason for a word at the exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            close_output(stream)


def output_fails(number: int) -> bool:
    """Whether standard output is what raised this errno: it tries again, or lies where there is no room."""
    try:
        sys.stdout.flush()
        place = sys.stdout.fileno()
        full = stat.S_ISCHR(os.fstat(place).st_mode) or os.fstatvfs(place).f_bavail == 0  # /dev/full, or a log file's
        return number == errno.ENOSPC and full
    except OSError as error:
        return error.errno == number
