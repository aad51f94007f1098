"""Every kind of source comes out as splits with an image and a label column."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import make_image
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image, Value

from hf_imgcls.data.check import verdict
from hf_imgcls.data.sources import open_source
from hf_imgcls.errors import InputError
from hf_imgcls.images.read import read_image
from hf_imgcls.recipe.sections import DataSection

COUNT = 4


def section(path, **keys) -> DataSection:
    return DataSection(path=str(path), **keys)


def png(number: int) -> bytes:
    stream = io.BytesIO()
    make_image("red", number, (8, 6)).save(stream, "PNG")
    return stream.getvalue()


def put(folder: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(number))
    return folder


def csv(file: Path, head: str, *rows: str, sep: str = ",") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([head, *rows]).replace(",", sep) + "\n", encoding="utf-8")
    return file


def write_csv(root: Path, labels: list) -> Path:
    put(root / "images", *(f"{i}.png" for i in range(COUNT)))
    return csv(root / "list.csv", "file,label", *(f"images/{i}.png,{labels[i]}" for i in range(COUNT)))


def write_tsv(root: Path, labels: list) -> Path:
    put(root, *(f"사진/{i}.png" for i in range(COUNT)))
    return csv(root / "list.tsv", "path,kind", *(f"사진/{i}.png,{labels[i]}" for i in range(COUNT)), sep="\t")


def write_jsonl(root: Path, labels: list) -> Path:
    put(root, *(f"{i}.png" for i in range(COUNT)))
    file = root / "list.jsonl"
    file.write_text("".join(json.dumps({"file_name": f"{i}.png", "label": labels[i]}) + "\n" for i in range(COUNT)))
    return file


def write_json(root: Path, labels: list) -> Path:
    put(root, *(f"{i}.png" for i in range(COUNT)))
    file = root / "list.json"
    file.write_text(json.dumps([{"file_name": f"{i}.png", "label": labels[i]} for i in range(COUNT)], indent=1))
    return file


def write_parquet_bytes(root: Path, labels: list) -> Path:
    root.mkdir(exist_ok=True)
    pq.write_table(pa.table({"content": [png(i) for i in range(COUNT)], "label": labels}), root / "list.parquet")
    return root / "list.parquet"


def write_parquet_encoded(root: Path, labels: list) -> Path:
    root.mkdir(exist_ok=True)
    images = [{"bytes": png(i), "path": f"{i}.png"} for i in range(COUNT)]
    pq.write_table(pa.table({"image": images, "label": labels}), root / "list.parquet")
    return root / "list.parquet"


def write_parquet_paths(root: Path, labels: list) -> Path:
    put(root, *(f"{i}.png" for i in range(COUNT)))
    encoded = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    images = pa.array([{"bytes": None, "path": f"{i}.png"} for i in range(COUNT)], encoded)
    pq.write_table(pa.table({"image": images, "label": labels}), root / "list.parquet")
    return root / "list.parquet"


def write_tar(root: Path, labels: list) -> Path:
    root.mkdir(exist_ok=True)
    suffix = "cls" if isinstance(labels[0], int) else "txt"
    with tarfile.open(root / "list.tar", "w") as archive:
        for i in range(COUNT):
            for name, content in ((f"{i:03d}.png", png(i)), (f"{i:03d}.{suffix}", str(labels[i]).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return root / "list.tar"


WRITERS = [
    write_csv, write_tsv, write_jsonl, write_json, write_parquet_bytes, write_parquet_encoded, write_parquet_paths,
    write_tar,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("labels", [["dog", "cat", "dog", "고양이"], [1, 0, 1, 7]], ids=["names", "numbers"])
def test_files_alone_and_in_a_folder(tmp_path, write, labels):
    file = write(tmp_path / "photos", labels)
    for path in (file, file.parent):
        splits, *_ = open_source(section(path))
        assert list(splits) == ["train"]
        rows = splits["train"]
        assert rows["label"][:] == labels
        assert [read_image(image).tobytes() for image in rows["image"]] == [
            make_image("red", i, (8, 6)).tobytes() for i in range(COUNT)
        ]


@pytest.mark.parametrize("write", [write_csv, write_jsonl, write_parquet_bytes, write_tar])
def test_files_of_several_splits(tmp_path, write):
    for split, labels in {"train": ["dog", "cat", "cat", "dog"], "test": ["cat", "cat", "dog", "dog"]}.items():
        file = write(tmp_path / split, labels)
        file.rename(file.with_stem(f"my_{split}_list"))
    splits, *_ = open_source(section(tmp_path))
    assert {split: rows["label"][:] for split, rows in splits.items()} == {
        "train": ["dog", "cat", "cat", "dog"],
        "test": ["cat", "cat", "dog", "dog"],
    }


def test_names_are_relative_to_the_data_and_paths_absolute(tmp_path, monkeypatch):
    write_csv(tmp_path / "photos/deep", ["cat"] * COUNT)
    csv(tmp_path / "photos/deep/list.csv", "file,label", "../up.png,cat", f"{tmp_path}/photos/deep/images/1.png,dog")
    put(tmp_path / "photos", "up.png")
    monkeypatch.chdir(tmp_path)
    rows = open_source(section("photos/deep/list.csv"))[0]["train"]
    assert rows["name"][:] == ["../up.png", "images/1.png"]
    assert [image["path"] for image in rows["image"]] == [
        str(tmp_path / "photos/up.png"),
        str(tmp_path / "photos/deep/images/1.png"),
    ]


@pytest.mark.parametrize("streaming", [False, True])
def test_metadata_beside_the_images_of_each_split(tmp_path, streaming):
    for split, label in (("train", "cat"), ("validation", "dog")):
        put(tmp_path / split, "a.png", "b.png")
        csv(tmp_path / split / "metadata.csv", "file_name,label", f"a.png,{label}", "b.png,fox")
    splits, *_ = open_source(section(tmp_path, streaming=streaming))
    assert {split: [row["label"] for row in rows] for split, rows in splits.items()} == {
        "train": ["cat", "fox"],
        "validation": ["dog", "fox"],
    }


def test_one_list_of_images_that_lie_in_split_folders(tmp_path):
    put(tmp_path, "train/CAT/1.png", "train/DOG/1.png", "valid/CAT/1.png", "test/CAT/1.png")
    rows = ["train/CAT/1.png,CAT,1", "train/DOG/1.png,DOG,2", "valid/CAT/1.png,CAT,1", "test/CAT/1.png,CAT,1"]
    csv(tmp_path / "birds.csv", "filepaths,labels,class id", *rows)
    splits, *_ = open_source(section(tmp_path))
    assert {split: rows["name"][:] for split, rows in splits.items()} == {
        "train": ["train/CAT/1.png", "train/DOG/1.png"],
        "validation": ["valid/CAT/1.png"],
        "test": ["test/CAT/1.png"],
    }


def test_kaggles_files(tmp_path):
    put(tmp_path, "images/1.png", "images/2.png", "images/3.png")
    csv(tmp_path / "train.csv", "id,file,label", "1,images/1.png,cat", "2,images/2.png,dog")
    csv(tmp_path / "test.csv", "id,file", "3,images/3.png")
    csv(tmp_path / "sample_submission.csv", "id,label", "3,cat")
    splits, notes, _ = open_source(section(tmp_path))
    assert {split: rows["label"][:] for split, rows in splits.items()} == {"train": ["cat", "dog"]}
    assert notes == [
        'labels: column "label" of train.csv',
        "skipped 1 data file without a split in its name: sample_submission.csv",
        f"test: {tmp_path}/test.csv has no column 'label'; it is not scored",
    ]


def test_rows_without_an_image_and_files_that_are_gone_stay_to_be_reported(tmp_path):
    put(tmp_path, "1.png", "2.png")
    csv(tmp_path / "list.csv", "file,label", ",cat", "1.png,cat", "2.png,dog", "gone.png,dog")
    rows = open_source(section(tmp_path))[0]["train"]
    assert rows["name"][:] == ["row 0", "1.png", "2.png", "gone.png"]
    assert rows[0]["image"]["path"] is None


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


@pytest.mark.parametrize("encoded", [True, False])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_null_image_is_one_bad_image(tmp_path, encoded, streaming):
    images = [{"bytes": png(i), "path": f"{i}.png"} if encoded else png(i) for i in range(COUNT)]
    for number, missing in enumerate(([0], [1, 2], [COUNT - 1], [0, 3])):
        rows = [None if i in missing else image for i, image in enumerate(images)]
        if encoded and number == 1:
            rows[1] = {"bytes": None, "path": None}
            rows[2] = {"bytes": None, "path": "2.png"}
        file = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"image": rows, "label": ["cat", "dog"] * 2}), file)
        opened = open_source(section(file, streaming=streaming)).splits["train"]
        reasons = [verdict(row["image"])["reason"] for row in opened]
        assert reasons == ["no image in this row" if i in missing else "" for i in range(COUNT)]


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


def test_a_changed_file_is_noticed(tmp_path):
    file = write_csv(tmp_path, ["cat", "dog", "cat", "dog"])
    assert open_source(section(file))[0]["train"]["label"][:] == ["cat", "dog", "cat", "dog"]
    file.write_text(file.read_text().replace("cat", "fox"))
    assert open_source(section(file))[0]["train"]["label"][:] == ["fox", "dog", "fox", "dog"]


def test_files_whose_labels_differ_in_type(tmp_path):
    for split in ("train", "data"):
        put(tmp_path / split, "1.png", "2.png")
    csv(tmp_path / "train/train.csv", "file,label", "1.png,1", "2.png,2")
    csv(tmp_path / "data/train.csv", "file,label", "1.png,cat", "2.png,dog")
    with pytest.raises(InputError, match=r"data.path: the files of train differ in their columns: "):
        open_source(section(tmp_path))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("photos.zip", "photos.zip is no data file; unpack photos.zip first and name the folder of what was in it"),
        ("photos.yaml", "photos.yaml is no data file; expected one of .csv, .tsv, "),
        ("packed", "no class folders with images in it; expected one folder per class; unpack photos.rar first"),
        ("./nowhere", "data.path: no such folder './nowhere' (looked in "),
        ("nowhere/", "data.path: no such folder 'nowhere/'"),
        ("nowhere.csv", "data.path: no such file 'nowhere.csv'"),
        ("a/b/c", "data.path: no such folder 'a/b/c'"),
        ("someone/photos", "data.path: 'someone/photos' is nothing in "),
        ("empty", "empty: no class folders with images in it"),
    ],
)
def test_paths_that_lead_nowhere(tmp_path, monkeypatch, path, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.zip").write_bytes(b"zip")
    (tmp_path / "photos.yaml").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "photos.rar").write_bytes(b"rar")
    with pytest.raises(InputError) as caught:
        open_source(section(path))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_network_the_hub_is_out_of_reach():
    with pytest.raises(InputError, match=r"'ethz/food101' .* could not be loaded from the Hub: .*Couldn't reach"):
        open_source(section("ethz/food101"))


def test_a_folder_can_move(tmp_path):
    write_csv(tmp_path / "here", ["cat", "dog", "cat", "dog"])
    before = open_source(section(tmp_path / "here"))[0]["train"]["name"][:]
    shutil.move(tmp_path / "here", tmp_path / "there")
    rows = open_source(section(tmp_path / "there"))[0]["train"]
    assert rows["name"][:] == before
    assert rows.features["image"] == datasets.Image(decode=False)
