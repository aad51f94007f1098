"""A training split thinned to a long tail."""

import numpy as np
import pytest

from hf_imgcls.data import load_data
from hf_imgcls.data.long_tail import long_tail
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import DataSection

NAMES = ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("sizes", "ratio", "counts"),
    [
        ([100, 100, 100, 100, 100], 16, [100, 50, 25, 12, 6]),  # Cui and others: n * ratio^(-i / (k - 1))
        ([30, 400, 100, 100, 90], 16, [6, 100, 50, 25, 12]),  # the largest first; the second one bounds n at 200
    ],
)
def test_class_sizes_fall_exponentially(sizes, ratio, counts):
    labels = np.repeat(range(5), sizes)
    rows = long_tail(labels, ratio, seed=1)
    found = np.bincount(labels[rows])
    if len(set(sizes)) == 1:
        assert sorted(found, reverse=True) == counts
        others = np.bincount(labels[long_tail(labels, ratio, seed=2)])
        assert found.tolist() != others.tolist(), "which of equal classes are rare is drawn"
    else:
        assert found.argsort().tolist() == np.argsort(sizes, kind="stable").tolist()
    assert found.max() / found.min() == pytest.approx(ratio, rel=0.1)
    assert (long_tail(labels, ratio, seed=1) == rows).all()
    assert (np.diff(rows) > 0).all()


def test_a_tail_that_no_image_would_be_left_of_is_refused():
    with pytest.raises(InputError, match=r"data\.long_tail: 50 to 1 needs 50 images of the largest class, of which"):
        long_tail(np.repeat([0, 1], [30, 30]), 50, seed=0)


def test_train_alone_is_thinned_and_says_so(make_folder):
    folder = make_folder(train=16, validation=3, test=3)
    data = load_data(DataSection(path=str(folder), long_tail=16))
    counts = data.describe_splits()["per_class"]
    assert sorted(counts["train"].values()) == [1, 4, 16]
    assert set(counts["validation"].values()) == set(counts["test"].values()) == {3}
    assert any("train: thinned to a long tail of 16 to 1: 21 images, 16 of " in note for note in data.notes)
    held_out = load_data(DataSection(path=str(folder / "train"), validation_fraction=0.25, long_tail=4))
    counts = held_out.describe_splits()["per_class"]
    assert set(counts["validation"].values()) == {4}, "held out of all of train"
    assert sorted(counts["train"].values()) == [3, 6, 12]
    folds = load_data(DataSection(path=str(folder), long_tail=8, folds=2, validation_split=False))
    counts = folds.describe_splits()["per_class"]
    both = [counts["train"][name] + counts["validation"][name] for name in counts["train"]]
    assert sorted(both) == [2, 6, 16]
    assert any("long tail" in note for note in folds.notes)


def test_a_stream_is_not_thinned(make_folder):
    with pytest.raises(InputError, match=r"data\.long_tail: needs the whole dataset"):
        load_data(DataSection(path=str(make_folder(2)), streaming=True, label_names=NAMES[:3], long_tail=2))
