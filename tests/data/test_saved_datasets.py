"""Datasets as `save_to_disk` writes them."""

import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from listed_photos import png, put, section

from hf_imgcls.data.sources import open_source
from hf_imgcls.errors import InputError
from hf_imgcls.images.read import read_image


def rows_of(order: list[str], numbers: list[int]) -> Dataset:
    columns = {"img": [{"bytes": png(i), "path": None} for i in numbers], "kind": [n % 2 for n in numbers]}
    return Dataset.from_dict(columns, features=Features({"img": Image(), "kind": ClassLabel(names=order)}))


def test_a_saved_dataset_alone_and_with_splits(tmp_path):
    train, test = rows_of(["cat", "dog"], [1, 2]), rows_of(["dog", "cat"], [3])
    train.save_to_disk(tmp_path / "alone")
    DatasetDict({"test": test, "train": train}).save_to_disk(tmp_path / "both")
    assert list(open_source(section(tmp_path / "alone"))[0]) == ["train"]
    splits = open_source(section(tmp_path / "both"))[0]
    assert {split: rows.features["label"].names for split, rows in splits.items()} == {
        "train": ["cat", "dog"],
        "test": ["dog", "cat"],
    }
    assert splits["train"].column_names == ["image", "label"]
    assert read_image(splits["test"][0]["image"]).size == (8, 6)


def test_a_saved_dataset_that_names_files(tmp_path, monkeypatch):
    put(tmp_path / "saved", "a.png", "b.png")
    features = Features({"image": Image(decode=False), "label": Value("string")})
    columns = {"image": [{"bytes": None, "path": name} for name in ("a.png", "b.png")], "label": ["cat", "dog"]}
    monkeypatch.chdir(tmp_path / "saved")
    Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "saved")
    monkeypatch.chdir(tmp_path)
    rows = open_source(section(tmp_path / "saved"))[0]["train"]
    assert [read_image(image).size for image in rows["image"]] == [(8, 6), (8, 6)]


@pytest.mark.parametrize(("name", "content"), [("*.arrow", b"nothing"), ("state.json", b"{}"), ("state.json", b"[]")])
def test_a_damaged_saved_dataset(name, content, tmp_path):
    rows_of(["cat", "dog"], [1, 2]).save_to_disk(tmp_path / "saved")
    next((tmp_path / "saved").glob(name)).write_bytes(content)
    with pytest.raises(InputError, match=r"saved cannot be read as a saved Dataset: \w+"):
        open_source(section(tmp_path / "saved"))
