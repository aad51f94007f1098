"""Which file a value of a table names."""

import pytest

from hf_imgcls.data.paths import Paths
from hf_imgcls.data.sources import open_source
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import DataSection

FILES = ("1.jpg", "photos/2.PNG", "photos/2.txt", "photos/3.jpg", "photos/3.png", "photos/4.jpg.png", "photos/v1.5.jpg")


def put(root) -> None:
    (root / "photos").mkdir()
    for name in FILES:
        (root / name).write_bytes(b"")


@pytest.mark.parametrize(
    ("value", "exact", "near"),
    [
        ("1.jpg", "1.jpg", "1.jpg"),
        ("photos\\3.jpg", "photos/3.jpg", "photos/3.jpg"),
        (".\\photos\\3.jpg", "./photos/3.jpg", "./photos/3.jpg"),
        ("1", None, "1.jpg"),
        ("photos/2", None, "photos/2.PNG"),
        ("photos\\2", None, "photos/2.PNG"),
        ("photos/v1.5", None, "photos/v1.5.jpg"),
        ("photos/3", None, None),  # two images
        ("photos/4.jpg", None, None),  # it has an ending: another file is not meant
        ("C:\\photos\\3.jpg", None, None),
        ("nowhere/1", None, None),
        ("null\0", None, None),
        ("", None, None),
    ],
)
def test_values_and_the_files_they_name(tmp_path, value, exact, near):
    put(tmp_path)
    paths = Paths(tmp_path)
    assert (paths.exact(value), paths.near(value)) == (exact, near)


@pytest.mark.parametrize("values", [("1", "photos/2"), ("1.jpg", "photos\\2.PNG")])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_table_of_paths_as_people_write_them(tmp_path, values, streaming):
    put(tmp_path)
    (tmp_path / "labels.csv").write_text("".join(f"{a},{b}\n" for a, b in zip(("id", *values), "lxy", strict=True)))
    rows = open_source(DataSection(path=str(tmp_path / "labels.csv"), streaming=streaming)).splits["train"]
    assert [row["image"]["path"] for row in rows] == [str(tmp_path / "1.jpg"), str(tmp_path / "photos/2.PNG")]


def test_names_without_endings_are_no_images_where_there_are_paths(tmp_path):
    put(tmp_path)
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,1\nphotos/2.PNG,photos/2\n")
    source = open_source(DataSection(path=str(tmp_path / "labels.csv")))
    assert source.splits["train"]["label"][:] == ["1", "photos/2"]


def test_ids_of_files_that_are_elsewhere(tmp_path):
    put(tmp_path)
    (tmp_path / "labels.csv").write_text("id,label\n2,x\n3,y\n")
    with pytest.raises(InputError, match=r"labels.csv holds .* write the paths into a column, with their endings"):
        open_source(DataSection(path=str(tmp_path / "labels.csv")))
