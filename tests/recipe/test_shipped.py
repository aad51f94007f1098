"""The recipes that come with the package."""

import json

import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.recipe import json_schema, load_recipe
from hf_imgcls.recipe.shipped import copy_recipe, describe_recipes, shipped_recipes


def test_every_shipped_recipe_is_listed_with_its_description():
    lines = describe_recipes()
    assert len(lines) == len(shipped_recipes()) > 10
    assert "digits_resnet                    A small ResNet from scratch on handwritten digits" in lines


def test_a_copy_comes_with_its_data_and_the_schema(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    output = tmp_path / "mine" / "digits.json"
    written = copy_recipe("digits_resnet", output.relative_to(tmp_path))
    assert [path.name for path in written] == ["digits.json", "digits", "recipe.schema.json"]
    recipe = load_recipe(output)
    assert recipe.data.path == "mine/digits"
    assert (tmp_path / recipe.data.path / "train.parquet").is_file()
    assert json.loads((output.parent / recipe.schema_).read_text()) == json.loads(json.dumps(json_schema()))


def test_what_was_there_stays(tmp_path):
    (tmp_path / "recipe.schema.json").write_text("mine")
    assert copy_recipe("mnist_convnet", tmp_path / "a.json") == [tmp_path / "a.json"]
    assert (tmp_path / "recipe.schema.json").read_text() == "mine"
    with pytest.raises(InputError, match="exists already; --output"):
        copy_recipe("mnist_convnet", tmp_path / "a.json")


def test_an_unknown_name_names_the_nearest(tmp_path):
    with pytest.raises(InputError, match='did you mean "mnist_convnet"'):
        copy_recipe("mnist_convne", tmp_path / "a.json")
