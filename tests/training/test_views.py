"""Several views of each training image in cached features."""

import datasets
import pytest
import torch
from tiny import SIZE, tiny_model, tiny_processor

from hf_imgcls import InputError, train_classifier
from hf_imgcls.data.load import load_data
from hf_imgcls.images.transforms import EvalTransform
from hf_imgcls.recipe import stages_of
from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.training.head_stage import check_features, features_of
from hf_imgcls.training.regression import solve
from hf_imgcls.training.stages import plan_stages

CROP_AND_FLIP = {"train": [{"RandomResizedCrop": {"scale": [0.4, 0.8]}}, "RandomHorizontalFlip"]}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def recipe(make_folder, tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    stage = {"train": "head", "cache_features": True, "views": 3, "augmentation": CROP_AND_FLIP}
    return {
        "data": {"path": str(make_folder(train=2, validation=1))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "stages": [stage],
        "training": {"output_dir": str(tmp_path / "run"), "num_train_epochs": 2, "disable_tqdm": True},
    }


def test_views_are_the_evaluated_one_and_others_that_seed_and_row_draw(recipe, capsys):
    def features(*overrides) -> dict[str, torch.Tensor]:
        loaded = load_recipe(recipe, overrides)
        data, scoring = load_data(loaded.data), EvalTransform(tiny_processor(), [0, 1, 2])
        model = tiny_model("vit")
        plan = plan_stages(loaded, data, model, scoring)[0]
        plan.images.epoch.fill_(2)  # as a trainer before this one has left it
        found = features_of(plan, data, model, scoring)
        assert found["train"]["labels"][:].tolist() == [0, 0, 1, 1, 2, 2] * (len(found["train"]) // 6)
        return {role: rows["pixel_values"][:] for role, rows in found.items()}

    first = features()
    assert {role: len(rows) for role, rows in first.items()} == {"train": 18, "validation": 3}
    views = first["train"].split(6)
    evaluated = features("stages.0.views=1", "stages.0.augmentation={}")
    assert torch.equal(views[0], evaluated["train"])
    assert torch.equal(first["validation"], evaluated["validation"])
    assert all((views[one] - views[other]).abs().max() > 1e-3 for one, other in ((0, 1), (0, 2), (1, 2)))
    capsys.readouterr()
    assert torch.equal(features()["train"], first["train"])
    assert "computed" not in capsys.readouterr().out
    other = features("training.seed=7")["train"].split(6)
    assert torch.equal(other[0], views[0])
    assert not torch.equal(other[1], views[1])
    cropped = features('stages.0.augmentation.train=[{"RandomResizedCrop": {"scale": [0.4, 0.81]}}]')["train"].split(6)
    assert not torch.equal(cropped[1], views[1])


def test_a_head_trains_on_all_views(recipe, tmp_path, undrawn, monkeypatch):
    recipe["stages"].append({**recipe["stages"][0], "logistic_regression": True})
    seen = []
    monkeypatch.setattr("hf_imgcls.training.solved_head.solve", lambda *given: seen.append(given) or solve(*given))
    results = train_classifier(recipe, ["training.per_device_train_batch_size=9"])
    assert [stage["views"] for stage in results["stages"]] == [3, 3]
    assert results["stages"][0]["steps"] == 4  # two epochs of 18 images
    train, validation = seen[0][:2]
    assert (len(train.labels), train.views, len(validation.labels), validation.views) == (18, 3, 3, 1)
    assert (tmp_path / "run" / "README.md").read_text().count(" of 3 views of each image") == 2


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"cache_features": False}, r'stages\.0\.views: needs "cache_features": true'),
        ({"augmentation": {}}, r"stages\.0\.views: there is no augmentation\.train"),
        ({"augmentation": {"train": ["Resize"]}}, r"views: nothing in augmentation\.train is random"),
        ({"augmentation": {"train": [{"RandomErasing": {"value": "random"}}]}}, "views: RandomErasing"),
        ({"augmentation": {**CROP_AND_FLIP, "mix": ["MixUp"]}}, r"cannot be combined with augmentation\.mix"),
        ({"views": 1}, r"RandomResizedCrop is random.*set views"),
        ({"views": 0}, r"stages\.0\.views: "),
    ],
)
def test_views_that_cannot_be_are_one_line(change, line, recipe):
    recipe["stages"][0].update(change)
    with pytest.raises(InputError, match=line):
        check_features(stages_of(load_recipe(recipe))[0], (SIZE, SIZE))
