"""How images come into splits: held out, sampled, sliced."""

from collections import Counter

import pytest
from loaded_data import NAMES, load, sizes

from hf_imgcls.data.load import load_split
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection


def per_class(data, split: str) -> dict[str, int]:
    return dict(Counter(data.labels[i] for i in data.splits[split]["label"]))


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
    line = (
        r"data.validation_split: none is there, and 3 images of 3 classes in train .* data.validation_fraction=0 does"
    )
    with pytest.raises(InputError, match=line):
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
