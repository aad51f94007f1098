"""Equal bytes within and across splits: counted, named, compared with a count by hand, and taken out of train."""

import contextlib
import shutil

import numpy as np
import pytest
from conftest import make_image

from hf_imgcls.data.duplicates import compare_splits, read_digests, save_digests, short_digests
from hf_imgcls.data.load import load_data, load_split
from hf_imgcls.data.rows import Checked, Data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.recipe.sections import DataSection


def load(path, **keys):
    return load_data(DataSection(path=str(path), **keys))


@pytest.fixture
def leaking(make_folder):
    """Two test images and one of validation are in train, one of them as another class; train has two twins."""
    root = make_folder(train=4, validation=2, test=3)
    for source, copy in {
        "train/red/000.png": "test/red/again.png",
        "train/blue/001.png": "test/green/as_green.png",
        "train/red/001.png": "validation/red/again.png",
        "train/green/002.png": "train/green/twin.png",
    }.items():
        shutil.copy(root / source, root / copy)
    return root


def test_images_in_two_splits_are_counted_and_named(leaking):
    data = load(leaking)
    found = {(each.split, each.other): each for each in data.overlaps}
    assert {key: each[2:4] for key, each in found.items()} == {
        ("train", "train"): (2, 0),
        ("validation", "train"): (1, 0),
        ("test", "train"): (2, 1),
    }
    assert found["test", "train"].examples == [
        {
            "file": "test/green/as_green.png",
            "label": "green",
            "other_file": "train/blue/001.png",
            "other_label": "blue",
        },
        {"file": "test/red/again.png", "label": "red", "other_file": "train/red/000.png", "other_label": "red"},
    ]
    assert len(data.notes) == 1  # where the labels come from
    assert {role: len(each) for role, each in data.digests.items()} == {"train": 13, "validation": 7, "test": 11}


def test_they_are_dropped_from_train_and_twins_within_train_stay(leaking):
    data = load(leaking, duplicates="drop_from_train")
    assert data.notes[1:] == [
        "train: 3 images that are in validation or test too, byte for byte, dropped (data.duplicates)"
    ]
    assert [(each.split, each.other, each.images) for each in data.overlaps] == [("train", "train", 2)]
    kept = set(data.splits["train"]["name"][:])
    assert len(kept) == len(data.digests["train"]) == 10
    assert not kept & {"train/red/000.png", "train/blue/001.png", "train/red/001.png"}
    # What is computed from a split once (copies, features) follows its fingerprint: that of the images that are left.
    for name in ("train/red/000.png", "train/blue/001.png", "train/red/001.png"):
        (leaking / name).unlink()
    assert data.fingerprints == load(leaking).fingerprints


def test_twins_within_train_do_not_land_on_both_sides_of_a_hold_out(make_folder):
    root = make_folder(6)
    for file in list(root.glob("*/*.png")):
        shutil.copy(file, file.with_name(f"twin_{file.name}"))
    assert ("validation", "train") in [each[:2] for each in load(root, validation_fraction=0.3).overlaps]
    data = load(root, validation_fraction=0.3, duplicates="drop_from_train")
    assert not set(data.digests["train"]) & set(data.digests["validation"])
    assert len(data.splits["validation"]) == 11


def test_nothing_left_to_train_on(make_folder):
    root = make_folder(train=2, validation=2)
    shutil.rmtree(root / "validation")
    shutil.copytree(root / "train", root / "validation")
    with pytest.raises(InputError, match=r"data.duplicates: all 6 images of train are in validation or test too"):
        load(root, duplicates="drop_from_train")


def test_a_stream_is_not_compared(make_folder):
    root = make_folder(train=2, validation=2)
    content = {"data": {"path": str(root), "streaming": True, "duplicates": "drop_from_train"}}
    with pytest.raises(InputError, match="data: duplicates=drop_from_train compares all images before training"):
        load_recipe({**content, "model": {"checkpoint": "x"}, "training": {"output_dir": "y"}})
    data = load(root, streaming=True, label_names=["blue", "green", "red"])
    assert data.digests == {}
    assert any("whether train has some of the others too is not known" in note for note in data.notes)


def test_equal_bytes_under_different_labels_within_a_scored_split(make_folder):
    root = make_folder(test=3)
    shutil.copy(root / "test/red/000.png", root / "test/blue/red.png")
    (found,) = load_split(DataSection(path=str(root)), "test", ["blue", "green", "red"]).overlaps
    assert found[:4] == ("test", "test", 2, 2)
    assert {found.examples[0]["label"], found.examples[0]["other_label"]} == {"blue", "red"}


def test_the_counts_are_those_of_a_comparison_one_by_one():
    random = np.random.default_rng(0)
    checked = {
        role: Checked(
            [f"{role}/{n}" for n in range(count)],
            [f"{int(d):016x}{0:016x}" for d in random.integers(0, 40, count)],
            random.integers(0, 3, count),
        )
        for role, count in {"train": 60, "validation": 20, "test": 30}.items()
    }
    data = Data({}, ["a", "b", "c"])
    compare_splits(data, checked, drop_from_train=False)
    found = {(each.split, each.other): each for each in data.overlaps}
    assert len(found) == 6
    for (split, other), each in found.items():
        mine, theirs = checked[split], checked[other]
        twins = [
            [j for j, digest in enumerate(theirs.digests) if digest == mine.digests[i] and (split != other or i != j)]
            for i in range(len(mine.files))
        ]
        different = [any(theirs.labels[j] != mine.labels[i] for j in same) for i, same in enumerate(twins)]
        assert each[2:4] == (sum(map(bool, twins)), sum(different))
        assert len(each.examples) == min(20, each.images)
        for n, example in enumerate(each.examples):
            i, j = mine.files.index(example["file"]), theirs.files.index(example["other_file"])
            assert j in twins[i]
            assert (mine.labels[i] != theirs.labels[j]) == (n < each.different_labels)


def test_what_a_run_consists_of_is_stored_in_eight_bytes_an_image(tmp_path):
    digests = {role: short_digests([f"{n:032x}" for n in range(0, 2**100, 2**93)]) for role in ("train", "test")}
    save_digests(tmp_path / "digests.npz", digests)
    (role, kept), *others = read_digests(tmp_path / "digests.npz").items()
    assert (role, others) == ("train", [])
    assert kept.dtype == np.uint64
    assert set(kept) == set(digests["train"])
    whole = (tmp_path / "digests.npz").read_bytes()
    assert len(whole) < 8 * len(kept) + 500
    random = np.random.default_rng(0)
    for position in [*range(60), *range(len(whole) - 80, len(whole)), *random.integers(0, len(whole), 60)]:
        for damaged in (whole[:position], whole[:position] + bytes([whole[position] ^ 255]) + whole[position + 1 :]):
            (tmp_path / "digests.npz").write_bytes(damaged)
            with contextlib.suppress(ValueError):  # else what differs is a name or a date of the archive
                assert all(np.array_equal(each, kept) for each in read_digests(tmp_path / "digests.npz").values())


def test_an_image_written_again_is_another_image(make_folder):
    """Byte for byte: the same pixels in another file format are not found."""
    root = make_folder(train=3, validation=2)
    make_image("red", 1000).save(root / "validation/red/same.bmp")
    assert load(root).overlaps == []
