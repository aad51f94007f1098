"""Where groups come from, and what is refused."""

import json

import pandas as pd
import pytest
from conftest import make_image
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

from hf_imgcls.data.groups import SharedGroups
from hf_imgcls.data.load import find_rows, load_data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.recipe.sections import DataSection

COLOURS = ("green", "red")


def section(**keys) -> DataSection:
    return DataSection.model_validate_json(json.dumps(keys))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """24 images, 12 of each class, in the folders of their classes."""
    root = tmp_path_factory.mktemp("groups") / "photos"
    for colour in COLOURS:
        (root / colour).mkdir(parents=True)
        for number in range(12):
            make_image(colour, number).save(root / colour / f"{number}.png")
    return root


def paths(split: str = "") -> list[str]:
    return [f"{split}{colour}/{number}.png" for colour in COLOURS for number in range(12)]


PATIENTS = [f"p{number // 3}" for number in range(12)] * 2  # four patients, each with three images of each class


def source(kind: str, files, place, groups, feature=None):
    """The images of the folder with these groups, as a source of some kind; returns its path."""
    labels = [name.split("/")[0] for name in paths()]
    place.mkdir()
    if kind in ("csv", "folders", "jsonl"):
        for colour in COLOURS:
            (place / colour).symlink_to(files / colour)
        frame = pd.DataFrame({"file_name": paths(), "patient": groups, "kind": labels})
        if kind == "jsonl":
            frame.to_json(place / "labels.jsonl", orient="records", lines=True)
            return place / "labels.jsonl"
        beside = kind == "folders"
        name = place / ("metadata.csv" if beside else "labels.csv")
        (frame.drop(columns="kind") if beside else frame).to_csv(name, index=False)
        return place if beside else name
    features = Features(image=Image(), kind=ClassLabel(names=list(COLOURS)), patient=feature or Value("string"))
    columns = {
        "image": [{"bytes": (files / name).read_bytes(), "path": None} for name in paths()],
        "kind": [COLOURS.index(label) for label in labels],
        "patient": groups,
    }
    rows = Dataset.from_dict(columns, features)
    rows.to_parquet(place / "all.parquet") if kind == "parquet" else rows.save_to_disk(place)
    return place


@pytest.mark.parametrize(
    ("kind", "groups", "feature"),
    [
        ("csv", PATIENTS, None),
        ("csv", [int(name[1:]) for name in PATIENTS], None),
        ("csv", [float(name[1:]) + 0.5 for name in PATIENTS], None),
        ("jsonl", [3 if name == "p3" else name for name in PATIENTS], None),
        ("folders", PATIENTS, None),
        ("parquet", [int(name[1:]) for name in PATIENTS], ClassLabel(names=["a", "b", "c", "d"])),
        ("parquet", [name in ("p0", "p1") for name in PATIENTS], Value("bool")),
        ("saved", [f"{name} " if n % 2 else name for n, name in enumerate(PATIENTS)], None),
    ],
    ids=["csv", "integers", "floats", "mixed types", "class folders", "class labels", "booleans", "spaces"],
)
def test_columns_of_every_kind(kind, groups, feature, files, tmp_path):
    place = source(kind, files, tmp_path / "x", groups, feature)
    data = find_rows(DataSection(path=str(place), group_column="patient", validation_fraction=0.25))
    train, validation = ({*data.splits[role]["group"]} for role in ("train", "validation"))
    assert not train & validation
    assert len(train | validation) == len({str(group).strip() for group in groups})
    of_all = len(train | validation)
    (note,) = [note for note in data.notes if note.startswith("validation: ")]
    assert f"1 of {of_all} groups (column 'patient'), stratified as far as groups allow" in note
    assert note.endswith("seed 42") == (of_all == 4) or "(6 images wanted)" in note


@pytest.mark.parametrize(
    ("kind", "groups", "keys", "line"),
    [
        ("csv", [None] * 2 + PATIENTS[2:], {}, "2 rows of 24 of train of * have no value of 'patient' (first: row 0)"),
        ("jsonl", [{"id": 1}, *PATIENTS[1:]], {}, "found {'id': 1}, expected a single value a row"),
        ("jsonl", [["a"]] * 24, {}, "'patient' of * holds no single value a row"),
        ("saved", [" ", *PATIENTS[1:]], {}, "1 row of 24 of train of * have no value of 'patient' (first: row 0)"),
        ("csv", PATIENTS, {"group_column": "patients"}, "has no column 'patients', it has file_name"),
        ("csv", PATIENTS, {"group_column": "file_name"}, "is the column of the images"),
        ("csv", ["one"] * 24, {}, "data.validation_split: none is there, and of 1 group in train each has all images"),
        ("csv", PATIENTS, {"samples_per_class": {"validation": 10}}, "can be held out have only 9 of 'green'"),
        ("folders", PATIENTS, {"group_column": "site"}, "has no column 'site', it has file_name"),
    ],
)
def test_refused_in_a_line(kind, groups, keys, line, files, tmp_path):
    place = source(kind, files, tmp_path / "x", groups)
    keys = {"group_column": "patient", **keys}
    with pytest.raises(InputError) as error:
        find_rows(section(path=str(place), **keys))
    message = str(error.value).replace(str(place), "*").replace(str(tmp_path / "x"), "*")
    assert line in message
    assert len(message) < 400


def test_class_folders_need_a_table_and_a_row_for_each_image(files, tmp_path):
    with pytest.raises(InputError, match=r"class folders and no table with a column 'patient'; write one"):
        find_rows(DataSection(path=str(files), group_column="patient"))
    place = source("folders", files, tmp_path / "x", PATIENTS)
    table = (place / "metadata.csv").read_text().splitlines()
    (place / "metadata.csv").write_text("\n".join(table[:-2]))
    with pytest.raises(InputError, match=r"2 images of .* in none of the tables .* \(first: red/10.png\)"):
        find_rows(DataSection(path=str(place), group_column="patient"))


@pytest.mark.parametrize(
    "keys", [{"streaming": True}, {"label_column": "patient"}, {"image_column": "patient"}], ids=str
)
def test_refused_before_anything_is_read(keys):
    recipe = {"data": {"path": "x", "group_column": "patient", **keys}, "model": {"checkpoint": "a/b"}}
    with pytest.raises(InputError, match=r"data: group_column: "):
        load_recipe({**recipe, "training": {"output_dir": "r", "max_steps": 3}})


@pytest.mark.parametrize(
    ("keys", "images"),
    [
        ({"test_fraction": 0.25}, (12, 6, 6)),
        ({"max_samples": {"train": 4, "validation": 2, "test": 4}}, (4, 2, 4)),
        ({"samples_per_class": {"train": 3, "validation": 4, "test": 1}}, (6, 8, 2)),
    ],
    ids=str,
)
def test_no_group_is_in_two_parts_however_they_are_made(keys, images, files, tmp_path):
    place = source("csv", files, tmp_path / "x", PATIENTS)
    data = find_rows(section(path=str(place), group_column="patient", validation_fraction=0.25, **keys))
    assert tuple(len(data.splits[role]) for role in ("train", "validation", "test")) == images
    groups = [set(data.splits[role]["group"]) for role in data.splits]
    left_out = [note for note in data.notes if "of them left out" in note]
    assert bool(left_out) == ("test_fraction" not in keys)
    assert sum(map(len, groups)) == len(set.union(*groups))


def test_groups_that_the_splits_of_the_source_share_are_counted(files, tmp_path):
    whole = Dataset.load_from_disk(str(source("saved", files, tmp_path / "all", PATIENTS)))
    test = whole.select([0, 1, 3, 4, 12, 23])  # p0, p0, p1, p1, p0, p3
    train = whole.select([n for n in range(24) if PATIENTS[n] in ("p0", "p2") and n not in (0, 1, 12)])
    DatasetDict(train=train, test=test, validation=whole.select([9, 21])).save_to_disk(str(tmp_path / "splits"))
    data = load_data(DataSection(path=str(tmp_path / "splits"), group_column="patient"))
    assert data.shared_groups == [
        SharedGroups("test", "train", 3, 1, 3, ["p0"]),
        SharedGroups("test", "validation", 1, 1, 3, ["p3"]),
    ]
    without = DatasetDict(train=train, test=test.remove_columns("patient"))
    without.save_to_disk(str(tmp_path / "unknown"))
    data = load_data(DataSection(path=str(tmp_path / "unknown"), group_column="patient", validation_fraction=0.4))
    assert data.shared_groups == []
    assert any("has no column 'patient': its groups are not known" in note for note in data.notes)
