"""Which column is what, and what the labels are called."""

import datasets
import pytest
from datasets import ClassLabel, Features, Image, Value

from hf_imgcls.data.columns import find_columns
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
        (
            {"image": Image(), "tags": datasets.List(WHOLE)},
            {"label_column": "tags"},
            "'tags' of photos holds a list a row",
        ),
        ({"image": Image(), "tags": datasets.List(TEXT)}, {}, "'tags' of photos holds a list a row, multi-label; "),
        ({"image": Image(), "id": WHOLE, "labels": datasets.LargeList(NAMES)}, {}, "'labels' of photos holds a list"),
        ({"jpg": Image(), "__key__": TEXT}, {}, "no column of labels (cat/1.cls beside cat/1.jpg); unpack it and name"),
        ({"image": Image(), "vector": datasets.List(NUMBER)}, {}, "photos has no column of labels; "),
        ({"photo": TEXT, "mask": TEXT}, {}, "photos has no column of labels; "),
        ({"where": TEXT, "a": TEXT}, {"label_column": "where"}, "'where' of photos is the column of the images; "),
        (
            {"id": WHOLE, "label": NAMES},
            {"image_column": "id"},
            "data.image_column: 'id' of photos holds no images; it has id: int64, label: ClassLabel(2)",
        ),
    ],
)
def test_doubtful_columns_are_listed(columns, keys, line):
    with pytest.raises(InputError) as caught:
        find(columns, paths=("where", "photo", "mask"), **keys)
    assert line in str(caught.value)


def test_of_many_columns_the_first_are_listed():
    many = {"label": WHOLE, **{f"pixel{i}": WHOLE for i in range(784)}, "n" * 500: WHOLE}
    with pytest.raises(InputError, match=r"it has label: int64, pixel0: int64, .* and 781 more; write") as caught:
        find(many)
    assert len(str(caught.value)) < 300
    with pytest.raises(InputError) as caught:
        find({f"{i}" * 200: ClassLabel(names=["a", "b"]) for i in range(9)} | {"image": Image()})
    assert len(str(caught.value)) < 400
