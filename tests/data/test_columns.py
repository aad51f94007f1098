"""Which column is what, and what the labels are called."""

import datasets
import pytest
from datasets import ClassLabel, Dataset, Features, Image, Value

from hf_imgcls.data.columns import encode_labels, find_columns, label_namer, label_values, name_labels
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection

TEXT, WHOLE, NUMBER = Value("string"), Value("int64"), Value("float64")
NAMES = ClassLabel(names=["cat", "dog"])
ENCODED = {"bytes": Value("binary"), "path": TEXT}


def find(columns: dict, paths=(), **keys):
    return find_columns(Features(columns), DataSection(path="photos", **keys), "photos", lambda name: name in paths)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"image": Image(), "label": NAMES}, ("image", "label")),
        ({"id": WHOLE, "img": Image(), "fine": NAMES, "note": TEXT}, ("img", "fine")),
        ({"pixels": ENCODED, "labels": WHOLE, "width": WHOLE}, ("pixels", "labels")),
        ({"data": Value("binary"), "y": Value("uint8")}, ("data", "y")),
        ({"where": TEXT, "species": TEXT}, ("where", "species")),
        ({"jpg": Image(), "cls": WHOLE, "__key__": TEXT, "__url__": TEXT}, ("jpg", "cls")),
        ({"image": Image(), "mask": Image(), "Label": Value("bool")}, ("image", "Label")),
        ({"image": Image(), "label": NUMBER, "price": NUMBER}, ("image", "label")),
        ({"image": Image(), "label": Value("large_string")}, ("image", "label")),
    ],
)
def test_columns_are_found_by_their_type(columns, found):
    assert find(columns, paths={"where"}) == found


def test_columns_that_the_recipe_names_are_taken():
    columns = {"left": Image(), "right": Image(), "fine": NAMES, "coarse": NAMES}
    assert find(columns, image_column="right", label_column="coarse") == ("right", "coarse")
    assert find({"image": Image(), "a": TEXT, "stars": NUMBER}, label_column="stars") == ("image", "stars")


@pytest.mark.parametrize(
    ("columns", "keys", "line"),
    [
        (
            {"image": Image(), "fine_label": NAMES, "coarse_label": NAMES},
            {},
            "data.label_column: photos has several candidates, fine_label, coarse_label; "
            "it has image: Image, fine_label: ClassLabel(2), coarse_label: ClassLabel(2)",
        ),
        (
            {"left": Image(), "right": Image(), "label": NAMES},
            {},
            "data.image_column: photos has several candidates, left, right; "
            "it has left: Image, right: Image, label: ClassLabel(2)",
        ),
        (
            {"image": Image(), "label": NAMES},
            {"label_column": "lable"},
            "data.label_column: photos has no column 'lable', it has image: Image, label: ClassLabel(2); "
            'did you mean "label"?',
        ),
        (
            {"name": TEXT, "label": TEXT},
            {},
            "data.image_column: no column of photos holds images, or paths, relative to it, of files that exist; "
            "it has name: string, label: string",
        ),
        ({"image": Image(), "price": NUMBER}, {}, "data.label_column: photos has no column of labels; "),
        ({"image": Image()}, {"label_column": "image"}, "'image' of photos holds no single label a row; "),
        ({"image": Image(), "tags": datasets.List(WHOLE)}, {"label_column": "tags"}, "it has image: Image, tags: List"),
        (
            {"id": WHOLE, "label": NAMES},
            {"image_column": "id"},
            "data.image_column: 'id' of photos holds no images; it has id: int64, label: ClassLabel(2)",
        ),
    ],
)
def test_doubtful_columns_are_listed(columns, keys, line):
    with pytest.raises(InputError) as caught:
        find(columns, **keys)
    assert line in str(caught.value)


@pytest.mark.parametrize(
    ("feature", "given", "values", "named"),
    [
        (NAMES, None, [1, 0, -1, None], ["dog", "cat", None, None]),
        (NAMES, ["dog", "cat"], [1, 0], ["dog", "cat"]),
        (NAMES, ["dog", "cat", "fox"], [1, 0], ["dog", "cat"]),
        (ClassLabel(names=["0", "1"]), ["cat", "dog"], [1, 0, -1], ["dog", "cat", None]),
        (WHOLE, None, [10, 2, -1, None], ["10", "2", None, None]),
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
    assert label_values(rows([1, 0], NAMES)) == ["dog", "cat"]


def test_names_become_ids():
    assert encode_labels(["dog", None, "cat"], ["cat", "dog"], "test", "train") == [1, -1, 0]


def test_an_unknown_label_is_named_with_the_nearest():
    with pytest.raises(InputError) as caught:
        encode_labels(["cat", "catt", "catt", "zebra"], ["cat", "dog"], "validation", "train")
    assert str(caught.value) == (
        "data: validation has the label 'catt' (2 images) and 1 more label, not among the 2 of train: cat, dog; "
        'did you mean "cat"?'
    )
