"""Tables beside class folders: which of the two is meant."""

import tarfile
from pathlib import Path

import pytest
from datasets import Dataset
from listed_photos import csv, put, section, write_parquet_bytes

from hf_imgcls.data.sources import open_source
from hf_imgcls.errors import InputError


@pytest.mark.parametrize(
    "beside", ["class_names.json", "classes.csv", "photos.tar", "broken.json"], ids=lambda name: name
)
def test_class_folders_with_a_data_file_that_is_none_of_theirs(tmp_path, beside):
    put(tmp_path, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png", "dog/3.png")
    if beside.endswith("tar"):
        with tarfile.open(tmp_path / beside, "w") as archive:
            archive.add(tmp_path / "cat", "cat")
    else:
        (tmp_path / beside).write_text('{"0": "cat", "1": "dog"}' if "class_" in beside else "0\ncat\n")
    splits, notes, _ = open_source(section(tmp_path))
    assert splits["train"]["label"][:] == ["cat"] * 2 + ["dog"] * 3
    assert notes[:2] == ["labels: folder names", f"skipped 1 non-image file: {beside}"]
    assert notes[2].startswith(f"not read: {beside}")


PEOPLE = ["cat/1.png,Ann,3", "cat/2.png,Bob,4", "dog/1.png,Ann,3", "dog/2.png,Bob,4"]


def with_table(root: Path, place: str = "metadata.csv") -> Path:
    """Two class folders, and a table of their images with other columns."""
    put(root, "cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")
    file, head = root / place, ["file_name", "who", "age"]
    if place.endswith("csv"):
        csv(file, ",".join(head), *PEOPLE)
    else:
        columns = dict(zip(head, zip(*(row.split(",") for row in PEOPLE), strict=True), strict=True))
        table = Dataset.from_dict({name: list(values) for name, values in columns.items()})
        table.to_parquet(file) if place.endswith("parquet") else table.to_json(file)
    return root


@pytest.mark.parametrize("table", ["metadata.csv", "metadata.jsonl", "people.parquet"])
@pytest.mark.parametrize("streaming", [False, True])
def test_class_folders_win_over_a_table_unless_one_of_its_columns_is_named(tmp_path, table, streaming):
    root = with_table(tmp_path / "photos", table)
    splits, notes, _ = open_source(section(root, streaming=streaming))
    assert [row["label"] for row in splits["train"]] == ["cat", "cat", "dog", "dog"]
    assert "labels: folder names" in notes
    assert f"not read: {table} (file_name, who, age); data.label_column chooses a column" in notes
    splits, notes, _ = open_source(section(root, streaming=streaming, label_column="who"))
    assert [row["label"] for row in splits["train"]] == ["Ann", "Bob", "Ann", "Bob"]
    assert notes[0] == f'labels: column "who" of {table}'


def test_a_recipe_is_no_table(tmp_path):
    (tmp_path / "r.json").write_text(
        '{"data": {"path": "x"}, "model": {"checkpoint": "y"}, "training": {"output_dir": "z"}}'
    )
    with pytest.raises(InputError, match=r"r\.json is a recipe, which hf-imgcls train takes"):
        open_source(section(tmp_path / "r.json"))


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [("split", ("train", "Test"), True), ("Set", ("val",) * 2, True), ("place", ("train", "hall"), False)],
)
def test_a_column_that_divides_no_rows_is_named(tmp_path, column, values, said):
    put(tmp_path, "1.png", "2.png")
    rows = [f"{n}.png,{label},{value}" for n, label, value in zip("12", ("cat", "dog"), values, strict=True)]
    file = csv(tmp_path / "labels.csv", f"image,label,{column}", *rows)
    found = [note for note in open_source(section(file, label_column="label")).notes if "divides no rows" in note]
    shown = ", ".join(dict.fromkeys(values))
    assert [note.split(" is not read")[0] for note in found] == [f'column "{column}" of labels.csv ({shown})'] * said
    for split in ("train", "test"):
        csv(tmp_path / "tables" / f"{split}.csv", f"image,label,{column}", *(f"../{row}" for row in rows))
    found = open_source(section(tmp_path / "tables", label_column="label"))
    assert list(found.splits) == ["train", "test"]
    assert "divides no rows" not in str(found.notes)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_column_that_is_empty_at_first_is_read(tmp_path, streaming):
    """As the column `error` of predictions: beside class folders, and in a table that is read as a stream."""
    put(tmp_path / "a", "cat/1.png", "dog/2.png")
    rows = ["cat/1.png,cat,,", "dog/2.png,dog,,0.5"]
    csv(tmp_path / "a" / "predictions.csv", "image,label_1,error,score", *rows)
    assert "not read: predictions.csv (image, label_1, error, score)" in open_source(section(tmp_path / "a")).notes[-1]
    put(tmp_path / "b", "cat/1.png", "dog/2.png")
    table = csv(tmp_path / "b" / "list.csv", "file,label,note,score", *rows)
    splits, *_ = open_source(section(table, streaming=streaming))
    assert [row["label"] for row in splits["train"]] == ["cat", "dog"]


def test_tables_in_split_folders_and_in_class_folders(tmp_path):
    for split in ("train", "test"):
        with_table(tmp_path / "splits" / split)
    splits, notes, _ = open_source(section(tmp_path / "splits"))
    assert [sorted(set(rows["label"])) for rows in splits.values()] == [["cat", "dog"]] * 2
    columns = "(file_name, who, age)"
    assert f"not read: test/metadata.csv {columns}, train/metadata.csv {columns}; " in notes[-1]
    splits, notes, _ = open_source(section(tmp_path / "splits", label_column="who"))
    assert [sorted(set(rows["label"])) for rows in splits.values()] == [["Ann", "Bob"]] * 2
    assert notes[0] == 'labels: column "who" of train/metadata.csv'

    put(tmp_path / "deep", "cat/1.png", "dog/1.png", "dog/2.png")
    csv(tmp_path / "deep/cat/metadata.csv", "file_name,who", "1.png,Ann")
    csv(tmp_path / "deep/dog/metadata.csv", "file_name,who", "1.png,Bob", "2.png,Ann")
    splits, notes, _ = open_source(section(tmp_path / "deep"))
    assert splits["train"]["label"][:] == ["cat", "dog", "dog"]
    assert "not read: cat/metadata.csv (file_name, who), dog/metadata.csv" in notes[-1]
    rows = open_source(section(tmp_path / "deep", label_column="who"))[0]["train"]
    assert dict(zip(rows["name"], rows["label"], strict=True)) == {
        "cat/1.png": "Ann", "dog/1.png": "Bob", "dog/2.png": "Ann",
    }  # fmt: skip


def test_folders_that_hold_a_tables_images_are_no_classes(tmp_path):
    for place in (("images", "masks"), ("images_001", "images_002")):
        root = put(tmp_path / place[1], f"{place[0]}/a.png", f"{place[1]}/b.png")
        csv(root / "list.csv", "file,finding", f"{place[0]}/a.png,yes", f"{place[1]}/b.png,no")
        splits, notes, _ = open_source(section(root))
        assert splits["train"]["label"][:] == ["yes", "no"]
        assert notes == ['labels: column "finding" of list.csv']


def test_a_dataset_of_its_own_beside_folders_of_images(tmp_path):
    put(tmp_path, "assets/1.png", "examples/1.png")
    write_parquet_bytes(tmp_path / "data", ["cat", "dog"] * 2)
    splits, notes, _ = open_source(section(tmp_path))
    assert splits["train"]["label"][:] == ["cat", "dog"] * 2
    assert notes == ['labels: column "label" of data/list.parquet']


@pytest.mark.parametrize(
    ("table", "keys", "line"),
    [
        (False, {"label_column": "age"}, "data.label_column: .* has class folders, whose names are the labels, and no"),
        (False, {"image_column": "img"}, "data.image_column: .* has class folders, whose names are the labels, and no"),
        (
            True,
            {"image_column": "file_name"},
            "data.image_column: the labels of .* are the names of its folders; ",
        ),
        (True, {"label_column": "agee"}, "has no column 'agee', it has file_name: .*; did you mean \"age\""),
    ],
)
def test_columns_named_for_class_folders(tmp_path, table, keys, line):
    root = with_table(tmp_path / "photos")
    if not table:
        (root / "metadata.csv").unlink()
    with pytest.raises(InputError, match=line) as caught:
        open_source(section(root, **keys))
    assert "\n" not in str(caught.value)


def test_a_table_of_the_images_is_meant_even_if_it_does_not_fit(tmp_path):
    put(tmp_path, "part_1/a.png", "part_1/b.png", "part_2/c.png")
    csv(tmp_path / "list.csv", "image_id,dx", "a,nv", "b,mel", "c,nv")
    with pytest.raises(InputError, match=r"data.image_column: no column of .*list.csv holds images, or paths"):
        open_source(section(tmp_path))


def test_a_table_without_a_line_of_names(tmp_path):
    put(tmp_path, "1.png", "2.png")
    csv(tmp_path / "list.csv", "1.png,cat", "2.png,dog")
    with pytest.raises(InputError, match=r"list.csv begins with an image, 1.png; its first line must name the columns"):
        open_source(section(tmp_path))
