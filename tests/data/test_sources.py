"""Sources that are one file or a folder with files: tables, archives, lists of paths."""

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
from listed_photos import COUNT, csv, png, put, section, write_parquet_bytes

from hf_imgcls.data.check import verdict
from hf_imgcls.data.sources import open_source
from hf_imgcls.errors import InputError
from hf_imgcls.images.read import read_image


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
