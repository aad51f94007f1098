"""Several labels an image: how a column has them, and splits that are stratified by them."""

import csv
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from hf_imgcls.data.iterative import sample_sets, stratify_sets
from hf_imgcls.data.label_arrays import label_texts, read_labels
from hf_imgcls.data.load import find_rows, load_data
from hf_imgcls.data.partition import fold_of_rows, hold_out_groups
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import load_recipe

NAMES = ["blue", "green", "red sea"]
SETS = [[], ["blue"], ["green"], ["red sea"], ["blue", "green"], ["green", "red sea"], ["blue", "red sea"], NAMES] * 3


@pytest.fixture
def photos(tmp_path):
    for number in range(len(SETS)):
        Image.new("RGB", (4, 4)).save(tmp_path / f"{number}.png")
    return tmp_path


def write_csv(photos, heading, rows):
    with (photos / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([heading, *rows])
    return photos / "table.csv"


def section(path, **data):
    sections = {"data": {"path": str(path), "validation_fraction": 0.25, **data}, "training": {"output_dir": "runs"}}
    return load_recipe({**sections, "model": {"checkpoint": "a/b", "multi_label": True}}).data


def sets_of(data):
    found = {}
    for rows in data.splits.values():
        for name, label in zip(rows["name"][:], rows["label"][:], strict=True):
            found[int(name.removesuffix(".png"))] = {data.labels[i] for i in label}
    return [found[i] for i in range(len(found))]


def as_text(separator):
    return lambda labels: separator.join(labels)


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (as_text("|"), None),
        (as_text("; "), None),
        (as_text(","), None),
        (as_text(" "), NAMES),
        (str, None),  # as pandas writes a list
        (lambda labels: str(np.array(labels)), None),
        (lambda labels: str(tuple(labels)) if labels else "", None),
        (lambda labels: str({*labels}) if labels else "[]", None),
    ],
)
def test_labels_of_a_text_are_divided(photos, write, named):
    write = (lambda labels: "_".join(labels).replace("red sea", "red_sea").replace("_", " ")) if named else write
    names = ["blue", "green", "red", "sea"] if named else None
    table = write_csv(photos, ["image", "labels"], [[f"{n}.png", write(each)] for n, each in enumerate(SETS)])
    data = find_rows(section(table, label_names=names))
    expected = [{word for name in each for word in (name.split() if named else [name])} for each in SETS]
    assert sets_of(data) == expected
    assert data.labels == (names or NAMES)


@pytest.mark.parametrize(
    "write",
    [
        str,
        lambda vector: str(np.array(vector)),
        lambda vector: str(np.array(vector, float)),
        lambda vector: str(np.array(vector, bool)),
        lambda vector: " ".join(map(str, vector)),
        lambda vector: "|".join(map(str, vector)),
    ],
)
def test_vectors_as_text_are_no_names(photos, write):
    vectors = [[int(name in each) for name in NAMES] for each in SETS]
    table = write_csv(photos, ["image", "labels"], [[f"{n}.png", write(each)] for n, each in enumerate(vectors)])
    assert sets_of(find_rows(section(table, label_names=NAMES))) == list(map(set, SETS))
    with pytest.raises(InputError, match=r"vectors of 0 and 1; data\.label_names names them"):
        find_rows(section(table))


def test_labels_as_text_do_not_depend_on_the_order_of_their_ids(photos):
    table = write_csv(photos, ["image", "labels"], [[f"{n}.png", "|".join(each)] for n, each in enumerate(SETS)])
    orders = (NAMES, NAMES[::-1])
    one, two = (find_rows(section(table, label_names=names, validation_fraction=0)) for names in orders)
    assert label_texts(one.splits["train"], NAMES) == label_texts(two.splits["train"], NAMES[::-1])


def test_labels_that_are_called_0_and_1_are_names(photos):
    texts = ["0", "1", "0|1", "", "1", "0"]
    data = find_rows(section(write_csv(photos, ["image", "labels"], [[f"{n}.png", t] for n, t in enumerate(texts)])))
    assert data.labels == ["0", "1"]
    assert sets_of(data) == [{*filter(None, text.split("|"))} for text in texts]


@pytest.mark.parametrize(
    ("train", "held_out", "line"),
    [
        ([[1, 1], [0, 1], [0, 0]], [[0, 1], [1, 0]], r"\[0, 1\] and the like: two ids, or a vector"),
        ([[1, 1, 0], [0, 1]], [[0]], "vectors of 0 and 1 of several lengths, 2 and 3"),
        ([None, [1, 1, 1], [0, 1, 0]], [[1, 0, 0]], "1 of 3 rows of train .* have no label"),
    ],
)
def test_vectors_that_may_be_ids_and_those_that_are_damaged_are_refused(photos, train, held_out, line):
    for split, values in {"train": train, "validation": held_out}.items():
        lines = [json.dumps({"image": f"{n}.png", "labels": each}) for n, each in enumerate(values)]
        (photos / f"{split}.jsonl").write_text("\n".join(lines))
    with pytest.raises(InputError, match=line):
        find_rows(section(photos))


@pytest.mark.parametrize("streaming", [False, True])
def test_minus_1_beside_0_is_not_no(photos, streaming):
    rows = [[f"{n}.png", *values] for n, values in enumerate([(1, -1, 0), (1, 1, 0), (1, -1, 0)])]
    data = {"path": str(write_csv(photos, ["image", *NAMES], rows)), "label_names": NAMES, "label_column": NAMES}
    model, training = {"checkpoint": "a/b", "multi_label": True}, {"output_dir": "runs", "max_steps": 1}
    recipe = load_recipe({"data": {**data, "streaming": streaming}, "model": model, "training": training})
    with pytest.raises(InputError, match=r"'green' of .* has -1 in row 0, expected 0 and 1"):
        list(load_data(recipe.data).splits["train"])


@pytest.mark.parametrize("yes_no", [(1, 0), (1, -1), (True, False), (1.0, 0.0)])
def test_columns_of_0_and_1_are_labels_in_their_order(photos, yes_no):
    order = ["red sea", "blue", "green"]
    rows = [[f"{n}.png", *(yes_no[name not in each] for name in order)] for n, each in enumerate(SETS)]
    data = find_rows(section(write_csv(photos, ["image", *order], rows), label_column=order))
    assert data.labels == order
    assert sets_of(data) == list(map(set, SETS))
    rows[3][1] = ""
    with pytest.raises(InputError, match=r"'red sea' of .* in row 3, expected 0 and 1 alone"):
        find_rows(section(write_csv(photos, ["image", *order], rows), label_column=order))


@pytest.mark.parametrize(
    ("write", "named"),
    [
        (lambda each: each, None),
        (lambda each: [NAMES.index(name) for name in each], NAMES),
        (lambda each: [int(name in each) for name in NAMES], NAMES),
        (lambda each: [name in each for name in NAMES], NAMES),
        (lambda each: [float(name in each) for name in NAMES], NAMES),
    ],
)
def test_lists_are_names_or_ids_or_vectors(photos, write, named):
    lines = [json.dumps({"image": f"{n}.png", "labels": write(each)}) for n, each in enumerate(SETS)]
    (photos / "table.jsonl").write_text("\n".join(lines))
    data = find_rows(section(photos / "table.jsonl", label_names=named))
    assert data.labels == NAMES
    assert sets_of(data) == list(map(set, SETS))


@pytest.mark.parametrize(
    ("write", "keys"),
    [
        (as_text("|"), {}),
        (lambda each: each, {}),
        (lambda each: [float(name in each) for name in NAMES], {}),
        (lambda each: str([int(name in each) for name in NAMES]), {}),
        (lambda each: {name: int(name in each) for name in NAMES}, {"label_column": NAMES}),
    ],
)
def test_a_stream_has_the_same_labels(photos, write, keys):
    rows = [{"image": f"{n}.png", "labels": write(each)} for n, each in enumerate(SETS)]
    rows = [{"image": row["image"], **row["labels"]} if "label_column" in keys else row for row in rows]
    (photos / "table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = {"path": str(photos / "table.jsonl"), "streaming": True, "label_names": NAMES, **keys}
    recipe = {"model": {"checkpoint": "a/b", "multi_label": True}, "training": {"output_dir": "r", "max_steps": 1}}
    stream = load_data(load_recipe({"data": data, **recipe}).data)
    found = {Path(row["image"]["path"]).stem: row["label"] for row in stream.splits["train"]}
    found = {int(name): {stream.labels[i] for i in labels} for name, labels in found.items()}
    assert found == dict(enumerate(map(set, SETS)))


@pytest.mark.parametrize(
    ("rows", "keys", "line"),
    [
        ([["0.png", "a|b"], ["1.png", "a|b"]], {}, "all images of train have the same labels"),
        ([["0.png", ""], ["1.png", ""]], {}, "table.csv has no column of labels"),
        ([[f"{n}.png", f"a|b{n}"] for n in range(24)], {}, "too many; it looks like ids"),
        ([["0.png", "a|b"], ["1.png", "c"]], {"label_names": ["a", "b"]}, "has the label 'c' .* not among the 2"),
        ([["0.png", "a"], ["1.png", "b"]], {"label_column": ["labels", "lable"]}, "has no column 'lable'"),
        ([["0.png", '["a", null]'], ["1.png", "b"]], {}, r'found \["a", null\], expected a list of labels'),
        ([["0.png", "['a' ... 'c']"], ["1.png", "b"]], {}, r"found \['a' ... 'c'\], expected a list of labels"),
    ],
)
def test_what_cannot_be_right_is_refused(photos, rows, keys, line):
    table = write_csv(photos, ["image", "labels"], rows)
    with pytest.raises(InputError, match=line):
        find_rows(section(table, validation_fraction=0, **keys))


def test_an_unknown_label_of_validation_is_refused(photos):
    for split, labels in {"train": ["a|b", "a", "b"], "validation": ["a", "a|x", "b"]}.items():
        with (photos / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["image", "labels"], *([f"{n}.png", each] for n, each in enumerate(labels))])
    with pytest.raises(InputError, match=r"validation has the label 'x' .* not among the 2 of train: a, b"):
        find_rows(section(photos))


def made_sets(rows=400, seed=0):
    return np.random.default_rng(seed).random((rows, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.01]


def test_parts_have_their_sizes_and_their_fraction_of_each_label():
    sets = made_sets()
    part = stratify_sets(sets, (80, 320), 1)
    assert np.bincount(part).tolist() == [80, 320]
    assert np.abs(sets[part == 0].sum(0) - 0.2 * sets.sum(0)).max() <= 1
    assert (part == stratify_sets(sets, (80, 320), 1)).all()
    assert (part != stratify_sets(sets, (80, 320), 2)).any()


def test_a_label_of_one_image_stays_in_train():
    sets = np.zeros((10, 2), bool)
    sets[:, 0] = sets[0, 1] = True
    assert not any(0 in sample_sets(sets, 5, seed, keep_one=True) for seed in range(20))


def test_folds_and_groups_of_sets():
    sets = made_sets()
    fold = fold_of_rows(sets, None, 5, 0)
    assert max(np.abs(sets[fold == n].sum(0) - sets.sum(0) / 5).max() for n in range(5)) <= 2
    groups = np.arange(400) // 4
    rows = hold_out_groups(sets, groups, sets.sum(0) * 0.2, 0)
    assert set(groups[rows]).isdisjoint(np.delete(groups, rows))
    assert 60 <= len(rows) <= 100


def test_labels_as_an_array():
    feature = datasets.Features(label=datasets.List(datasets.ClassLabel(names=NAMES)))
    rows = datasets.Dataset.from_dict({"label": [[0, 2], [], [1]]}, features=feature)
    assert read_labels(rows).tolist() == [[True, False, True], [False] * 3, [False, True, False]]
