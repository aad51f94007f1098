"""Recipes as files: what is no recipe, those that are shipped, and their schema."""

import json
from importlib import metadata
from pathlib import Path

import pytest
from test_load_recipe import SMALL, refusal

from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.recipe.schema import json_schema

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.json"))
RECIPES = [path for path in RECIPES if path.name != "recipe.schema.json"]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{", "not JSON: "),
        ("[1]", "found a list"),
        ('{"data": 1, "data": 2}', 'duplicate key "data"'),
        ("{'data': 1}", "line 1, column 2"),
    ],
)
def test_a_file_that_is_not_a_recipe(tmp_path, text, part):
    file = tmp_path / "r.json"
    file.write_text(text)
    line = refusal(recipe=file)
    assert part in line
    assert str(file) in line


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "food.json").write_text("{}")
    assert 'did you mean "food.json"?' in refusal(recipe=tmp_path / "fod.json")
    assert "a folder" in refusal(recipe=tmp_path)
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in refusal(recipe=tmp_path / "bytes.json")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_shipped_recipe_has_a_description(path):
    recipe = load_recipe(path)
    assert recipe.description
    assert recipe.training.output_dir == f"runs/{path.stem}"
    assert recipe.schema_ == "recipe.schema.json"


def test_the_schema_is_current():
    schema = json.loads((RECIPES[0].parent / "recipe.schema.json").read_text())
    described = schema["$comment"]
    installed = f"transformers {metadata.version('transformers')}, torchvision {metadata.version('torchvision')}"
    if described != installed:
        pytest.skip(f"the schema describes {described}, installed is {installed}: `make schema` renews it")
    assert schema == json.loads(json.dumps(json_schema())), "run `make schema`"


def test_the_schema_has_the_keys_and_types_of_a_recipe():
    schema = json_schema()
    training = schema["$defs"]["TrainingSection"]
    assert training["additionalProperties"] is False
    assert training["properties"]["learning_rate"]["type"] == "number"
    assert "cosine" in json.dumps(schema)
    assert "hub_token" not in training["properties"]


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["training.metric_for_best_model=loss"], "training.metric_for_best_model"),
        (["training.load_best_model_at_end=true"], "training.load_best_model_at_end"),
        (["training.eval_strategy=steps", "training.eval_steps=5"], "training.eval_strategy"),
        (["training.save_strategy=best"], "training.save_strategy"),
        (["training.eval_on_start=true"], "training.eval_on_start"),
        (["training.lr_scheduler_type=reduce_lr_on_plateau"], "training.lr_scheduler_type"),
        (['stages=[{"early_stopping": {}}]'], "stages.0.early_stopping"),
        (['stages=[{}, {"training": {"load_best_model_at_end": true}}]'], "stages.1.training.load_best_model_at_end"),
    ],
)
def test_what_needs_an_evaluation_is_refused_where_nothing_is_held_out(overrides, key):
    line = refusal("data.validation_fraction=0", *overrides)
    assert line.startswith(f"recipe: {key}: needs a validation split, but data.validation_fraction is 0")
    load_recipe(SMALL, overrides)
    load_recipe(SMALL, ["data.validation_fraction=0", "data.validation_split=dev", *overrides])


def test_holding_nothing_out_is_a_fraction_of_zero():
    assert load_recipe(SMALL, ["data.validation_fraction=0", "training.eval_strategy=no"]).data.validation_fraction == 0
    assert "data.validation_fraction: " in refusal("data.validation_fraction=-0.1")
