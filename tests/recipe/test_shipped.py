"""The recipes that come with the package."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hf_imgcls import InputError, train_classifier
from hf_imgcls.recipe import json_schema, load_recipe
from hf_imgcls.recipe.sections import Recipe
from hf_imgcls.recipe.shipped import copy_recipe, describe_recipes, shipped_recipes

EFFECTS = Path(__file__).parents[2] / "docs/effects.md"

# Keras's RMSprop, rho 0.9 and epsilon 1e-7 inside the root, in torch's words; no clipping, a constant rate.
KERAS_RMSPROP = {
    "optim": "rmsprop", "optim_args": "alpha=0.9,eps=3e-4", "learning_rate": 1e-3, "lr_scheduler_type": "constant",
    "max_grad_norm": 0, "per_device_train_batch_size": 32, "metric_for_best_model": "loss",
}  # fmt: skip
CAT_OR_DOG = ["Resize", "RandomHorizontalFlip", {"RandomAffineReflect": {"degrees": 36, "scale": [0.83, 1.25]}}]
GUIDE = {
    "num_train_epochs": 3, "learning_rate": 5e-5, "warmup_steps": 0.1, "per_device_train_batch_size": 16,
    "gradient_accumulation_steps": 4, "metric_for_best_model": "accuracy", "load_best_model_at_end": True,
}  # fmt: skip
# What a recipe's source says: values of its `training`, and others by their path.
SOURCES = {
    "mnist_convnet": (
        {**KERAS_RMSPROP, "num_train_epochs": 5, "per_device_train_batch_size": 64, "metric_for_best_model": None},
        {"data.validation_fraction": 0, "model.config.filters": [32, 64, 128]},
    ),
    "cats_vs_dogs_convnet": (
        {**KERAS_RMSPROP, "num_train_epochs": 30},
        {"model.config.filters": [32, 64, 128, 256, 256], "model.image_size": 180},
    ),
    "cats_vs_dogs_convnet_augmented": (
        {"num_train_epochs": 100, "per_device_train_batch_size": 32},
        {"model.config.dropout": 0.5, "augmentation.train": CAT_OR_DOG},
    ),
    "cats_vs_dogs_features": (
        {**KERAS_RMSPROP, "num_train_epochs": 20},
        {"model.head": {"hidden_size": 256, "activation": "linear", "dropout": 0.5}, "model.image_size": 180},
    ),
    "cats_vs_dogs_frozen_augmented": ({}, {"augmentation.train": CAT_OR_DOG, "model.head.dropout": 0.5}),
    "cats_vs_dogs_unfreeze_top": (
        {},
        {"stages.1.augmentation.train": CAT_OR_DOG, "stages.1.training.learning_rate": 1e-5},
    ),
    "cats_vs_dogs_mini_xception": (
        {"optim": "adamw_torch", "weight_decay": None, "adam_epsilon": 1e-7, "learning_rate": 3e-4, "max_grad_norm": 0,
         "lr_scheduler_type": "constant", "num_train_epochs": 25, "per_device_train_batch_size": 128},
        {"augmentation.train": [*CAT_OR_DOG[:2], {"RandomAffineReflect": {"degrees": 36}}], "model.image_size": 180},
    ),
    "cats_vs_dogs_efficientnet": (
        {"optim": "sgd", "optim_args": None, "learning_rate": 0.01, "lr_scheduler_type": "constant", "max_grad_norm": 0,
         "num_train_epochs": 1, "per_device_train_batch_size": 32},
        {"model.config.model_args": {"drop_path_rate": 0.2}},
    ),
    "caltech101_efficientnet_scratch": (
        {"optim": "sgd", "optim_args": "momentum=0.9", "learning_rate": 0.01, "max_grad_norm": 0, "warmup_steps": 0.1,
         "lr_scheduler_kwargs": {"num_decay_steps": 0.45}, "label_smoothing_factor": 0.1, "num_train_epochs": 100},
        {"model.config.model_args": {"global_pool": "max", "drop_rate": 0.5, "drop_path_rate": 0.2},
         "augmentation.mix": [{"CutMix": {"per_image": True}}, {"MixUp": {"alpha": 0.2, "per_image": True}}],
         "augmentation.train.0": "Resize",
         "augmentation.train.1": {"RandomResizedCrop": {"scale": [0.8, 1.0], "ratio": [0.9, 1.1]}}},
    ),
    "imagenet_resnet50_scratch": (
        {"num_train_epochs": 100, "lr_scheduler_type": "cosine", "warmup_steps": 0.05, "max_grad_norm": 0,
         "label_smoothing_factor": None},
        {"model.image_size": 160, "augmentation.mix": [{"MixUp": {"alpha": 0.1}}, {"CutMix": {"alpha": 1.0}}],
         "augmentation.train.1": "RandomHorizontalFlip", "averaging": None},
    ),
    "food101_vit": (GUIDE, {"augmentation.train": ["RandomResizedCrop"]}),
    "food101_vit_subset": (GUIDE, {"augmentation.train": ["RandomResizedCrop"], "data.train_split": "train[:5000]"}),
    "food101_vit_keras": (
        {"num_train_epochs": 5, "learning_rate": 3e-5, "weight_decay": 0.01, "lr_scheduler_type": "polynomial",
         "warmup_steps": None, "max_grad_norm": 0, "per_device_train_batch_size": 16},
        {"data.train_split": "train[:5000]", "data.validation_fraction": 0.2,
         "augmentation.train.2": {"RandomAffineReflect": {"degrees": 7.2, "scale": [0.83, 1.25]}}},
    ),
}  # fmt: skip


def at(value, path: str):
    """What stands at a dotted path of a recipe's JSON; None where nothing does."""
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value.get(key)
    return value


@pytest.mark.parametrize("name", SOURCES)
def test_a_recipe_has_the_values_of_its_source(name):
    recipe = json.loads(shipped_recipes()[name].read_text())
    training, others = SOURCES[name]
    expected = {f"training.{key}": value for key, value in training.items()} | others
    assert {path: at(recipe, path) for path in expected} == expected


def test_shipped_recipes_leave_precision_workers_and_pushing_to_their_user():
    for path in shipped_recipes().values():
        recipe = json.loads(path.read_text())
        parts = [recipe, *recipe.get("stages", [])]
        given = {key for part in parts for key in part.get("training", {})}
        assert not given & {"fp16", "bf16", "use_cpu", "dataloader_num_workers", "push_to_hub"}, path.name


def test_every_shipped_recipe_stands_in_the_readme_with_its_deviations():
    text = next(iter(shipped_recipes().values())).with_name("README.md").read_text()
    results, deviations = text.split("## Where recipes deviate from their sources")
    for name in shipped_recipes():
        assert f"`{name}.json`" in results, name
        assert f"`{name}`" in deviations, name


def paths(content, before: str = "") -> Iterator[str]:
    """The dotted name of every key, of stages and networks without their number."""
    for key, value in content.items() if isinstance(content, dict) else ():
        yield f"{before}.{key}"
        for each in value if isinstance(value, list) else [value]:
            yield from paths(each, f"{before}.{key}")


def test_each_option_of_training_has_its_effect_and_a_recipe_that_uses_it():
    rows = dict(re.findall(r"^\| `([\w.]+)` \| `(\w+)\.json` \| .+ \|$", EFFECTS.read_text(), re.MULTILINE))
    for key, name in rows.items():
        known = list(paths(json.loads(shipped_recipes()[name].read_text())))
        assert any(path.endswith(f".{key}") for path in known), f"{name} has no {key}"
    sections = ("augmentation", "loss", "sampling", "averaging", "optimizer")
    for section in sections:
        assert {f"{section}.{key}" for key in Recipe.model_fields[section].annotation.model_fields} <= rows.keys()
    assert {"lora", "distillation", "model.multi_label", "rejection", "tune", "ensemble"} <= rows.keys()


def test_torchs_weight_decay_of_the_recipe_takes_off_what_kerass_decoupled_one_does():
    """Keras: variable -= rate * 5e-4 * variable, beside the momentum; torch adds it to the gradient, before it."""
    decay = json.loads(shipped_recipes()["caltech101_efficientnet_scratch"].read_text())["training"]["weight_decay"]
    weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer = torch.optim.SGD([weight], lr=0.01, momentum=0.9, weight_decay=decay)
    weight.grad = torch.zeros_like(weight)
    for _ in range(2000):
        optimizer.step()
    assert 1 - weight.item() == pytest.approx(1 - (1 - 0.01 * 5e-4) ** 2000, rel=0.01)


@pytest.mark.parametrize("gradient", [1e-1, 1e-3, 1e-4, 1e-6])
def test_torchs_rmsprop_of_the_recipes_goes_as_far_as_kerass(gradient):
    """Keras: rate * g / sqrt(v + 1e-7). With torch's own epsilon of 1e-8, over three times as far at 1e-4."""
    settings = dict(part.split("=") for part in KERAS_RMSPROP["optim_args"].split(","))
    weight = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))
    weight.grad = torch.full_like(weight, gradient)
    optimizer = torch.optim.RMSprop([weight], lr=1e-3, alpha=float(settings["alpha"]), eps=float(settings["eps"]))
    for _ in range(50):
        optimizer.step()
    square = [gradient**2 * (1 - 0.9**step) for step in range(1, 51)]
    keras = sum(1e-3 * gradient / (v + 1e-7) ** 0.5 for v in square)
    assert 0.7 < -weight.item() / keras < 1.1


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


@pytest.mark.usefixtures("undrawn")
def test_the_recipe_for_training_from_scratch_runs(make_folder, tmp_path):
    """With what its procedure A2 has beside: drop path and repeated augmentation."""
    folder, run = make_folder(train=8, validation=2), tmp_path / "run"
    results = train_classifier(
        shipped_recipes()["imagenet_resnet50_scratch"],
        [
            f"data.path={folder}", f"training.output_dir={run}", "model.architecture=timm/test_resnet",
            "model.config.model_args.drop_path_rate=0.05", "model.image_size=32", "augmentation.repeats=3",
            "training.num_train_epochs=2", "training.per_device_train_batch_size=6",
            "training.gradient_accumulation_steps=2",
        ],
    )  # fmt: skip
    assert results["training"]["steps"] == 4
    assert results["stages"][0]["selected_checkpoint"] == "last"
    assert results["parity"]["passed"]
    saved = json.loads((run / "config.json").read_text())
    assert saved["model_args"] == {"drop_path_rate": 0.05}
    assert saved["pretrained_cfg"]["crop_pct"] == 0.95
