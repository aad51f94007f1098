"""Streams: label names, slices, bad images, and the same rows whatever the number of workers."""

import io
import itertools
import os
import tarfile
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import streamed
from conftest import COLOURS, make_image
from datasets import ClassLabel, Dataset, Features, Image
from torch.utils.data import DataLoader

from hf_imgcls.data.load import load_data
from hf_imgcls.data.stream_rows import _naming_files
from hf_imgcls.data.streaming import attach_transform, first_rows
from hf_imgcls.errors import InputError, ReadError
from hf_imgcls.images.read import read_image
from hf_imgcls.recipe.sections import DataSection

NAMES = list(COLOURS)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    """`datasets` pauses for five seconds behind every pass over shuffled parquet files."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)


def stream(path, **keys):
    return load_data(DataSection(path=str(path), streaming=True, **keys))


def png(number: int) -> bytes:
    """The image of a row: its first pixel tells the number."""
    image = make_image(NAMES[number % 3], number, (8, 6))
    image.putpixel((0, 0), (number, 0, 0))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def parquet(file, numbers, bad=()):
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [b"broken" if i in bad else png(i) for i in numbers]
    pq.write_table(pa.table({"image": images, "label": [NAMES[i % 3] for i in numbers]}), file)


def class_folders(root, numbers):
    for number in numbers:
        folder = root / NAMES[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03d}.png").write_bytes(png(number))


def to_numbers(rows: dict[str, list]) -> dict[str, list]:
    """A transform: the number that the image itself tells."""
    pixels = [np.asarray(read_image(image)) for image in rows["image"]]
    return {"number": [int(p[0, 0, 0]) for p in pixels], "labels": rows["label"], "row_was": rows["row"]}


def numbers(split, workers: int = 0, **keys) -> list[int]:
    loader = DataLoader(attach_transform(split, to_numbers, **keys), batch_size=4, num_workers=workers)
    return [int(n) for batch in loader for n in batch["number"]]


@pytest.fixture
def shards(tmp_path):
    """Forty rows in four files for training, twenty in two for validation."""
    for i in range(4):
        parquet(tmp_path / f"train-{i}.parquet", range(10 * i, 10 * i + 10))
    for i in range(2):
        parquet(tmp_path / f"validation-{i}.parquet", range(100 + 10 * i, 110 + 10 * i))
    return tmp_path


def test_a_stream_of_parquet_files(shards):
    data = stream(shards, label_names=NAMES)
    assert data.labels == NAMES
    assert data.fingerprints == {}
    rows = list(attach_transform(data.splits["validation"], to_numbers))
    assert [row["number"] for row in rows] == list(range(100, 120))
    assert [row["labels"] for row in rows] == [n % 3 for n in range(100, 120)]
    assert rows[0].keys() == {"number", "labels", "row_was"}
    assert len({row["row_was"] for row in rows}) == 20
    train = numbers(data.splits["train"])
    assert sorted(train) == list(range(40))
    assert train != list(range(40))


def test_training_is_shuffled_anew_with_every_epoch_and_seed(shards):
    def epoch(seed, number):
        attached = attach_transform(stream(shards, label_names=NAMES, seed=seed).splits["train"], to_numbers)
        attached.set_epoch(number)
        return [row["number"] for row in attached]

    assert epoch(1, 0) == epoch(1, 0)
    assert epoch(1, 0) != epoch(1, 1)
    assert epoch(1, 0) != epoch(2, 0)


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_row_comes_once_whatever_the_number_of_workers(shards, workers):
    data = stream(shards, label_names=NAMES)
    assert sorted(numbers(data.splits["train"], workers)) == list(range(40))
    assert numbers(data.splits["validation"], workers) == list(range(100, 120))


@pytest.mark.parametrize("workers", [0, 2])
def test_slices_hold_the_same_rows_with_and_without_workers(shards, workers):
    data = stream(
        shards, label_names=NAMES, train_split="train[:33]", validation_split="train[33:]", test_split="validation[5:9]"
    )
    assert sorted(numbers(data.splits["train"], workers)) == list(range(33))
    assert numbers(data.splits["validation"], workers) == list(range(33, 40))
    assert numbers(data.splits["test"], workers) == list(range(105, 109))
    rows = list(data.splits["validation"])
    assert [row["row"] for row in rows] == list(range(33, 40))


@pytest.mark.parametrize("workers", [0, 2])
def test_max_samples_takes_the_first(shards, workers):
    data = stream(shards, label_names=NAMES, max_samples={"train": 6, "validation": 3}, train_split="train[2:]")
    assert sorted(numbers(data.splits["train"], workers)) == list(range(2, 8))
    assert numbers(data.splits["validation"], workers) == [100, 101, 102]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_of_class_folders(tmp_path, workers):
    class_folders(tmp_path / "train", range(12))
    class_folders(tmp_path / "validation", range(100, 106))
    data = stream(tmp_path, label_names=NAMES[::-1])
    assert sorted(numbers(data.splits["train"], workers)) == list(range(12))
    rows = list(attach_transform(data.splits["validation"], to_numbers))
    assert {row["number"]: row["labels"] for row in rows} == {n: 2 - n % 3 for n in range(100, 106)}
    assert rows[0].keys() == {"number", "labels", "row_was"}


def test_a_stream_of_a_tar(tmp_path):
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        for number in range(6):
            for suffix, content in (("png", png(number)), ("cls", str(number % 3).encode())):
                member = tarfile.TarInfo(f"{number:03d}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    data = stream(tmp_path / "photos.tar", label_names=NAMES)
    assert sorted(numbers(data.splits["train"])) == list(range(6))
    assert "no validation split" in data.notes[-1]


def test_names_come_from_the_features(tmp_path):
    features = Features({"image": Image(), "label": ClassLabel(names=NAMES)})
    columns = {"image": [{"bytes": png(i), "path": None} for i in range(6)], "label": [i % 3 for i in range(6)]}
    Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "saved")
    Dataset.from_dict(columns, features=features).to_parquet(tmp_path / "rows.parquet")
    for path in (tmp_path / "saved", tmp_path / "rows.parquet"):
        data = stream(path)
        assert data.labels == NAMES
        assert sorted((row["number"], row["labels"]) for row in attach_transform(data.splits["train"], to_numbers)) == [
            (i, i % 3) for i in range(6)
        ]


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_skipped(tmp_path, workers):
    parquet(tmp_path / "train.parquet", range(20), bad=range(3, 20))  # a whole batch of them too
    parquet(tmp_path / "validation.parquet", range(100, 106), bad=[100, 103])
    data = stream(tmp_path, label_names=NAMES)
    assert sorted(numbers(data.splits["train"], workers)) == [0, 1, 2]
    assert numbers(data.splits["validation"], workers) == [101, 102, 104, 105]
    assert [row["row"] for row in first_rows(data.splits["validation"], 3)] == [1, 2, 4]


def test_bad_images_end_the_run_if_so_asked(tmp_path):
    parquet(tmp_path / "train.parquet", range(4), bad=[2])
    data = stream(tmp_path, label_names=NAMES, bad_images="raise")
    with pytest.raises(
        InputError, match=r"data: row 2 cannot be read: not an image, .*; data.bad_images=drop trains without it"
    ):
        numbers(data.splits["train"], bad_images="raise")


def test_a_stream_that_has_changed_is_not_gone_on_with(shards):
    rows = attach_transform(stream(shards, label_names=NAMES).splits["train"], to_numbers)
    rows.numbered = True
    worker, read, delivered, image = list(itertools.islice(rows, 12))[-1]["place"]
    assert (worker, read, delivered) == (0, 12, 12)
    for place, line in (
        ([12, 12, image + 1], "row .* is another image"),
        ([41, 41, image], "40 rows where at least 41"),
    ):
        rows.resume(0, [place])
        with pytest.raises(InputError, match=f"not the one that this run was interrupted in: .*{line}"):
            list(rows)
    rows.resume(0, [[12, 12, image]])
    assert [row["number"] for row in rows][12:] == [row["number"] for row in attach_transform(rows.rows, to_numbers)][
        12:
    ]


@pytest.mark.parametrize(
    ("ending", "size", "workers", "line"),
    [
        ("parquet", None, 1, "cannot be read: No such file or directory"),
        ("parquet", 3000, 0, "cannot be read: ArrowInvalid: "),
        ("tar", None, 0, "cannot be read: No such file or directory"),
        ("tar", 700, 1, "is no tar archive, or a damaged one"),  # within an image
        ("tar", 1536, 0, "was changed while it was read"),  # between an image and its label
        ("tar", 2560, 0, "was changed while it was read"),  # between two samples
    ],
)
def test_a_data_file_that_vanished_or_was_truncated_is_named(ending, size, workers, line, tmp_path):
    (streamed.write_parquet if ending == "parquet" else streamed.write_tars)(tmp_path)
    split = stream(tmp_path, label_names=NAMES).splits["train"]
    file = tmp_path / f"train-1.{ending}"
    file.unlink() if size is None else os.truncate(file, size)
    with pytest.raises(ReadError) as caught:
        numbers(split, workers)
    assert f"{file} {line}" in str(caught.value)
    assert "mend that, then run the same command again" in str(caught.value)


def test_what_fails_on_a_good_image_is_not_blamed_on_the_image(tmp_path):
    def fail(rows: dict[str, list]) -> dict[str, list]:
        if rows["image"]:
            raise ValueError("too much for this transform")
        return {"number": []}

    parquet(tmp_path / "train.parquet", range(4))
    with pytest.raises(ValueError, match="too much for this transform"):
        list(attach_transform(stream(tmp_path, label_names=NAMES).splits["train"], fail))


def test_a_row_without_an_image_is_a_bad_one(tmp_path):
    pq.write_table(pa.table({"image": [png(0), None, png(2)], "label": ["red"] * 3}), tmp_path / "train.parquet")
    assert sorted(numbers(stream(tmp_path, label_names=NAMES).splits["train"])) == [0, 2]


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({}, "data.label_names: the labels of a stream are not known beforehand; name them here"),
        ({"label_names": ["a", "a"]}, "data.label_names: 'a' is given 2 times"),
        ({"samples_per_class": {"train": 2}}, "data.samples_per_class: needs the whole dataset, which data.streaming"),
        ({"test_fraction": 0.1}, "data.test_fraction: needs the whole dataset"),
        ({"validation_fraction": 0.1}, "data.validation_fraction: needs the whole dataset"),
        (
            {"train_split": "train[:50%]"},
            "data.train_split: a stream takes slices such as train[:5000], not 'train[:50%]'",
        ),
        ({"train_split": "train[5:2]"}, "data.train_split: 'train[5:2]' holds no rows"),
        ({"validation_split": "train[:5]"}, "data.validation_split: train[:5] shares rows with train"),
        ({"test_split": "tset"}, "has no split 'tset', it has train, validation"),
    ],
)
def test_what_a_stream_cannot_do(shards, keys, line):
    names = {} if line.startswith("data.label_names") else {"label_names": NAMES}
    with pytest.raises(InputError) as caught:
        stream(shards, **{**names, **keys})
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("label", "line"),
    [
        (
            "zebra",
            "data: train has the label 'zebra' (1 image), not among the 3 of data.label_names: blue, green, red",
        ),
        (None, "data: row 1 of train has no label"),
    ],
)
def test_labels_that_are_unknown_or_missing(tmp_path, label, line):
    pq.write_table(pa.table({"image": [png(0), png(1)], "label": ["red", label]}), tmp_path / "train.parquet")
    split = stream(tmp_path, label_names=NAMES).splits["train"]
    with pytest.raises(InputError) as caught:
        numbers(split)
    assert line in str(caught.value)


def test_a_column_whose_type_changes_further_down_is_one_line():
    class Changing:
        info = SimpleNamespace(download_checksums=None)

        def __init__(self, fault):
            self.fault = fault

        def __iter__(self):
            yield 1
            raise TypeError(self.fault)

    with pytest.raises(ReadError, match=r"^the stream cannot be read: TypeError: Couldn't cast array"):
        list(_naming_files(Changing("Couldn't cast array of type double to int64")))
    with pytest.raises(TypeError):
        list(_naming_files(Changing("a bug")))
