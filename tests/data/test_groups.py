"""Groups of images (a patient, a site) that no hold-out splits, and those that the source's own splits share."""

import numpy as np
import pytest

from hf_imgcls.data.partition import fold_of_rows, hold_out_groups


def made(seed: int, rows: int = 600, groups: int = 60, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of very different sizes; half of the groups lean to a class of their own."""
    random = np.random.default_rng(seed)
    group = (random.random(rows) ** 1.3 * groups).astype(int)
    labels = np.where(random.random(rows) < 0.5, group % classes, random.integers(0, classes, rows))
    return labels, group


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_whole_groups_are_held_out_near_the_fraction_of_every_class(fraction, seed):
    labels, groups = made(seed)
    wanted = np.bincount(labels) * fraction
    rows = hold_out_groups(labels, groups, wanted, seed)
    left = np.setdiff1d(np.arange(len(labels)), rows)
    assert not set(groups[rows]) & set(groups[left])
    assert np.abs(np.bincount(labels[rows], minlength=3) - wanted).max() <= 6
    assert (rows == hold_out_groups(labels, groups, wanted, seed)).all()
    assert not np.array_equal(rows, hold_out_groups(labels, groups, wanted, seed + 7))


@pytest.mark.parametrize(
    ("labels", "groups", "wanted", "held"),
    [
        ([0, 1] * 6, [0] * 4 + [1] * 4 + [2] * 4, [1, 1], 4),  # larger than wanted, all of them: one is held out
        ([0, 1] * 50 + [0, 1], [0] * 100 + [1] * 2, [10, 10], 2),  # one group has nearly everything
        ([0] * 5 + [1] * 5, [0] * 5 + [1] * 5, [1, 1], 0),  # a group is all of a class
        ([0] * 6 + [1] * 4, [0, 0, 1, 1, 2, 2] + [3] * 4, [1, 1], 2),  # of one class only one has several groups
        ([0, 1], [0, 0], [1, 1], 0),
    ],
)
def test_few_groups(labels, groups, wanted, held):
    labels, groups = np.array(labels), np.array(groups)
    rows = hold_out_groups(labels, groups, np.array(wanted), 0)
    assert len(rows) == held
    left = np.delete(labels, rows)
    assert set(left) == set(labels)


def test_so_many_of_each_class_and_no_fewer():
    labels, groups = made(0)
    rows = hold_out_groups(labels, groups, np.full(3, 25), 0, at_least=True)
    assert np.bincount(labels[rows]).min() >= 25
    assert len(rows) < 120


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("folds", [2, 5])
def test_folds_are_stratified_and_keep_groups_together(folds, grouped):
    labels, groups = made(3)
    fold = fold_of_rows(labels, groups if grouped else None, folds, 1)
    assert set(fold) == set(range(folds))
    counts = np.array([np.bincount(labels[fold == k], minlength=3) for k in range(folds)])
    if grouped:
        assert all(len(set(fold[groups == g])) == 1 for g in set(groups))
        assert (counts.max(0) - counts.min(0)).max() <= 8
    else:
        assert (counts.max(0) - counts.min(0)).max() <= 1
        assert np.ptp(counts.sum(1)) <= 1
    assert (fold == fold_of_rows(labels, groups if grouped else None, folds, 1)).all()


def test_a_class_of_one_image_or_group_is_held_out_by_no_fold():
    assert fold_of_rows(np.array([0, 0, 0, 0, 1]), None, 2, 0)[4] == -1
    labels, groups = np.array([0] * 8 + [1] * 4), np.array([0, 0, 1, 1, 2, 2, 3, 3] + [4] * 4)
    fold = fold_of_rows(labels, groups, 2, 0)
    assert set(fold[8:]) == {-1}
    assert sorted(np.bincount(fold[:8])) == [4, 4]
    two = fold_of_rows(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 3]), 2, 0)
    assert len({*two[:2]}) == len({*two[2:]}) == 2, "a fold that has all groups of a class"
