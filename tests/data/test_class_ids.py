"""Names of classes and their ids, in training and in scoring."""

from pathlib import Path

import pytest
from conftest import make_image
from datasets import Dataset, DatasetDict, Image
from loaded_data import NAMES, load, rows, sizes

from hf_imgcls.data.load import load_data, load_split
from hf_imgcls.errors import InputError
from hf_imgcls.images.read import read_image
from hf_imgcls.recipe.sections import DataSection


def save(tmp_path: Path, **splits: Dataset) -> Path:
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


def colour_of(row: dict) -> str:
    pixel = read_image(row["image"]).resize((1, 1)).getpixel((0, 0))
    return {0: "red", 1: "green", 2: "blue"}[pixel.index(max(pixel))]


def test_nothing_is_written_into_a_saved_dataset(tmp_path):
    place = save(tmp_path, train=rows([0, 1, 2] * 4, NAMES))
    before = {file: file.stat().st_mtime_ns for file in place.rglob("*")}
    load_data(DataSection(path=str(place)))
    assert {file: file.stat().st_mtime_ns for file in place.rglob("*")} == before


def test_label_ids_follow_names_where_splits_order_them_differently(tmp_path):
    path = save(
        tmp_path, train=rows([0, 1, 2] * 3, ["red", "blue", "green"]), validation=rows([0, 1, 2, 2], NAMES[::-1])
    )
    data = load(path)
    assert data.labels == ["red", "blue", "green"]
    for split in data.splits.values():
        assert [data.labels[row["label"]] for row in split] == [colour_of(row) for row in split]


def test_label_names_in_another_order_move_the_ids_not_the_images(tmp_path):
    data = load(save(tmp_path, train=rows([0, 1, 2] * 4, NAMES)), label_names=["red", "green", "blue"])
    assert data.labels == ["red", "green", "blue"]
    assert [data.labels[row["label"]] for row in data.splits["train"]] == [colour_of(r) for r in data.splits["train"]]


def test_numbers_are_named_by_the_recipe(tmp_path):
    path = save(tmp_path, train=rows([0, 1, 2] * 4), validation=rows([2, 1]))
    data = load(path, label_names=NAMES)
    assert [data.labels[row["label"]] for row in data.splits["validation"]] == ["red", "green"]
    assert load(path).labels == ["0", "1", "2"]


def test_a_label_that_train_does_not_have(make_folder, tmp_path):
    root = make_folder(train=3, validation=2)
    (root / "validation/reed").mkdir()
    make_image("red", 1).save(root / "validation/reed/1.png")
    with pytest.raises(InputError) as caught:
        load(root)
    assert str(caught.value) == (
        "data: validation has the label 'reed' (1 image), not among the 3 of train: blue, green, red; "
        'did you mean "red"?'
    )


def test_a_label_that_the_recipe_does_not_name(make_folder):
    with pytest.raises(
        InputError, match=r"train has the label 'red' \(3 images\), not among the 2 of data.label_names"
    ):
        load(make_folder(3), label_names=["blue", "green"])


@pytest.mark.parametrize("missing", [-1, None])
def test_missing_labels(tmp_path, missing):
    train = rows([0, 1, 2] * 3, NAMES)
    data = load(save(tmp_path / "test", train=train, test=rows([missing] * 3, NAMES)))
    assert list(data.splits) == ["train", "validation"]
    assert data.notes[1] == "test: none of its 3 images has a label; it is not scored"
    for split, found in (("train", rows([0, 1, missing], NAMES)), ("validation", rows([0, missing, 1], NAMES))):
        path = save(tmp_path / split, **{"train": train, split: found})
        with pytest.raises(
            InputError, match=rf"data: 1 of 3 rows of {split} of .* have no label \(first: row .*None, NA, null"
        ):
            load(path)


def test_classes_without_images_are_noted(tmp_path):
    data = load(save(tmp_path, train=rows([0, 1] * 5, NAMES)))
    assert data.labels == NAMES
    assert "train: no images of 1 of 3 classes: red" in data.notes


def test_a_single_class_is_no_classification(make_folder):
    with pytest.raises(InputError, match=r"data: train has images of one class only, 'red'; a classifier needs two"):
        load(make_folder(5, classes=["red"]))


def test_images_without_files_are_named_by_row(tmp_path):
    train = rows([0, 1, 2] * 3, NAMES).cast_column("image", Image(decode=False))
    broken = train.map(
        lambda row, i: {"image": {"bytes": b"broken", "path": None}} if i == 4 else row, with_indices=True
    )
    data = load(save(tmp_path, train=broken, validation=rows([0, 1], NAMES)))
    assert [tuple(bad)[:3] for bad in data.bad] == [("row 4", "green", "train")]


def test_scoring_takes_the_whole_of_a_split_and_nothing_else(make_folder):
    plain = DataSection(path=str(make_folder(7)))
    assert sizes(load_split(plain, None, NAMES)) == {"train": 21}
    assert sizes(load_split(plain, "train[:5]", NAMES)) == {"train[:5]": 5}
    three = DataSection(path=str(make_folder(name="three", train=2, validation=3, test=4)))
    assert sizes(load_split(three, None, NAMES)) == {"test": 12}
    assert load_split(three, "validation", NAMES).fingerprints == {
        "validation": load(three.path).fingerprints["validation"]
    }


def test_scoring_follows_the_labels_of_the_model(make_folder):
    section = DataSection(path=str(make_folder(2)))
    data = load_split(section, None, ["fox", *NAMES[::-1]])
    assert [data.labels[i] for i in data.splits["train"]["label"]] == ["blue", "blue", "green", "green", "red", "red"]
    with pytest.raises(InputError, match=r"train has the label 'blue' \(2 images\).* not among the 2 of the model"):
        load_split(section, None, ["green", "red"])


def test_scoring_needs_labels(tmp_path):
    path = save(tmp_path, train=rows([0, 1] * 3, NAMES), test=rows([-1, -1], NAMES))
    with pytest.raises(InputError, match=r"the split 'test' of .* has no labels to score against"):
        load_split(DataSection(path=str(path)), None, NAMES)
