"""Places that a command will write are tried before it reads an image, not when hours of work are to be saved."""

import os
import tempfile
from pathlib import Path

from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.store.denied import denied, free_space, written
from hf_imgcls.words import megabytes

_BLOCK = 4096  # bytes: less may still fit beside the name
_WITHIN = len("/stage-10/checkpoint-1000000.part/draft/manifest.json.part")  # what a path needs behind a run's folder


def try_place(folder: Path, key: str) -> None:
    """Write a block into a folder, or where it will be made, and take it away again.

    Raises:
        InputError: a file is in the way, or a name is too long.
        MachineError: the machine does not let anything be written there.
    """
    folder = folder.expanduser()
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise InputError(f"{key}: {there} is a file; name another place")
    longest, whole = (os.pathconf(there, f"PC_{name}_MAX") if os.name == "posix" else 255 for name in ("NAME", "PATH"))
    if any(len(os.fsencode(part)) > longest for part in folder.parts):
        raise InputError(f"{key}: {str(folder)[:60]}... has a name of more than {longest} bytes; name another place")
    if len(os.fsencode(folder.absolute())) + _WITHIN > whole:
        raise InputError(f"{key}: {str(folder)[:60]}... is longer than {whole - _WITHIN} bytes; name another place")
    if folder not in written:
        written.append(folder)
    try:
        with tempfile.TemporaryFile(dir=there, buffering=0) as file:
            file.write(bytes(_BLOCK))
    except OSError as error:
        line = denied(OSError(error.errno, error.strerror, str(there)))
        raise MachineError(f"{key}: {line}") from None


def check_room(folder: Path, needed: int, what: str) -> None:
    """A MachineError where fewer bytes are free than `what` needs."""
    free = free_space(folder)
    if free is not None and free < needed:
        raise MachineError(
            f"{folder}: {megabytes(free)} are free, and {what} takes {megabytes(needed)}; make room, then run the same "
            "command again"
        )
