"""Folds of train: each image held out once, and what is computed once for all of them."""

import numpy as np
import pytest
from conftest import make_image

from hf_imgcls.data import check
from hf_imgcls.data.folds import for_all_folds
from hf_imgcls.data.load import find_rows, load_data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.recipe.sections import DataSection


def section(path, **keys) -> DataSection:
    return DataSection.model_validate({"path": str(path), **keys})


def test_each_image_is_held_out_once_and_read_once(make_folder, monkeypatch):
    root = make_folder(6)
    (root / "red" / "000.png").write_bytes(b"no image")
    (root / "green" / "twin.png").write_bytes((root / "green" / "001.png").read_bytes())
    read, real = [], check.verdict
    monkeypatch.setattr(check, "verdict", lambda image, limits: read.append(image["path"]) or real(image, limits))
    computed, held, pools = [], [], set()

    def compute(rows, digest):
        pools.add(digest)
        computed.append(len(rows))
        return rows.select_columns(["name"]).rename_column("name", "of")

    for fold in (1, 2, 3):
        data = load_data(section(root, folds=3, fold=fold, duplicates="drop_from_train"))
        names = {role: rows["name"][:] for role, rows in data.splits.items()}
        assert not {*names["train"]} & {*names["validation"]}
        held += names["validation"]
        for role, rows in data.splits.items():
            assert for_all_folds(data, role, compute)["of"][:] == rows["name"][:]
        assert [bad.file for bad in data.bad] == ["red/000.png"]
        assert any(note.startswith(f"validation: fold {fold} of 3 of train, ") for note in data.notes)
    assert len(held) == len({*held}) == 18
    assert len(read) == len({*read}) == 19
    assert set(computed) == {18}
    assert len(pools) == 1


@pytest.mark.parametrize(
    ("keys", "sizes"),
    [
        ({"max_samples": {"train": 12}}, (8, 4)),
        ({"samples_per_class": {"train": 4}}, (8, 4)),
        ({"test_fraction": 1 / 3}, (8, 4, 6)),
        ({"max_samples": {"test": 6}, "validation_fraction": 0.5}, (8, 4, 6)),
    ],
    ids=str,
)
def test_limits_come_before_the_folds(keys, sizes, make_folder):
    data = find_rows(section(make_folder(6), folds=3, fold=2, **keys))
    assert tuple(len(data.splits[role]) for role in data.splits) == sizes
    assert list(data.splits) == ["train", "validation", "test"][: len(sizes)]
    ignored = "data.validation_fraction has no effect on the folds" in data.notes
    assert ignored == ("validation_fraction" in keys)
    assert np.ptp(np.bincount(data.splits["validation"]["label"])) <= 1


def test_a_class_of_one_image_stays_in_train(make_folder):
    root = make_folder(4)
    (root / "rare").mkdir()
    make_image("red", 99).save(root / "rare" / "1.png")
    data = find_rows(section(root, folds=4, fold=1))
    assert "train: 1 image in train in every fold: their classes have one image each" in data.notes
    assert "rare/1.png" in data.splits["train"]["name"][:]


@pytest.mark.parametrize(
    ("splits", "keys", "line"),
    [
        (
            {"train": 3, "validation": 2},
            {},
            "data.folds: .* has a validation split; data.validation_split=false leaves",
        ),
        ({"train": 2}, {"folds": 7}, "data.folds: 7 folds, but the 6 images of train fill only 6; name fewer"),
    ],
)
def test_refused_when_the_rows_are_known(splits, keys, line, make_folder):
    root = make_folder(**splits)
    with pytest.raises(InputError, match=line):
        find_rows(section(root, **{"folds": 2, **keys}))
    if "validation" in splits:
        data = find_rows(section(root, folds=2, validation_split=False))
        assert len(data.splits["validation"]) in (4, 5)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"folds": 1}, "data.folds: found 1 .*at least 2"),
        ({"fold": 1}, "fold: 1 of how many"),
        ({"folds": 2, "fold": 3}, "fold: found 3, expected one of the 2 folds"),
        ({"folds": 2, "streaming": True}, "folds: nothing is held out of a stream"),
        ({"folds": 2, "validation_split": "val"}, "validation_split: each fold is the validation split"),
        ({"folds": 2, "validation_fraction": 0}, "validation_fraction: 0 holds nothing out"),
        ({"folds": 2, "max_samples": {"validation": 5}}, "max_samples.validation: each fold is"),
        ({"folds": 2, "samples_per_class": {"validation": 5}}, "samples_per_class.validation: each fold is"),
        ({"folds": 2, "push_to_hub": True}, "training.push_to_hub: the runs of a cross-validation are not pushed"),
    ],
    ids=str,
)
def test_refused_before_anything_is_read(keys, line):
    training = {"output_dir": "r", "max_steps": 3, "push_to_hub": keys.pop("push_to_hub", False)}
    with pytest.raises(InputError, match=line):
        load_recipe({"data": {"path": "x", **keys}, "model": {"checkpoint": "a/b"}, "training": training})
