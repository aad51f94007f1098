"""The check of a split: what it reports, remembers and refuses."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_bad_images import encoded, jpeg, with_alpha

from hf_imgcls.data import check as bad_images
from hf_imgcls.data.check import check_images, check_split
from hf_imgcls.data.rows import Data, entry, load_entries
from hf_imgcls.data.splits import fingerprint
from hf_imgcls.errors import InputError
from hf_imgcls.images import read
from hf_imgcls.store import cache_folder


def rows(folder: Path, contents: list[bytes]):
    folder.mkdir(exist_ok=True)
    entries = []
    for number, content in enumerate(contents):
        file = folder / f"{number}.jpg"
        if not file.exists() or file.read_bytes() != content:
            file.write_bytes(content)
        entries.append(entry(str(file), f"cat/{file.name}", "cat"))
    listed = load_entries(entries)
    return listed.remove_columns("label").add_column("label", [0] * len(listed)).add_column("row", range(len(listed)))


def test_a_split_is_parted_into_good_and_bad(tmp_path):
    data = Data({"test": rows(tmp_path, [jpeg(0), b"", jpeg(1), jpeg(2)[:-500]])}, ["cat"])
    digests = check_split(data, "test").digests
    assert data.splits["test"]["name"][:] == ["cat/0.jpg", "cat/2.jpg"]
    assert [bad[:3] for bad in data.bad] == [("cat/1.jpg", "cat", "test"), ("cat/3.jpg", "cat", "test")]
    assert data.bad[0].reason == "not an image, or its header is broken"
    assert len(set(digests)) == 2
    assert data.fingerprints == {"test": fingerprint(["cat/0.jpg", "cat/2.jpg"], digests, ["cat", "cat"])}
    assert data.notes == []


def test_images_that_lose_something_are_counted(tmp_path):
    contents = [encoded(with_alpha(9)), encoded(with_alpha(10)), encoded(Image.fromarray(np.eye(6, dtype=np.uint16)))]
    data = Data({"train": rows(tmp_path, contents)}, ["cat"])
    check_split(data, "train")
    assert data.notes == [
        "train: alpha channel dropped in 2 images",
        "train: clipped to 8 bits per channel in 1 image",
    ]


def test_a_split_without_a_single_good_image(tmp_path):
    with pytest.raises(InputError, match=r"none of the 2 images of train can be read; the first, cat/0.jpg: not an"):
        check_split(Data({"train": rows(tmp_path, [b"", b"1"])}, ["cat"]), "train")


@pytest.fixture
def reads(monkeypatch):
    """The images that are read while a test runs."""
    read, real = [], bad_images._read
    monkeypatch.setattr(
        bad_images, "_read", lambda value, limits: read.append(Path(value["path"]).name) or real(value, limits)
    )
    return read


def test_the_second_check_reads_nothing_until_a_file_changes(tmp_path, reads):
    contents = [jpeg(0), jpeg(1)]
    before = check_images(rows(tmp_path, contents), "train")["digest"][:]
    assert reads == ["0.jpg", "1.jpg"]
    assert check_images(rows(tmp_path, contents), "train")["digest"][:] == before
    assert len(reads) == 2
    contents[1] = b"x" * len(contents[1])  # as long as before
    after = check_images(rows(tmp_path, contents), "train")
    assert after["digest"][:] == [before[0], ""]
    assert len(reads) == 4


@pytest.mark.parametrize("library", ["PIL", "transformers"])
def test_another_version_of_what_reads_images_reads_them_again(library, tmp_path, reads, monkeypatch):
    check_images(rows(tmp_path, [jpeg(0)]), "train")
    monkeypatch.setattr(getattr(read, library), "__version__", "0.0.1")
    check_images(rows(tmp_path, [jpeg(0)]), "train")
    assert reads == ["0.jpg", "0.jpg"]


@pytest.mark.parametrize("damage", ["verdicts", "index"])
def test_a_damaged_cache_is_computed_again(damage, tmp_path, reads):
    before = check_images(rows(tmp_path, [jpeg(0), b""]), "train")[:]
    for file in (cache_folder() / damage).glob("*/*.arrow"):
        file.write_bytes(file.read_bytes()[:-9])
    assert check_images(rows(tmp_path, [jpeg(0), b""]), "train")[:] == before
    assert len(reads) == (4 if damage == "verdicts" else 2)
