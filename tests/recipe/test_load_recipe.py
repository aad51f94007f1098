import json
from importlib import metadata
from pathlib import Path

import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import as_run, load_recipe
from hf_imgcls.recipe.schema import json_schema

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.json"))
RECIPES = [path for path in RECIPES if path.name != "recipe.schema.json"]
SMALL = {"data": {"path": "photos"}, "model": {"checkpoint": "some/model"}, "training": {"output_dir": "runs/x"}}


def refusal(*overrides: str, recipe=SMALL) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(recipe, overrides)
    line = str(caught.value)
    assert "\n" not in line
    assert "Input" not in line, "a sentence of pydantic"
    return line


def test_overrides_apply_and_the_source_stays_as_it_was():
    recipe = load_recipe(SMALL, ["training.learning_rate=1e-4", "data.max_samples.train=10", "training.bf16=False"])
    assert recipe.training.learning_rate == 1e-4
    assert recipe.data.max_samples.train == 10
    assert as_run(recipe)["training"] == {"output_dir": "runs/x", "learning_rate": 1e-4, "bf16": False}
    assert "max_samples" not in SMALL["data"]


def test_a_number_is_a_string_where_the_key_is_a_string():
    assert load_recipe(SMALL, ["data.path=2024"]).data.path == "2024"


def test_an_override_reaches_into_a_list():
    recipe = {**SMALL, "augmentation": {"train": [{"RandomResizedCrop": {"size": 64}}]}}
    assert "not an index of a list of 1" in refusal("augmentation.train.3=x", recipe=recipe)
    changed = load_recipe(recipe, ["augmentation.train.0.RandomResizedCrop.size=160"])
    assert changed.augmentation.train == [{"RandomResizedCrop": {"size": 160}}]


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("training.learning_rat=1", ["training.learning_rat", "unknown key", '"learning_rate"']),
        ("learning_rate=1", ["learning_rate", '"learning_rate" belongs in "training"']),
        ("training.learning_rate=abc", ["training.learning_rate", '"abc" (a string)', "a number"]),
        ('training.num_train_epochs="3"', ["training.num_train_epochs", '"3" (a string)', "a number"]),
        ("training.learning_rate=-1", ["training.learning_rate", "-1", "a number of at least 0"]),
        ("training.per_device_train_batch_size=0", ["per_device_train_batch_size", "0"]),
        ("training.per_device_train_batch_size=1.5", ["per_device_train_batch_size", "1.5", "expected an integer"]),
        ("training.bf16=1", ["training.bf16", "1 (a number)", "boolean"]),
        ("training.lr_scheduler_type=cosin", ["lr_scheduler_type", '"cosin"', 'did you mean "cosine"']),
        ("training.optim=adam", ["training.optim", '"adam"', '"adamw_torch"']),
        ("training.fp16=true training.bf16=true", ["fp16", "bf16"]),
        ("training.eval_strategy=steps training.load_best_model_at_end=true", ["eval_strategy", "steps and epoch"]),
        ("training.remove_unused_columns=true", ["remove_unused_columns", "must be false"]),
        ("training.hub_token=hf_abc", ["training.hub_token", "HF_TOKEN"]),
        ("data.validation_fraction=1.5", ["data.validation_fraction", "1.5", "less than 1"]),
        ('stages=[{"trian":"head"}]', ["stages.0.trian: unknown key", '"train"']),
        ('stages=[{"train":"heads"}]', ["stages.0.train", '"heads"', 'did you mean "head"']),
        ('stages=[{"train":{"last_blocks":0}}]', ["stages.0.train.last_blocks: found 0", "greater than 0"]),
        ('stages=[{"train":{"last_block":2}}]', ["stages.0.train.last_block", '"last_blocks"']),
        ('stages=[{"train":[3]}]', ["stages.0.train.0: found 3", "a string"]),
        ('stages=[{"training":{"learning_rat":2}}]', ["stages.0.training.learning_rat", '"learning_rate"']),
        ('stages=[{"training":{"output_dir":"x"}}]', ["stages.0.training.output_dir", 'belongs in "training"']),
        ('stages=[{"training":{"bf16":true}}]', ["stages.0.training.bf16", 'belongs in "training"']),
        ('stages=[{"cache_features":true}]', ["stages.0.cache_features", '"train": "head"']),
        (
            'stages=[{"train":"head","cache_features":true}] augmentation.mix=["MixUp"]',
            ["stages.0.cache_features", "mix"],
        ),
        ('stages=[{"only_if_better":true}]', ["stages.0.only_if_better", "no stage before"]),
        (
            'stages=[{"train":"head","cache_features":true,"logistic_regression":true,"averaging":{"ema_decay":0.9}}]',
            ["stages.0.logistic_regression", 'give the stage an "averaging" of its own: {}'],
        ),
        ("averaging.ema_decay=1", ["averaging.ema_decay", "less than 1"]),
        ('stages=[{"logistic_regression":true}]', ["stages.0.logistic_regression", '"cache_features": true']),
        ('stages=[{"early_stopping":{"patience":0}}]', ["stages.0.early_stopping.patience: found 0"]),
        ('stages=[{"early_stopping":{}}] training.eval_strategy=no', ["stages.0.early_stopping", "evaluation"]),
        ("loss.focal_gamma=0", ["loss.focal_gamma: found 0", "greater than 0"]),
        ("sampling.balance=2", ["sampling.balance", "at most 1"]),
        ("data.long_tail=1", ["data.long_tail: found 1", "greater than 1"]),
        ("loss.class_weights=balance", ["loss.class_weights", 'did you mean "balanced"']),
        ('loss.class_weights={"cat":-1}', ["loss.class_weights.cat: found -1", "1e-06"]),
        (
            'model.processor={"resize":"fit"}',
            ['model.processor.resize: found "fit" (a string), expected "squash", "crop" or "pad"'],
        ),
        ('model.head={"dropout":1.0}', ["model.head.dropout: found 1", "less than 1"]),
        ('augmentation.train=[{"ColorJitter":3}]', ["augmentation.train.0.ColorJitter: found 3", "a section"]),
        ("data.bad_images=dropp", ["data.bad_images", '"dropp"', 'did you mean "drop"']),
        ("data.max_samples=10", ["data.max_samples", "10", "a section"]),
        ("data.samples_per_class.train=0", ["data.samples_per_class.train", "0"]),
        ("data.streaming=true", ["training.max_steps: missing"]),
        (
            'data.streaming=true training={"output_dir":"run","max_steps":5,"dataloader_in_order":false}',
            ["training.dataloader_in_order: false cannot be combined with data.streaming"],
        ),
        ("model.architecture=resnet", ["model", "exactly one of checkpoint and architecture"]),
        ("model.image_size=big", ["model.image_size", '"big"']),
        ("augmentation.train.0=Flip", ["augmentation.train", "a list"]),
        ("training", ["'training'", "section.key=value"]),
        ("training.seed=4294967296", ["training.seed", "expected a number of at most 4294967295"]),
        ("training.num_train_epochs=0", ["found 0 (a number), expected a number greater than 0"]),
        ('data.path=""', ['data.path: found "" (a string), expected a string that is not empty']),
        ("data.label_names=cat", ["expected a list"]),
        ("data.cache_size=big", ["data.cache_size", "expected an integer"]),
        (
            'model={"architecture":"vit","from_scratch":true,"processor":{"image_mean":[1]}}',
            ["model.processor.image_mean: found a list, expected a list of at least 3"],
        ),
        (
            'model={"architecture":"vit","from_scratch":true,"processor":{"image_std":[1,2,3,4]}}',
            ["model.processor.image_std: found a list, expected a list of 3"],
        ),
        ("data.path.x=1", ["data.path", "value, not a section"]),
    ],
)
def test_an_error_is_one_line_with_key_value_and_expectation(override, parts):
    line = refusal(*override.split(" ", 1 if override.count("=") > 1 else 0))
    assert all(part in line for part in parts), line


def test_the_token_in_a_refused_recipe_is_not_shown():
    assert "hf_secret" not in refusal("training.hub_token=hf_secret")


def test_missing_sections_are_named():
    assert "model: missing" in refusal(recipe={"data": {"path": "photos"}})
    assert "training.output_dir: missing" in refusal(recipe={**SMALL, "training": {}})


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
