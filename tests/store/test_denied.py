import errno
import os
import resource
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from hf_imgcls.errors import InputError, MachineError
from hf_imgcls.store.denied import as_machine_error, denied

TENSORS = {"a": torch.zeros(100_000)}


def save_torch(folder):
    torch.save(TENSORS, str(folder / "x.pt"))


def save_safetensors(folder):
    save_file(TENSORS, str(folder / "x.safetensors"))


def save_arrays(folder):
    np.savez(folder / "x.npz", a=np.zeros(100_000))


def save_parquet(folder):
    pq.write_table(pa.table({"a": np.random.default_rng(0).random(100_000)}), str(folder / "x.parquet"))


def save_text(folder):
    (folder / "x.txt").write_text("x" * 100_000)


def map_rows(folder):
    rows = Dataset.from_dict({"a": range(100)})
    rows.map(lambda row: {"b": "x" * 2000}, cache_file_name=str(folder / "x.arrow"))


def load_worker(folder):
    class Rows:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            save_text(folder)

    list(DataLoader(Rows(), num_workers=1))


WRITERS = [save_torch, save_safetensors, save_arrays, save_parquet, save_text, map_rows]


def line_of(function, *arguments) -> str:
    with pytest.raises(MachineError) as caught, as_machine_error():
        function(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


@pytest.mark.parametrize("write", [*WRITERS, load_worker], ids=lambda write: write.__name__)
def test_whatever_cannot_write_any_more_is_a_line(write, tmp_path):
    """A limit of the size of a file, which the kernel enforces on a test as it does that of a disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        line = line_of(write, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if write is not save_torch:  # which swallows the number
        assert "the file is larger than the limit; raise it (ulimit -f)" in line
    assert line.endswith("then run the same command again")


@pytest.mark.parametrize("write", WRITERS[:-1], ids=lambda write: write.__name__)
def test_a_folder_that_is_gone_is_a_line(write, tmp_path):
    assert "no such file or folder" in line_of(write, tmp_path / "gone")


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE,
        errno.ENOMEM, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENOLCK, errno.EBUSY,
        errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP,
    ],
    ids=errno.errorcode.get,
)  # fmt: skip
def test_each_error_of_the_system_names_the_place_and_what_to_do(number, tmp_path):
    def fail():
        raise OSError(number, os.strerror(number), str(tmp_path / "x"))

    line = line_of(fail)
    assert "; " in line
    assert line.endswith("then run the same command again")
    if number not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN):
        assert line.startswith(f"{tmp_path / 'x'}: ")


def test_a_full_disk_is_named_with_what_is_free(tmp_path, monkeypatch):
    def fail(*more):
        raise OSError(errno.ENOSPC, "No space left on device", *more)

    assert " MB free); make room" in line_of(fail, str(tmp_path / "no" / "such" / "folder"))
    # An open file names no path: it is the place with the least room, if that is little.
    assert line_of(fail).startswith("the disk is full; make room")
    monkeypatch.setattr("hf_imgcls.store.denied.written", [tmp_path / "run"])
    monkeypatch.setattr("hf_imgcls.store.denied.free_space", lambda place: 5e5 * (1 + 9999 * ("run" not in str(place))))
    assert line_of(fail).startswith(f"{tmp_path / 'run'}: the disk is full (0.5 MB free); make room")


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
