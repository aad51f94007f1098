"""What the labels are called, and what is no label."""

import unicodedata

import pytest
from datasets import ClassLabel, Dataset, Features, Value
from test_columns import NAMES, NUMBER, TEXT, WHOLE

from hf_imgcls.data.labels import check_values, encode_labels, label_namer, label_values, name_labels, note_alike
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection


@pytest.mark.parametrize(
    ("feature", "given", "values", "named"),
    [
        (NAMES, None, [1, 0, -1, None], ["dog", "cat", None, None]),
        (NAMES, ["dog", "cat"], [1, 0], ["dog", "cat"]),
        (NAMES, ["dog", "cat", "fox"], [1, 0], ["dog", "cat"]),
        (ClassLabel(names=["0", "1"]), ["cat", "dog"], [1, 0, -1], ["dog", "cat", None]),
        (WHOLE, None, [10, 2, -1, None], ["10", "2", None, None]),
        (TEXT, None, ["고양이", " ", "-1"], ["고양이", None, "-1"]),
        (WHOLE, ["cat", "dog"], [1, 0, -1], ["dog", "cat", None]),
        (NUMBER, None, [1.0, float("nan"), None], ["1", None, None]),
        (NUMBER, ["cat", "dog"], [1.0], ["dog"]),
        (TEXT, ["dog", "cat"], ["cat", None, "0"], ["cat", None, "0"]),
        (Value("bool"), None, [True, False], ["True", "False"]),
    ],
)
def test_labels_become_names(feature, given, values, named):
    assert list(map(label_namer(feature, given), values)) == named


@pytest.mark.parametrize(("value", "line"), [(2, "has 2 names, but there is a label 2"), (0.5, "found the label 0.5")])
def test_labels_that_have_no_name(value, line):
    with pytest.raises(InputError, match=line):
        label_namer(NUMBER, ["cat", "dog"])(value)


def rows(values: list, feature) -> Dataset:
    return Dataset.from_dict({"label": values}, features=Features({"label": feature}))


@pytest.mark.parametrize(
    ("values", "feature", "given", "names"),
    [
        (["dog", "고양이", "Dog", "cat", "dog"], TEXT, None, ["Dog", "cat", "dog", "고양이"]),
        ([10, 9, -1, 2], WHOLE, None, ["2", "9", "10"]),
        ([0, -1, 1], WHOLE, None, ["0", "1"]),
        ([1, -1, None, 1], WHOLE, None, ["-1", "1"]),
        ([-1.0, 1.0, None], NUMBER, None, ["-1", "1"]),
        ([2, -2, -1, 0], WHOLE, None, ["-2", "-1", "0", "2"]),
        (["고양이", unicodedata.normalize("NFD", "고양이")], TEXT, None, ["고양이"]),
        ([10.0, None, 9.0], NUMBER, None, ["9", "10"]),
        (["10", "9"], TEXT, None, ["10", "9"]),
        ([True, False], Value("bool"), None, ["False", "True"]),
        ([1], NAMES, None, ["cat", "dog"]),
        ([1, 0], NAMES, ["dog", "cat"], ["dog", "cat"]),
    ],
)
def test_the_names_of_the_classes_in_order(values, feature, given, names):
    assert name_labels(rows(values, feature), given) == names


def test_a_name_given_twice():
    with pytest.raises(InputError, match=r"data.label_names: 'cat' is given 2 times"):
        name_labels(rows([0], WHOLE), ["cat", "dog", "cat"])


def test_label_values_read_a_column():
    assert label_values(rows([1, 0], NAMES), None, ["cat", "dog"]) == ["dog", "cat"]


def test_minus_one_is_no_label_unless_it_is_a_class():
    assert label_values(rows([1, -1], WHOLE), None, ["0", "1"]) == ["1", None]
    assert label_values(rows([1, -1], WHOLE), None, ["-1", "1"]) == ["1", "-1"]
    with pytest.raises(InputError, match=r"data.label_names: names the labels 0, 1, .* but there are negative ones"):
        name_labels(rows([1, -1], WHOLE), ["1", "-1"])


def several(values: list[str], **keys) -> list[str]:
    section = DataSection(path="photos", **keys)
    return check_values(rows(values * 10, TEXT), 'column "finding" of list.csv', section)


@pytest.mark.parametrize(
    "values",
    [
        ["Edema", "Mass", "Edema|Mass", "Nodule"],
        ["a, b", "b, a"],
        ["cat;dog", "cat", "dog", "fox"],
        ["['cat']", "['cat', 'dog']"],
    ],
)
def test_several_labels_in_one_text_are_refused(values):
    with pytest.raises(InputError, match=r'data.label_column: column "finding" of list.csv .*multi-label') as caught:
        several(values)
    assert len(str(caught.value)) < 400


def test_texts_that_may_be_several_labels_are_noted():
    for values in (["cat|dog", "cat|fox"], ["hot", "dog", "hot dog"], ["Paris, France", "Lyon, France"]):
        assert several(values)[0].startswith('column "finding" of list.csv looks like multi-label ("')
    assert several(["cat", "dog", "cat|dog"], label_names=["cat", "dog", "cat|dog"]) != []
    for values in (["red fox", "arctic fox"], ["tench, Tinca tinca", "drake"], ["a|b", "c"], ["cat", "dog"]):
        assert several(values) == []


@pytest.mark.parametrize("feature", [TEXT, WHOLE, NUMBER])
def test_nearly_as_many_values_as_rows_are_no_labels(feature):
    def check(values: list, **keys) -> list[str]:
        return check_values(rows(values, feature), 'column "x" of y.csv', DataSection(path="photos", **keys))

    made = [str(i) if feature == TEXT else i for i in range(1000)]
    assert check(made[:500] * 2) == check(made[:10]) == check(made[:700] + made[:300], label_column="x") == []
    for values, keys in ((made, {"label_column": "x"}), (made[:700] + made[:300], {})):
        with pytest.raises(InputError, match=r'column "x" of y.csv has (700|1,000) different values in 1,000 rows'):
            check(values, **keys)
    assert check_values(rows(made, feature), "folder names", DataSection(path="photos")) == []


def test_names_that_differ_by_case_or_spaces_are_noted():
    assert note_alike(["cat", "dog"]) == []
    assert note_alike(["Ants", "Bees", "ants ", "Gi raffe", "gi  raffe", "ＣＡＴ", "cat"]) == [
        'classes whose names differ by case, spaces or Unicode form alone: "Ants" and "ants ", '
        '"Gi raffe" and "gi  raffe", "ＣＡＴ" and "cat"'
    ]


def test_names_become_ids():
    assert encode_labels(["dog", None, "cat"], ["cat", "dog"], "test", "train") == [1, -1, 0]


def test_an_unknown_label_is_named_with_the_nearest():
    with pytest.raises(InputError) as caught:
        encode_labels(["cat", "catt", "catt", "zebra"], ["cat", "dog"], "validation", "train")
    assert str(caught.value) == (
        "data: validation has the label 'catt' (2 images) and 1 more label, not among the 2 of train: cat, dog; "
        'did you mean "cat"?'
    )
