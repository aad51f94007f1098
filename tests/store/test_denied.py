import errno
import os
import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets import Dataset
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from hf_imgcls.errors import MachineError
from hf_imgcls.store.denied import as_machine_error

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
