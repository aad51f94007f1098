"""The number and the path of an operating system's error, also where a library has made something else of it."""

import errno
import os
import re
from collections.abc import Iterator

# What libraries say without an errno.
_TEXTS = {
    r"DefaultCPUAllocator|out of memory|CU(?:DNN|BLAS)_STATUS_ALLOC_FAILED|std::bad_alloc": errno.ENOMEM,
    r"received 0 items of ancdata": errno.EMFILE,
    r"can't start new thread": errno.EAGAIN,
    r"CUDA-capable device\(s\) is/are busy": errno.EBUSY,
    r"iostream error|PytorchStreamWriter failed writing": errno.ENOSPC,
    r"Parent directory .* does not exist": errno.ENOENT,
}
_NUMBERS = re.compile(r"\[[Ee]rrno (\d+)\]|\(os error (\d+)\)")
_SAID = {
    os.strerror(number): number
    for number in (
        errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM, errno.EIO,
    )
}  # fmt: skip
_PATHS = re.compile(r"""(?<![\w.])['"<](/[^'"<>\n]+)['">]|Parent directory (.*) does not exist""")


def error_number(error: BaseException) -> int | None:
    """An error's errno, or the one that its text names."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return errno.ENOMEM
    if not (isinstance(error, OSError | RuntimeError) or type(error).__name__ == "SafetensorError"):
        return None
    text = str(error)
    if named := _NUMBERS.findall(text):
        return int("".join(named[-1]))
    if found := next((number for pattern, number in _TEXTS.items() if re.search(pattern, text)), None):
        return found
    return next((number for words, number in _SAID.items() if words in text), None)


def error_path(error: BaseException) -> str:
    """The path that an error names, or nothing."""
    named = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if isinstance(named, str | bytes | os.PathLike):
        return os.fsdecode(named)
    found = _PATHS.findall(str(error).rpartition("\n  File ")[2] or str(error))
    return "".join(found[-1]) if found else ""


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all behind it, the outermost first."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def error_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what its library names as the cause."""
    while error is not None:
        yield error
        error = error.__cause__
