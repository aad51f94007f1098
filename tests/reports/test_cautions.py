"""What stands beside an accuracy, in the console and in the card."""

import numpy as np
import pytest
from made_run import made_results, outputs, write

from hf_imgcls.data.duplicates import Overlap
from hf_imgcls.data.groups import SharedGroups
from hf_imgcls.data.rows import Data
from hf_imgcls.reports.cautions import collect_cautions, collect_duplicates
from hf_imgcls.reports.groups import collect_groups
from hf_imgcls.reports.results import describe_classes, describe_scores
from hf_imgcls.scoring.metrics import better_than_majority, interval

NAMES = ["cat", "dog"]
# 40 test images, of which the first 10 are in train and all correct; of the other 30 20 are.
ANSWERS = {"test": [(0, 0)] * 10 + [(1, 1)] * 20 + [(1, 0)] * 10, "validation": [(0, 0)] * 20 + [(1, 1)] * 20}
EXAMPLE = {"file": "t/1.png", "label": "cat", "other_file": "t/2.png", "other_label": "dog"}


def leaking_results() -> dict:
    digests = {"train": np.arange(50), "test": np.arange(40, 80), "validation": np.arange(100, 140)}
    overlaps = [
        Overlap("train", "train", 4, 2, [EXAMPLE]),
        Overlap("test", "train", 10, 3, [EXAMPLE]),
        Overlap("test", "test", 2, 2, [EXAMPLE]),
        Overlap("validation", "validation", 5, 0, [EXAMPLE]),
    ]
    data = Data({}, NAMES, overlaps=overlaps, digests=digests)
    results = made_results(NAMES, ANSWERS)
    results["duplicates"] = collect_duplicates(data, {split: outputs(pairs, 2) for split, pairs in ANSWERS.items()})
    results["cautions"] = collect_cautions(results)
    return results


def test_the_accuracy_without_images_of_train_stands_directly_after_the_accuracy():
    results = leaking_results()
    low, high = interval(2 / 3, 30)
    lines = describe_scores(results["scores"], results["cautions"])
    assert lines[0].startswith("test: accuracy 0.7500 (95 % interval")
    assert lines[1:4] == [
        "test: 10 of 40 images are also in train, byte for byte (3 of them under another label); "
        f"accuracy 0.6667 on the other 30 images (95 % interval {low:.4f} to {high:.4f})",
        "test: 2 train images have equal bytes and different labels",
        "test: 2 images have equal bytes and different labels",
    ]
    rest = results["duplicates"][1]["without"]
    assert (rest["images"], rest["accuracy"]) == (30, 0.666667)
    assert [each["without"] for each in results["duplicates"] if each["split"] == each["other"]] == [None] * 3
    assert "validation" not in results["cautions"]


def test_groups_of_train_are_counted_beside_the_accuracy_and_in_the_card(tmp_path):
    of_test = ["p1"] * 10 + ["p2"] * 15 + ["p3"] * 15
    splits = {role: {"group": groups} for role, groups in {"train": ["p0", "p1"], "test": of_test}.items()}
    data = Data(splits, NAMES, group_column="patient", shared_groups=[SharedGroups("test", "train", 10, 1, 3, ["p1"])])
    results = made_results(NAMES, ANSWERS)
    assert collect_groups(Data(splits, NAMES), {}) is None
    results["groups"] = collect_groups(data, {split: outputs(pairs, 2) for split, pairs in ANSWERS.items()})
    results["cautions"] = collect_cautions(results)
    low, high = interval(2 / 3, 30)
    line = (
        "10 of 40 images are of 1 of 3 groups (column 'patient') that is also in train; accuracy 0.6667 on the other "
        f"30 images (95 % interval {low:.4f} to {high:.4f})"
    )
    assert results["cautions"]["test"][0] == line
    assert f"**Test: {line}.**" in write(tmp_path / "run", results)
    whole = {**results["groups"][0], "images": 40, "groups": 3, "without": None}
    assert collect_cautions({**results, "groups": [whole]})["test"][:1] == [
        "all 40 images are of 3 of 3 groups (column 'patient') that are also in train: the accuracy says nothing about "
        "new groups"
    ]


def test_images_that_were_replaced_in_the_run_are_counted_beside_the_accuracy():
    found = collect_cautions(made_results(NAMES, ANSWERS), {"train": ["a.png"], "validation": ["b.png", "c.png"]})
    line = "{} got other bytes while the run went on, which may have used both"
    assert found["test"][0] == line.format("1 train image")
    assert found["validation"][0] == line.format("2 validation images")


def test_the_card_has_it_beside_the_headline_and_among_its_limits(tmp_path):
    text = write(tmp_path / "run", leaking_results())
    headline = text[text.index("Accuracy on 40 test images") :].split("\n\n")
    assert headline[1].startswith("**Test: 10 of 40 images are also in train, byte for byte (3 of them under another")
    assert headline[2] == "**Test: 2 train images have equal bytes and different labels.**"
    assert (
        "- The test accuracy counts 10 images that it was trained on: on new images expect that of the others, 66.7 %."
    ) in text
    assert "images_also_in_train: 10" in text
    assert "t/1.png" not in text, "a name of a training image in what is pushed"


def test_a_split_that_is_in_train_as_a_whole():
    results = made_results(NAMES, {"validation": [(0, 0)] * 9 + [(1, 1)] * 9})
    for other, says in {
        "train": ": the accuracy says nothing about new images",
        "the model's validation split": "",
    }.items():
        overlap = {**Overlap("validation", other, 18, 0, [])._asdict(), "without": None}
        assert collect_cautions({**results, "duplicates": [overlap]}) == {
            "validation": [f"all 18 images are also in {other}, byte for byte{says}"]
        }


@pytest.mark.parametrize(
    ("answers", "line"),
    [
        ([(0, 0)] * 60 + [(1, 0)] * 40, "the model is no better than always predicting the most frequent class, 'cat' "
         "(accuracy 0.6000, 0.6000)"),
        ([(0, 1)] * 60 + [(1, 1)] * 40, "the model is no better than always predicting the most frequent class, 'cat' "
         "(accuracy 0.4000, 0.6000)"),
        ([(0, 0)] * 60 + [(1, 1)] * 5 + [(1, 0)] * 35, "the model is not shown to be better than always predicting the "
         "most frequent class, 'cat': that accuracy, 0.6000, is in the 95 % interval"),
        ([(0, 0)] * 60 + [(1, 1)] * 30 + [(1, 0)] * 10, None),
    ],
    ids=["always cat", "always dog", "too few to tell", "better"],
)  # fmt: skip
def test_a_model_no_better_than_the_most_frequent_class(answers, line, tmp_path):
    results = made_results(NAMES, {"test": answers})
    results["cautions"] = collect_cautions(results)
    assert results["cautions"] == ({"test": [line]} if line else {})
    assert better_than_majority(results["scores"]["test"]) == (line is None)
    text = write(tmp_path / "run", results)
    assert (f"**Test: {line}.**" in text) == bool(line)


def test_the_classes_of_an_evaluation_are_a_table():
    classes = made_results(NAMES, ANSWERS)["breakdown"]["test"]["classes"]
    heading, cat, dog = describe_classes(classes)
    assert heading.startswith("class  images  recall  precision      F1  most often confused with")
    assert dog.split() == ["dog", "30", "0.6667", "1.0000", "0.8000", "cat", "(10)"]
    assert cat.split()[-1] == "-"
    names = [f"class {n}" for n in range(30)]
    many = made_results(names, {"test": [(n, min(n + 20, 29)) for n in range(30)]})["breakdown"]["test"]["classes"]
    lines = describe_classes(many)
    assert len(lines) == 12
    assert lines[-1] == "(the 10 of 30 classes with the lowest recall)"
