"""Any source to checked, fingerprinted splits: what a recipe's data section promises as a whole."""

import json
import os
import shutil
from collections import Counter
from pathlib import Path

import datasets
import pytest
from conftest import COLOURS, make_image
from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
from fresh import run_fresh

from hf_imgcls.data import check as bad_images
from hf_imgcls.data.load import load_data, load_split
from hf_imgcls.errors import InputError
from hf_imgcls.images.read import read_image
from hf_imgcls.recipe.sections import DataSection

NAMES = list(COLOURS)


def load(path, **keys):
    return load_data(DataSection(path=str(path), **keys))


def sizes(data) -> dict[str, int]:
    return {split: len(rows) for split, rows in data.splits.items()}


def per_class(data, split: str) -> dict[str, int]:
    return dict(Counter(data.labels[i] for i in data.splits[split]["label"]))


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


def test_validation_is_held_out_of_train_stratified(make_folder):
    data = load(make_folder(train=20, test=2))
    assert per_class(data, "validation") == {"blue": 2, "green": 2, "red": 2}
    assert per_class(data, "train") == {"blue": 18, "green": 18, "red": 18}
    assert not set(data.splits["train"]["name"]) & set(data.splits["validation"]["name"])
    assert data.notes[1:] == ["validation: 6 images held out of train, stratified, seed 42"]


def test_a_validation_fraction_of_zero_trains_on_all_images(make_folder):
    root = make_folder(train=5, test=2)
    data = load(root, validation_fraction=0)
    assert sizes(data) == {"train": 15, "test": 6}
    assert data.notes[1].startswith("validation: none (data.validation_fraction is 0)")
    assert sizes(load(root, validation_fraction=0, samples_per_class={"validation": 1}))["validation"] == 3
    alone = make_folder(4, name="alone")
    assert sizes(load(alone, validation_fraction=0, test_fraction=0.25)) == {"train": 9, "test": 3}
    with pytest.raises(
        InputError, match=r"data\.max_samples\.test: there is no test split, .* set data\.test_fraction"
    ):
        load(alone, validation_fraction=0, max_samples={"test": 3})


def test_held_out_parts_follow_their_fractions_and_the_seed(make_folder):
    root = make_folder(20)
    data = load(root, validation_fraction=0.2, test_fraction=0.25)
    assert sizes(data) == {"train": 36, "validation": 9, "test": 15}
    again, other = (load(root, validation_fraction=0.2, test_fraction=0.25, seed=seed) for seed in (42, 43))
    assert again.fingerprints == data.fingerprints
    assert other.fingerprints != data.fingerprints


def test_the_textbooks_split_out_of_one_pool(make_folder):
    """1000, 500 and 1000 of each class, a hundred times smaller."""
    data = load(make_folder(30), samples_per_class={"train": 10, "validation": 5, "test": 10})
    for split, count in {"train": 10, "validation": 5, "test": 10}.items():
        assert per_class(data, split) == dict.fromkeys(NAMES, count)
    names = [name for split in data.splits.values() for name in split["name"]]
    assert len(set(names)) == len(names) == 75


def test_samples_per_class_of_splits_that_exist(make_folder):
    data = load(make_folder(train=5, validation=4, test=4), samples_per_class={"train": 3, "validation": 2})
    assert sizes(data) == {"train": 9, "validation": 6, "test": 12}


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"train": 9}, "data.samples_per_class.train: 9 requested, but 'blue' has only 7"),
        ({"test": 9}, "data.samples_per_class.test: 9 requested, but 'blue' has only 8"),
        ({"test": 8}, "data.samples_per_class.test: 8 requested, which leaves no 'blue' to train on"),
        ({"test": 4, "validation": 4}, "data.samples_per_class.validation: 4 requested, which leaves no 'blue'"),
    ],
)
def test_samples_per_class_that_a_pool_does_not_have(make_folder, asked, line):
    with pytest.raises(InputError) as caught:
        load(make_folder(8), samples_per_class=asked)
    assert line in str(caught.value)


def test_max_samples_limits_splits(make_folder):
    data = load(make_folder(train=6, validation=6, test=6), max_samples={"train": 9, "validation": 100, "test": 3})
    assert sizes(data) == {"train": 9, "validation": 18, "test": 3}
    assert per_class(data, "train") == dict.fromkeys(NAMES, 3)


def test_limits_of_slices(make_folder):
    root = make_folder(train=6, validation=6, test=6)
    limits = {"max_samples": {"test": 3, "train": 6}, "samples_per_class": {"validation": 1}}
    slices = {"train_split": "train[:100%]", "validation_split": "validation[:90%]", "test_split": "test[:100%]"}
    assert sizes(load(root, **slices, **limits)) == {"train": 6, "validation": 3, "test": 3}
    section = DataSection(path=str(root), **limits)
    assert sizes(load_split(section, "test[:100%]", NAMES)) == {"test[:100%]": 3}
    assert sizes(load_split(section, "validation[3:]", NAMES)) == {"validation[3:]": 3}
    scored = load_split(section, "train[:5]+test[:5]", NAMES)
    assert sizes(scored) == {"train[:5]+test[:5]": 10}
    assert "data.max_samples.test has no effect: no test split is used" in scored.notes


@pytest.mark.parametrize("key", ["max_samples", "samples_per_class"])
def test_no_test_split_is_made_against_the_recipe(make_folder, key):
    data = load(make_folder(train=10, test=2), test_split=False, **{key: {"test": 2}})
    assert list(data.splits) == ["train", "validation"]
    assert f"data.{key}.test has no effect: no test split is used" in data.notes
    assert list(load(make_folder(10, name="pool"), **{key: {"test": 2}}).splits) == ["train", "validation", "test"]


def test_classes_that_are_not_validated_are_noted(make_folder):
    data = load(make_folder(2), validation_fraction=0.2)
    missing = [name for name in NAMES if name not in per_class(data, "validation")]
    assert data.notes[-1] == f"validation: no images of 2 of 3 classes: {', '.join(missing)}"


def test_max_samples_never_takes_more_than_the_fraction_from_train(make_folder):
    data = load(make_folder(20), max_samples={"validation": 3, "test": 500})
    assert sizes(data) == {"train": 51, "validation": 3, "test": 6}


def test_too_few_images_to_hold_any_out(make_folder):
    with pytest.raises(InputError, match=r"data.validation_split: none is there, and 3 images of 3 classes in train"):
        load(make_folder(1))


def test_slices(make_folder):
    data = load(
        make_folder(10),
        train_split="train[:5]+train[10:26]",
        validation_split="train[-2:]",
        test_split="train[20%:30%]",
    )
    assert data.splits["train"]["row"][:] == [*range(5), *range(10, 26)]
    assert data.splits["validation"]["row"][:] == [28, 29]
    assert data.splits["test"]["row"][:] == [6, 7, 8]


def test_slices_that_share_rows(make_folder):
    with pytest.raises(InputError, match=r"data.validation_split: train\[80%:\] shares rows with train\[:85%\]"):
        load(make_folder(10), train_split="train[:85%]", validation_split="train[80%:]")


def encoded(name: str, number: int) -> dict:
    return {"bytes": (make_image(name, number, (8, 6))._repr_png_()), "path": None}


def rows(labels: list, order: list[str] | None = None) -> Dataset:
    """Images of the colours that the labels number, in the given order; blue for a missing one."""
    feature = ClassLabel(names=order) if order else datasets.Value("int64")
    names = order or NAMES
    images = [encoded(names[n] if n is not None and n >= 0 else "blue", i) for i, n in enumerate(labels)]
    return Dataset.from_dict(
        {"image": images, "label": labels}, features=Features({"image": Image(), "label": feature})
    )


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
        with pytest.raises(InputError, match=rf"data: 1 of 3 rows of {split} of .* have no label \(first: row"):
            load(path)


def test_classes_without_images_are_noted(tmp_path):
    data = load(save(tmp_path, train=rows([0, 1] * 5, NAMES)))
    assert data.labels == NAMES
    assert "train: no images of 1 of 3 classes: red" in data.notes


def test_a_single_class_is_no_classification(make_folder):
    with pytest.raises(InputError, match=r"data: train has images of one class only, 'red'; a classifier needs two"):
        load(make_folder(5, classes=["red"]))


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
