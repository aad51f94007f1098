"""Runs with a solved head: what is saved, scored and refitted."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_regression import PLAIN, drawn
from tiny import tiny_model, tiny_processor

from hf_imgcls import InputError, train_classifier
from hf_imgcls.training.loss import Terms
from hf_imgcls.training.regression import solve, solve_at
from hf_imgcls.training.solutions import Examples
from hf_imgcls.training.solved_head import losses_of


@pytest.fixture
def recipe(make_folder, tmp_path):
    tiny_model("vit").save_pretrained(tmp_path / "checkpoint")
    tiny_processor().save_pretrained(tmp_path / "checkpoint")
    return {
        "data": {"path": str(make_folder(train=8, validation=4, test=4))},
        "model": {"checkpoint": str(tmp_path / "checkpoint")},
        "stages": [{"train": "head", "cache_features": True, "logistic_regression": True}],
        "training": {"output_dir": str(tmp_path / "run"), "per_device_eval_batch_size": 8, "disable_tqdm": True},
    }


@pytest.mark.usefixtures("undrawn")
def test_a_run_saves_the_solution_and_serves_what_it_scored(recipe, tmp_path, capsys):
    results = train_classifier(recipe)
    assert results["parity"]["passed"]
    assert results["scores"]["test"]["accuracy"] > 0.9
    stage = results["stages"][0]
    assert (stage["logistic_regression"], stage["selected_checkpoint"]) == (True, "best")
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [entry["step"] for entry in history] == list(range(1, stage["steps"] + 1))
    assert min(history, key=lambda entry: entry["eval_loss"])["step"] == stage["best_step"]
    assert "logistic regression: penalty" in capsys.readouterr().out
    card = (tmp_path / "run" / "README.md").read_text()
    assert "logistic regression on cached features" in card


def test_a_refit_is_served_and_validation_is_scored_before_it(recipe, tmp_path, capsys):
    plain = train_classifier(recipe)
    recipe["stages"][0]["refit"] = True
    recipe["training"]["output_dir"] = str(tmp_path / "refit")
    results = train_classifier(recipe)
    assert results["parity"]["passed"]
    assert results["parity"]["split"] == "test"
    assert results["scores"]["validation"]["loss"] == plain["scores"]["validation"]["loss"]
    heads = [load_file(tmp_path / name / "model.safetensors")["classifier.weight"] for name in ("run", "refit")]
    assert not torch.equal(*heads)
    out = capsys.readouterr().out
    assert "refit: the head is solved on 36 images of train and validation" in out
    assert "validation: scored before the head was solved again" in out
    assert "scored before the head was solved again" in (tmp_path / "refit" / "README.md").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cache_features": False}, '"cache_features": true'),
        ({"early_stopping": {"patience": 1}}, "no epochs to stop after"),
    ],
)
def test_what_a_solution_has_no_use_for_is_refused(recipe, change, words):
    recipe["stages"][0].update(change)
    with pytest.raises(InputError, match=words):
        train_classifier(recipe)


def test_a_refit_without_a_labelled_validation_split_is_refused_before_anything_is_solved(recipe, tmp_path, capsys):
    """The recipe names a split, and only its rows show that it has no labels."""
    photos = Path(recipe["data"]["path"])
    (tmp_path / "tables").mkdir()
    for split in ("train", "validation"):
        files = sorted((photos / split).rglob("*.png"))
        lines = [f"{file},{file.parent.name if split == 'train' else ''}" for file in files]
        (tmp_path / "tables" / f"{split}.csv").write_text("\n".join(["image,label", *lines]))
    recipe["stages"][0]["refit"] = True
    data = [f"data.path={tmp_path / 'tables'}", "data.validation_fraction=0"]
    with pytest.raises(InputError, match=r"stages\.0\.refit: needs a validation split"):
        train_classifier(recipe, data)
    with pytest.raises(InputError, match=r"stages\.0\.refit: there is no validation split to evaluate on"):
        train_classifier(recipe, [*data, "data.validation_split=validation"])
    assert "validation: none of its 12 images has a label" in capsys.readouterr().out


def test_a_hidden_layer_and_a_loss_of_ones_own_are_refused(recipe):
    with pytest.raises(InputError, match="your own loss"):
        train_classifier(recipe, loss=lambda logits, labels: logits.sum())
    recipe["model"]["head"] = {"hidden_size": 4}
    with pytest.raises(InputError, match="hidden_size"):
        train_classifier(recipe)


def test_views_of_an_image_are_in_one_fold_and_scored_in_the_first():
    """Views that are all alike change nothing; with some of them on both sides of a fold, no penalty would be best."""
    images, few = drawn(60, 1, spread=9.0), drawn(30, 2, spread=9.0)
    repeated = Examples(images.features.repeat(3, 1), images.labels.repeat(3), views=3)
    once, found = (solve(each, few, 3, PLAIN, 0) for each in (images, repeated))
    assert found.chosen == once.chosen
    assert [row["eval_loss"] for row in found.tried] == pytest.approx(
        [row["eval_loss"] for row in once.tried], rel=1e-4
    )
    torch.testing.assert_close(found.weight, once.weight, rtol=1e-3, atol=1e-4)


def test_logit_adjustment_moves_the_bias_by_the_logarithm_of_the_shares():
    """The bias has no penalty: the adjusted optimum is the plain one, less the adjustment, up to a number for all."""
    train, shares = drawn(300, 1), torch.tensor([0.7, 0.2, 0.1], dtype=torch.float64)
    terms = Terms(shares=shares, logit_adjustment=0.8)
    plain, adjusted = (solve_at(train, 3, losses_of(each, 0.0).train, 0.1) for each in (Terms(), terms))
    before, after = (train.features @ weight.T + bias for weight, bias in (plain, adjusted))
    assert torch.allclose(after.log_softmax(1), (before - 0.8 * shares.log()).log_softmax(1), atol=1e-4)
