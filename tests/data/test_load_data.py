"""What a run gets from its data, and that a change of it is noticed."""

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import make_image
from datasets import ClassLabel
from fresh import run_fresh
from loaded_data import NAMES, load, sizes

from hf_imgcls.data import check as bad_images
from hf_imgcls.errors import InputError
from hf_imgcls.images.read import read_image


def test_what_a_run_gets(make_folder):
    root = make_folder(train=4, validation=2, test=3)
    data = load(root)
    assert data.labels == NAMES
    assert sizes(data) == {"train": 12, "validation": 6, "test": 9}
    assert list(data.splits) == ["train", "validation", "test"]
    assert (data.bad, data.notes) == ([], ["labels: folder names"])
    assert data.splits["train"].features["label"] == ClassLabel(names=NAMES)
    row = data.splits["test"][4]
    assert (row["label"], row["row"], row["name"]) == (1, 4, "test/green/001.png")
    assert read_image(row["image"]).tobytes() == make_image("green", 3001).tobytes()
    assert len({*data.fingerprints.values()}) == 3


def test_a_moved_folder_keeps_its_splits_and_fingerprints(make_folder, tmp_path):
    root = make_folder(10)
    before = load(root)
    shutil.copytree(root, tmp_path / "a copy")
    shutil.move(root, tmp_path / "moved" / "photos")
    for place in (tmp_path / "a copy", tmp_path / "moved" / "photos"):
        after = load(place)
        assert after.fingerprints == before.fingerprints
        assert after.splits["validation"]["name"][:] == before.splits["validation"]["name"][:]


@pytest.fixture
def reads(monkeypatch):
    """The images that are read while a test runs."""
    read, real = [], bad_images.read_image
    monkeypatch.setattr(bad_images, "read_image", lambda value: read.append(Path(value["path"]).name) or real(value))
    return read


def test_nothing_is_read_again_when_nothing_changed(make_folder, reads):
    root = make_folder(train=3, validation=2)
    before = load(root)
    assert len(reads) == 15
    assert load(root).fingerprints == before.fingerprints
    assert len(reads) == 15


def overwrite(root: Path):
    """Another image's bytes, of the same length, with the old time of modification."""
    file = root / "train/red/000.png"
    status, content = file.stat(), (root / "train/red/001.png").read_bytes()
    file.write_bytes(content[: status.st_size].ljust(status.st_size, b"\0"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("change", "count", "bad"),
    [
        (overwrite, 9, 0),
        (lambda root: (root / "train/red/000.png").unlink(), 8, 0),
        (lambda root: make_image("red", 50).save(root / "train/red/new.png"), 10, 0),
        (lambda root: (root / "train/red/000.png").write_bytes(b"broken"), 8, 1),
        (lambda root: (root / "train/red/000.png").rename(root / "train/blue/x.png"), 9, 0),
    ],
    ids=["changed", "deleted", "added", "broken", "another class"],
)
def test_every_change_of_an_image_is_noticed(make_folder, change, count, bad):
    root = make_folder(train=3, validation=2)
    before = load(root)
    change(root)
    after = load(root)
    assert after.fingerprints["train"] != before.fingerprints["train"]
    assert after.fingerprints["validation"] == before.fingerprints["validation"]
    assert (len(after.splits["train"]), len(after.bad)) == (count, bad)


def test_a_stray_file_changes_no_fingerprint(make_folder):
    root = make_folder(train=3, validation=2)
    before = load(root)
    (root / "train/red/Thumbs.db").write_bytes(b"stray")
    assert load(root).fingerprints == before.fingerprints


SCRIPT = """
import json, sys
assert "datasets" not in sys.modules  # which reads its environment once
from hf_imgcls.data import load_data
from hf_imgcls.recipe import DataSection
data = load_data(DataSection(path=sys.argv[1], samples_per_class={"test": 2}))
print(json.dumps([data.labels, data.fingerprints, {k: v["name"][:] for k, v in data.splits.items()}]))
"""


def test_another_process_gets_the_same_splits_and_fingerprints(make_folder, tmp_path):
    """Another order of hashes, another cache, another place: what every process of a run, and a colleague, has."""
    root = make_folder(8)
    shutil.copytree(root, tmp_path / "copy")
    cache = {"HF_DATASETS_CACHE": str(tmp_path / "cache")}
    run = run_fresh(SCRIPT, str(tmp_path / "copy"), layer="transformers", environment=cache)
    assert run.returncode == 0, run.stderr
    here = load(root, samples_per_class={"test": 2})
    names = {split: rows["name"][:] for split, rows in here.splits.items()}
    assert json.loads(run.stdout) == [here.labels, here.fingerprints, names]
    assert sizes(here) == {"train": 16, "validation": 2, "test": 6}


@pytest.fixture
def with_bad_ones(make_folder):
    root = make_folder(train=4, test=2)
    (root / "train/red/000.png").write_bytes(b"")
    content = (root / "test/green/001.png").read_bytes()
    (root / "test/green/001.png").write_bytes(content[: len(content) // 2])
    return root


def test_bad_images_are_dropped_and_reported(with_bad_ones):
    data = load(with_bad_ones)
    assert sizes(data) == {"train": 10, "validation": 1, "test": 5}
    assert [tuple(bad)[:3] for bad in data.bad] == [
        ("train/red/000.png", "red", "train"),
        ("test/green/001.png", "green", "test"),
    ]
    assert (with_bad_ones / "train/red/000.png").exists()


def test_bad_images_are_refused(with_bad_ones):
    with pytest.raises(InputError, match=r"data: train/red/000.png \(train, red\) cannot be read: .* \(and 1 more\)"):
        load(with_bad_ones, bad_images="raise")
