"""Transforms, losses and metrics that a Python user brings to a run."""

import importlib.util
import json
from pathlib import Path

import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from test_train import KillAt, Killed
from test_trainer import largest_difference, make_trainer, without_dropout
from tiny import tiny_model, tiny_processor
from transformers import pipeline

from hf_imgcls import InputError, train_classifier
from hf_imgcls.images import build_transforms, own_transforms
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.training.loss import Custom
from hf_imgcls.training.trainer import ImageTrainer

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("undrawn")


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def small(tmp_path, monkeypatch) -> list[str]:
    """Overrides that make an example quick."""
    monkeypatch.chdir(ROOT)
    few = [f"data.max_samples.{split}=40" for split in ("train", "validation", "test")]
    return [*few, "training.num_train_epochs=1", "training.logging_steps=1", f"training.output_dir={tmp_path / 'run'}"]


@pytest.fixture
def recipe(make_folder, tmp_path) -> dict:
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    training = {"num_train_epochs": 2, "learning_rate": 5e-3, "per_device_train_batch_size": 4, "logging_steps": 1}
    return {
        "data": {"path": str(make_folder(train=4, validation=2))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "training": {"output_dir": str(tmp_path / "run"), **training},
    }


def test_an_own_transform_is_named_by_the_recipe_for_this_call_alone(small, monkeypatch, tmp_path):
    module, seen = example("custom_transform"), []
    monkeypatch.setattr(module.Salt, "forward", lambda self, image: seen.append(self.fraction) or image)
    results = module.main(*small)
    assert set(seen) == {0.1}
    assert len(seen) >= 40
    assert results["notes"][-1] == "from Python: transform Salt; the recipe alone does not repeat this run"
    with pytest.raises(InputError, match=r"augmentation\.train\.0: torchvision.transforms.v2 has no transform 'Salt'"):
        train_classifier(module.RECIPE, [*small, f"training.output_dir={tmp_path / 'other'}"])


def test_own_transforms_stand_beside_those_of_torchvision():
    class Shift:
        def __init__(self, by: int):
            self.by = by

        def __call__(self, image: torch.Tensor) -> torch.Tensor:
            return image + self.by

    specs = [{"Shift": {"by": 3}}, {"RandomApply": {"transforms": [{"Shift": {"by": 4}}], "p": 1.0}}]
    with own_transforms({"Shift": Shift}):
        transform = build_transforms(specs, (8, 8))
        with pytest.raises(InputError, match=r"augmentation\.train\.0\.Shift: .*missing"):
            build_transforms(["Shift"], (8, 8))
    assert transform(torch.full((3, 8, 8), 10, dtype=torch.uint8)).unique().tolist() == [17]
    with pytest.raises(InputError, match="transforms: there is a Resize already"), own_transforms({"Resize": 1}):
        pass


def test_an_own_loss_trains(small):
    module = example("custom_loss")
    results = module.main(*small)
    history = json.loads((Path(small[-1].partition("=")[2]) / "history.json").read_text())
    first = next(entry["loss"] for entry in history if "loss" in entry)
    assert 1.2 < first < 2.3, "focal loss of ten classes by chance is 0.9**2 * 2.3"
    assert results["notes"][-1].startswith("from Python: loss focal_loss")


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_an_own_loss_is_accumulated_like_the_built_in_one(reduction, make_folder, tmp_path):
    folder, models = make_folder(train=4, validation=2), []
    loss = torch.nn.CrossEntropyLoss(reduction=reduction)
    for custom in (Custom(), Custom(loss)):
        trainer = make_trainer(
            folder, tmp_path / "run", own={"custom": custom}, gradient_accumulation_steps=2, num_train_epochs=1,
            per_device_train_batch_size=5, optim="sgd",
        )  # fmt: skip
        without_dropout(trainer.model)
        trainer.train()
        models.append(trainer.model)
    assert largest_difference(*models) < 1e-6


@pytest.mark.parametrize(
    ("loss", "sections", "message"),
    [
        (torch.nn.CrossEntropyLoss(), {"augmentation": {"mix": ["MixUp"]}}, r"augmentation\.mix: your own loss gets"),
        (torch.nn.CrossEntropyLoss(), {"loss": {"class_weights": "balanced"}}, r"loss\.class_weights: your own loss"),
        (lambda logits, labels: logits, {}, r"loss: returned shape \(2, 3\) for 2 images, expected shape \(2,\) or"),
        (lambda logits, labels: 1.0, {}, "loss: returned float for 2 images"),
        (lambda logits, labels: logits.sum().detach(), {}, "loss: what it returns has no gradient"),
    ],
)
def test_an_own_loss_that_cannot_work_is_refused_before_training(loss, sections, message, recipe):
    with pytest.raises(InputError, match=message):
        train_classifier({**recipe, **sections}, loss=loss)


def test_own_metrics_are_in_everything_that_is_written(small, capsys):
    module = example("custom_metric")
    results = module.main(*small)
    folder = Path(small[-1].partition("=")[2])
    for split in ("validation", "test"):
        assert 0 < results["scores"][split]["brier_score"] < 2
    evaluated = [entry for entry in json.loads((folder / "history.json").read_text()) if "eval_kappa" in entry]
    assert evaluated[-1]["eval_kappa"] == pytest.approx(results["scores"]["validation"]["kappa"], abs=1e-6)
    assert results["training"]["best_metric"] == evaluated[-1]["eval_kappa"]
    card = (folder / "README.md").read_text()
    assert "| Kappa |" in card
    assert "name: Brier_score" in card
    out = capsys.readouterr().out
    assert "best validation kappa" in out
    assert f"kappa {results['scores']['test']['kappa']:.4f}" in out
    predictions, label_ids = torch.randint(0, 3, (2, 50), generator=torch.Generator().manual_seed(0)).numpy()
    assert module.kappa(predictions, label_ids) == pytest.approx(cohen_kappa_score(predictions, label_ids))


def test_the_best_model_can_only_be_chosen_by_a_metric_that_there_is(recipe):
    by_kappa = {**recipe, "training": {**recipe["training"], "metric_for_best_model": "kapa"}}
    with pytest.raises(InputError, match=r'metric_for_best_model: no metric \'kapa\', .*; did you mean "kappa"\?'):
        train_classifier(by_kappa, metrics={"kappa": cohen_kappa_score})
    with pytest.raises(InputError, match="metrics: 'accuracy' cannot name a metric"):
        train_classifier(recipe, metrics={"accuracy": cohen_kappa_score})


def test_a_killed_run_with_own_parts_resumes_where_it_was(recipe, tmp_path, monkeypatch):
    recipe["augmentation"] = {"train": [{"Salt": {"fraction": 0.2}}]}
    recipe["training"]["metric_for_best_model"] = "kappa"
    own = {
        "transforms": {"Salt": example("custom_transform").Salt},
        "loss": example("custom_loss").focal_loss,
        "metrics": {"kappa": cohen_kappa_score},
    }
    whole = train_classifier(recipe, [f"training.output_dir={tmp_path / 'whole'}"], **own)
    original = ImageTrainer.__init__

    def with_a_killer(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.add_callback(KillAt(5))

    with monkeypatch.context() as patched:
        patched.setattr(ImageTrainer, "__init__", with_a_killer)
        with pytest.raises(Killed):
            train_classifier(recipe, **own)
    resumed = train_classifier(recipe, **own)
    assert resumed["scores"] == whole["scores"]
    assert differing_tensors(pipeline("image-classification", str(tmp_path / "run")).model, tmp_path / "whole") == []
