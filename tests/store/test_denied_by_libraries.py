"""What the machine denies, as libraries say it; and what is no fault of the machine."""

import errno
import os
import threading

import numpy as np
import pytest
import torch
from test_denied import line_of

from hf_imgcls.errors import InputError
from hf_imgcls.store.denied import as_machine_error, denied


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "the memory does not suffice"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "the GPU's memory does not suffice"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "the GPU's memory does not suffice"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "a worker process was killed"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. "), "signal (Terminated)"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's"),
            "/dev/shm: the shared memory is too small",
        ),
        (
            RuntimeError("unable to write to file </torch_7_1_0>: No space left on device (28)"),
            "/dev/shm: the shared memory is full",
        ),
        (RuntimeError("unable to mmap 8 bytes from file </torch_7>: Cannot allocate memory (12)"), "the memory does"),
        (RuntimeError("received 0 items of ancdata"), "too many open files (the limit is "),
        (RuntimeError("Could not determine home directory."), "this user has no home folder; set HOME"),
        (FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"), "name another in TMPDIR"),
        (OSError("Memory mapping file failed: Cannot allocate memory"), "the memory does not suffice"),
        (
            RuntimeError("[enforce fail at inline_container.cc:746] . open file failed: Permission denied"),
            "no permission",
        ),
        (PermissionError(13, "Failed to open local file '/a/b.arrow'. Detail: ..."), "/a/b.arrow: no permission"),
        (FileExistsError(17, "File exists", "/a"), "/a: is there, where something new is to be"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_what_libraries_were_seen_to_raise(error, said):
    assert said in denied(error)
    wrapped = RuntimeError("An error occurred while generating the dataset")
    wrapped.__cause__ = error
    assert denied(wrapped) == denied(error)


def test_real_refusals_of_memory_and_threads(monkeypatch):
    assert "the memory does not suffice" in line_of(torch.empty, 2**45)
    assert "the memory does not suffice" in line_of(np.empty, 2**45)
    monkeypatch.setattr("_thread.start_new_thread", None, raising=True)
    monkeypatch.setattr(threading, "_start_new_thread", _no_thread)
    assert "no further process or thread" in line_of(threading.Thread(target=print).start)


def _no_thread(*arguments):
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("run"), ValueError("[Errno 28] No space left on device"), RuntimeError("shapes do not fit"),
        AttributeError("no permission"), OSError("image file is truncated"), OSError(errno.EBADF, "Bad file"),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Segmentation fault. "),
    ],
    ids=repr,
)  # fmt: skip
def test_a_bug_stays_what_it_is(error):
    with pytest.raises(type(error)), as_machine_error():
        raise error


def test_a_question_of_a_library_behind_a_bug_is_not_taken_for_it():
    """A missing file that was handled, and then a bug: the bug is what happened."""
    bug = KeyError("key")
    bug.__context__ = FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/such/file")
    assert denied(bug) is None


def test_a_user_error_keeps_its_words():
    error = InputError("the words")
    error.__cause__ = PermissionError(errno.EACCES, "Permission denied", "/x")
    with pytest.raises(InputError, match=r"^the words$"), as_machine_error():
        raise error


def test_a_deleted_current_folder_is_named(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        assert "the current folder was deleted" in line_of(os.getcwd)
    finally:
        os.chdir(tmp_path)
