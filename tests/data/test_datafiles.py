"""Which files of a folder hold data, and for which split."""

import tarfile
import zlib

import datasets
import pyarrow as pa
import pytest
from datasets.exceptions import DatasetsError
from huggingface_hub.errors import HTTPError

from hf_imgcls.data.datafiles import find_files, load_files, reason, split_files
from hf_imgcls.data.sources import open_source
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection


def put(root, *names: str):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("a\n1\n")
    return root


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["labels.csv"], {"train": ["labels.csv"]}),
        (["b.csv", "a.csv"], {"train": ["a.csv", "b.csv"]}),
        (["train.csv", "test.csv"], {"train": ["train.csv"], "test": ["test.csv"]}),
        (["my_TRAIN_v2.tsv", "my_val_v2.tsv"], {"train": ["my_TRAIN_v2.tsv"], "validation": ["my_val_v2.tsv"]}),
        (
            ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet", "dataset_infos.json"],
            {"train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]},
        ),
        (
            ["train/metadata.csv", "train/other.csv", "test/metadata.csv"],
            {"train": ["train/metadata.csv"], "test": ["test/metadata.csv"]},
        ),
        (["metadata.jsonl", "notes.json"], {"train": ["metadata.jsonl"]}),
        (["train-0000.tar", "train-0001.tar", "README.md"], {"train": ["train-0000.tar", "train-0001.tar"]}),
        (["cat/1.csv", ".hidden.csv", "._metadata.csv", "README.md"], {}),
    ],
)
def test_files_by_split(tmp_path, files, splits):
    put(tmp_path, *files)
    found, notes = split_files(find_files(tmp_path), tmp_path)
    assert {split: [str(p.relative_to(tmp_path)) for p in paths] for split, paths in found.items()} == splits
    assert notes == []


def test_files_without_a_split_beside_those_that_have_one_are_skipped(tmp_path):
    root = put(tmp_path, "train.csv", "sample_submission.csv")
    found, notes = split_files(find_files(root), root)
    assert list(found) == ["train"]
    assert notes == ["skipped 1 data file without a split in its name: sample_submission.csv"]


def test_files_of_several_kinds(tmp_path):
    with pytest.raises(InputError, match=r"holds data files of several kinds \(csv, parquet\); name one of them"):
        split_files(find_files(put(tmp_path, "a.csv", "b.parquet")), tmp_path)


def test_files_of_one_folder_are_one_part(tmp_path):
    put(tmp_path, "a.csv", "b.csv", "train/c.csv", "d.tsv")
    parts = load_files([tmp_path / name for name in ("a.csv", "b.csv", "d.tsv", "train/c.csv")], streaming=False)
    assert [(part.where.removeprefix(f"{tmp_path}"), len(part.rows), part.base) for part in parts] == [
        (" (a.csv, b.csv)", 2, tmp_path),
        ("/d.tsv", 1, tmp_path),
        ("/train/c.csv", 1, tmp_path / "train"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.csv", b"", "csv"),
        ("a.csv", "파일,라벨\n".encode("euc-kr"), "csv"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "json"),
        ("a.parquet", b"PAR1 and nothing more", "parquet"),
        ("a.tar", b"no archive at all", "webdataset"),
    ],
)
@pytest.mark.parametrize("streaming", [False, True])
def test_damaged_files_are_named_in_a_line(tmp_path, name, content, kind, streaming):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_files([tmp_path / name], streaming)
    assert str(caught.value).startswith(f"data.path: {tmp_path / name} cannot be read as {kind}: ")
    assert "\n" not in str(caught.value)


def test_the_reason_is_the_innermost_cause_in_a_line():
    outside, inside = RuntimeError("outside"), ValueError("the first line\n   and the second")
    outside.__cause__ = inside
    assert reason(outside) == "ValueError: the first line and the second"
    assert reason(KeyError()) == "KeyError"


def failing(error: Exception):
    def load_dataset(*_, **__):
        raise error

    return load_dataset


def caused_by(cause: BaseException) -> DatasetsError:
    error = DatasetsError("while reading")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error", [pa.ArrowInvalid("x"), tarfile.ReadError("x"), zlib.error("x"), HTTPError("x"), caused_by(KeyError("x"))]
)
def test_what_the_libraries_raise_is_a_user_error(error, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", failing(error))
    with pytest.raises(InputError, match=r"data.path: .*x.csv cannot be read as csv: \w+: '?x"):
        load_files([tmp_path / "x.csv"], streaming=False)


@pytest.mark.parametrize(
    "error",
    [TypeError(), AttributeError(), NameError(), MemoryError(), pa.lib.ArrowMemoryError(), caused_by(MemoryError())],
    ids=repr,
)
def test_a_bug_or_exhausted_memory_is_no_user_error(error, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", failing(error))
    cause = type(error.__cause__ or error)
    with pytest.raises(cause):
        load_files([tmp_path / "x.csv"], streaming=False)
    with pytest.raises(cause):
        open_source(DataSection(path="someone/photos"))
