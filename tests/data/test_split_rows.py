"""Which rows of a split are taken: spans, what must not overlap, samples by class and seed; fingerprints."""

from collections import Counter

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features

from hf_imgcls.data.splits import (
    Span,
    check_overlap,
    fingerprint,
    per_class,
    read_spans,
    stratified,
    take_rows,
)
from hf_imgcls.errors import InputError


def test_rows_are_taken_span_by_span():
    splits = {"a": Dataset.from_dict({"x": range(10)}), "b": Dataset.from_dict({"x": range(100, 103)})}
    assert take_rows(splits, [Span("a", 8, 10), Span("b", 0, 1), Span("a", 5, 2)], "k")["x"][:] == [8, 9, 100]


def test_rows_of_splits_that_differ_are_not_joined():
    splits = {
        order: Dataset.from_dict({"label": [0]}, features=Features({"label": ClassLabel(names=list(order))}))
        for order in ("ab", "ba")
    }
    with pytest.raises(InputError, match=r"data.train_split: the splits differ in their columns"):
        take_rows(splits, [Span("ab", 0, 1), Span("ba", 0, 1)], "data.train_split")


@pytest.mark.parametrize(
    ("train", "held"),
    [
        ("train", "train[80%:]"),
        ("train[:81]", "train[80%:]"),
        ("train[:50]+train[60:]", "train[70:75]"),
        ("train+extra", "extra"),
        ("train[10:20]", "train"),
    ],
)
@pytest.mark.parametrize("role", ["validation", "test"])
def test_held_out_rows_must_not_be_trained_on(train, held, role):
    spans = {name: read_spans(spec, {"train": 100, "extra": 7}, "k") for name, spec in (("train", train), (role, held))}
    with pytest.raises(InputError) as caught:
        check_overlap(spans, {"train": train, role: held})
    assert str(caught.value).startswith(f"data.{role}_split: {held} shares rows with {train}, ")


@pytest.mark.parametrize(
    ("validation", "test"),
    [("test", "test"), ("test[:60%]", "test[50%:]"), ("extra+test[-1:]", "test"), ("test[3:4]", "test[:4]")],
)
def test_validation_and_test_must_not_share_rows(validation, test):
    chosen = {"train": "train", "validation": validation, "test": test}
    spans = {role: read_spans(spec, {"train": 100, "test": 10, "extra": 7}, role) for role, spec in chosen.items()}
    with pytest.raises(InputError) as caught:
        check_overlap(spans, chosen)
    assert str(caught.value) == (
        f"data.test_split: {test} shares rows with {validation}, which selects the checkpoint; take slices that do "
        "not meet, such as test[:80%] and test[80%:]"
    )


def test_slices_that_do_not_meet_are_fine():
    chosen = {"train": "train[:80%]+extra", "validation": "train[80%:90%]", "test": "train[90%:]"}
    check_overlap({role: read_spans(spec, {"train": 100, "extra": 7}, "k") for role, spec in chosen.items()}, chosen)


LABELS = np.array([0] * 50 + [1] * 30 + [2] * 15 + [3] * 5)


def test_a_stratified_sample_has_every_class_in_its_share():
    rows = stratified(LABELS, 20, seed=1)
    assert Counter(LABELS[rows].tolist()) == {0: 10, 1: 6, 2: 3, 3: 1}
    assert rows.tolist() == sorted(set(rows.tolist()))


def test_the_largest_remainders_get_what_is_left():
    assert Counter(LABELS[stratified(LABELS, 7, seed=1)].tolist()) == {0: 4, 1: 2, 2: 1}


def test_the_seed_decides_between_equal_remainders():
    labels = np.repeat(np.arange(1000), 2)
    held_out = [set(labels[stratified(labels, 200, seed, keep_one=True)].tolist()) for seed in (1, 1, 2)]
    assert held_out[0] == held_out[1] != held_out[2]
    assert len(held_out[0]) == len(held_out[2]) == 200  # classes, one image of each
    for classes in held_out:  # from all of the names: their mean is 500, its standard deviation 18
        assert 400 < np.mean([*classes]) < 600


def test_without_equal_remainders_a_sample_is_that_of_earlier_versions():
    labels = np.repeat([0, 1, 2], [31, 17, 9])
    assert stratified(labels, 6, seed=42, keep_one=True).tolist() == [7, 16, 30, 33, 40, 55]


def test_equal_remainders_of_classes_of_different_sizes():
    sizes = [5, 15, 25, 35]  # a tenth: 0.5, 1.5, 2.5, 3.5
    labels = np.repeat(range(4), sizes)
    more = {seed: Counter(labels[stratified(labels, 8, seed)].tolist()) for seed in range(20)}
    assert {c for counts in more.values() for c in range(4) if counts[c] > sizes[c] // 10} == {0, 1, 2, 3}


def test_a_sample_depends_on_its_seed_alone():
    assert stratified(LABELS, 20, seed=1).tolist() == stratified(LABELS, 20, seed=1).tolist()
    assert stratified(LABELS, 20, seed=1).tolist() != stratified(LABELS, 20, seed=2).tolist()


@pytest.mark.parametrize("count", [1, 50, 99, 100, 500])
def test_a_sample_is_as_large_as_it_can_be(count):
    assert len(stratified(LABELS, count, seed=0)) == min(count, 100)


def test_what_is_held_out_leaves_one_of_every_class():
    rows = stratified(np.array([0, 0, 0, 1, 2]), 5, seed=0, keep_one=True)
    assert Counter(np.delete([0, 0, 0, 1, 2], rows).tolist()) == {0: 1, 1: 1, 2: 1}


def test_exactly_so_many_of_each_class():
    rows = per_class(LABELS, 5, list("abcd"), seed=3, role="train")
    assert Counter(LABELS[rows].tolist()) == {0: 5, 1: 5, 2: 5, 3: 5}
    with pytest.raises(InputError, match=r"data.samples_per_class.train: 6 requested, but 'd' has only 5"):
        per_class(LABELS, 6, list("abcd"), seed=3, role="train")


def test_a_fingerprint_sees_names_contents_labels_and_order():
    one = fingerprint(["a.png", "b.png"], ["1", "2"], ["cat", "dog"])
    assert one == fingerprint(["a.png", "b.png"], ["1", "2"], ["cat", "dog"])
    others = [
        fingerprint(["b.png", "a.png"], ["2", "1"], ["dog", "cat"]),
        fingerprint(["a.png", "c.png"], ["1", "2"], ["cat", "dog"]),
        fingerprint(["a.png", "b.png"], ["1", "3"], ["cat", "dog"]),
        fingerprint(["a.png", "b.png"], ["1", "2"], ["cat", "cat"]),
        fingerprint(["a.png"], ["1"], ["cat"]),
    ]
    assert len({one, *others}) == 6
