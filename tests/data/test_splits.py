"""Which rows belong to which split."""

import pytest

from hf_imgcls.data.splits import (
    choose_splits,
    read_spans,
    role_of,
    scored_split,
    split_names,
)
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection

ROLES = ("train", "validation", "test")


def section(**keys) -> DataSection:
    return DataSection(path="photos", **keys)


@pytest.mark.parametrize(
    ("available", "keys", "chosen"),
    [
        (["train", "validation", "test"], {}, ("train", "validation", "test")),
        (["testing", "training", "val"], {}, ("training", "val", "testing")),
        (["train", "test"], {}, ("train", None, "test")),
        (["full"], {}, ("full", None, None)),
        (["train", "test"], {"validation_split": "test"}, ("train", "test", None)),
        (["train", "test"], {"train_split": "train[:80%]"}, ("train[:80%]", None, "test")),
        (["train", "test"], {"train_split": "train+test"}, ("train+test", None, None)),
        (["test"], {"train_split": "test"}, ("test", None, None)),
        (["train", "dev", "extra"], {"test_split": "extra[:5]"}, ("train", "dev", "extra[:5]")),
        (["train", "test"], {"validation_split": "train[80%:]"}, ("train", "train[80%:]", "test")),
        (["train", "validation", "test"], {"validation_split": False}, ("train", None, "test")),
        (["train", "validation", "test"], {"test_split": False}, ("train", "validation", None)),
    ],
)
def test_splits_are_chosen(available, keys, chosen):
    assert choose_splits(available, section(**keys)) == dict(zip(ROLES, chosen, strict=True))


@pytest.mark.parametrize(
    ("available", "keys", "line"),
    [
        (
            ["train", "test"],
            {"validation_split": "valid"},
            "data.validation_split: photos has no split 'valid', it has train, test",
        ),
        (["train"], {"train_split": "trian[:5]"}, "has no split 'trian', it has train; did you mean \"train\"?"),
        (["a", "b"], {}, "data.train_split: photos has the splits a, b; name the one to train on"),
        (["test"], {}, "data.train_split: photos has only the split test; name the one to train on"),
    ],
)
def test_splits_that_are_not_there(available, keys, line):
    with pytest.raises(InputError) as caught:
        choose_splits(available, section(**keys))
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("available", "named", "chosen", "why"),
    [
        (["train", "validation", "test"], None, "test", "by default, since none was named"),
        (["train", "val"], None, "val", "by default, since none was named"),
        (["train"], None, "train", "the only split"),
        (["test"], None, "test", "the only split"),
        (["train", "test"], "train[:10]", "train[:10]", "named"),
    ],
)
def test_the_split_to_score_and_why(available, named, chosen, why):
    split, reason = scored_split(available, section(), named)
    assert (split, reason.partition(";")[0]) == (chosen, why)


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        ({"test_split": "extra[:50%]"}, "extra[:50%]"),
        ({"test_split": False}, "validation"),
        ({"test_split": False, "validation_split": "extra"}, "extra"),
    ],
)
def test_the_split_to_score_is_the_recipes(keys, chosen):
    assert scored_split(["train", "validation", "test", "extra"], section(**keys), None)[0] == chosen


@pytest.mark.parametrize(
    ("instruction", "keys", "role"),
    [
        ("test[:100%]", {}, "test"),
        ("val", {}, "validation"),
        ("dev[:3]+validation[5:]", {}, "validation"),
        ("train+test", {}, None),
        ("extra", {}, None),
        ("extra[:5]", {"test_split": "extra[:5]"}, "test"),
    ],
)
def test_the_role_of_a_slice(instruction, keys, role):
    assert role_of(instruction, section(**keys)) == role


def test_no_split_to_score():
    with pytest.raises(InputError, match=r"split: photos has no split 'tset', it has train, test; did you mean"):
        scored_split(["train", "test"], section(), "tset")
    with pytest.raises(InputError, match="has the splits a, b; say which to score"):
        scored_split(["a", "b"], section(), None)


@pytest.mark.parametrize(
    ("instruction", "spans"),
    [
        ("train", [("train", 0, 100)]),
        ("train[:30]", [("train", 0, 30)]),
        ("train[:5000]", [("train", 0, 100)]),
        ("train[-10:]", [("train", 90, 100)]),
        ("train[80%:]", [("train", 80, 100)]),
        ("train[10:20]+extra", [("train", 10, 20), ("extra", 0, 7)]),
        ("train[50:10]+extra", [("train", 50, 10), ("extra", 0, 7)]),
    ],
)
def test_slices_are_read(instruction, spans):
    assert read_spans(instruction, {"train": 100, "extra": 7}, "data.train_split") == spans


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        ("train[:abc]", "data.train_split: 'train[:abc]' is no slice such as train[:5000] or train[80%:] ("),
        ("train[::2]", "'train[::2]' is no slice"),
        ("train[:150%]", "'train[:150%]' is no slice"),
        ("train[5000:]", "data.train_split: 'train[5000:]' holds no rows; train has 100 rows"),
        ("train[20:10]", "'train[20:10]' holds no rows"),
        ("train[:0]", "'train[:0]' holds no rows"),
    ],
)
def test_slices_that_cannot_be(instruction, line):
    with pytest.raises(InputError) as caught:
        read_spans(instruction, {"train": 100}, "data.train_split")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_split_names():
    assert split_names("train[:50%] + test") == ["train", "test"]
    assert split_names("") == []
