"""The list of image files: it loads as it was given, and notices every change."""

import os
from pathlib import Path

import datasets
import pytest

from hf_imgcls.data.rows import entry, load_entries


def write(folder: Path, content: bytes = b"1234", count: int = 3) -> list[Path]:
    files = [folder / f"{i}.png" for i in range(count)]
    for file in files:
        file.write_bytes(content)
    return files


def entries(files: list[Path]):
    return [entry(str(file), f"cat/{file.name}", "cat") for file in files]


def test_rows_are_the_entries_in_their_order(tmp_path):
    files = write(tmp_path)[::-1]
    rows = load_entries(entries(files))
    assert rows["name"][:] == ["cat/2.png", "cat/1.png", "cat/0.png"]
    assert rows[0]["image"] == {"bytes": None, "path": str(files[0])}
    assert rows["size"][:] == [4, 4, 4]
    assert rows.features["image"] == datasets.Image(decode=False)
    assert rows.features["label"] == datasets.Value("string")


def test_labels_keep_the_type_of_their_source(tmp_path):
    feature = datasets.ClassLabel(names=["cat", "dog"])
    found = [entry(str(file), file.name, label) for file, label in zip(write(tmp_path), (1, 0, None), strict=True)]
    rows = load_entries(found, feature)
    assert rows.features["label"] == feature
    assert rows["label"][:] == [1, 0, None]


def test_nothing_changed_is_the_same_dataset(tmp_path):
    files = write(tmp_path)
    before = load_entries(entries(files))
    assert load_entries(entries(files))._fingerprint == before._fingerprint


def change_content(file: Path):
    """Other bytes of the same length, the time of modification put back: only the time of change tells."""
    status = file.stat()
    file.write_bytes(b"4321")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [change_content, lambda file: file.write_bytes(b"12345"), Path.unlink, lambda file: os.utime(file, (1, 1))],
    ids=["content", "size", "deleted", "touched"],
)
def test_every_change_makes_another_dataset(tmp_path, change):
    files = write(tmp_path)
    before = load_entries(entries(files))
    change(files[1])
    assert load_entries(entries(files))._fingerprint != before._fingerprint


def test_a_missing_file_is_a_row_all_the_same(tmp_path):
    rows = load_entries([entry(str(tmp_path / "gone.png"), "gone.png", "cat")])
    assert rows["size"][:] == [-1]


def test_a_label_that_is_missing_is_not_one_called_none(tmp_path):
    file = str(write(tmp_path, count=1)[0])
    missing, called = (load_entries([entry(file, "0.png", label)]) for label in (None, "None"))
    assert (missing["label"][:], called["label"][:]) == ([None], ["None"])
