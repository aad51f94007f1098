import pytest

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import as_run, load_recipe

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
        ("data.storage_options.secret=x", ["data.storage_options: unknown key", "come from the environment"]),
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
