"""The head as a logistic regression: scikit-learn's solution, the penalty chosen on validation, and a whole run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from tiny import tiny_model, tiny_processor

from hf_imgcls import InputError, train_classifier
from hf_imgcls.training.loss import Terms, total_loss
from hf_imgcls.training.regression import FOLDS, PENALTIES, _folds, solve, solve_at
from hf_imgcls.training.solutions import Examples, Losses
from hf_imgcls.training.solved_head import losses_of


def loss(logits, labels, weights=None):
    return total_loss(logits.double(), labels, Terms(weights))


PLAIN = Losses(loss, loss)


def drawn(count: int, seed: int, spread: float = 4.0) -> Examples:
    """Three classes in six dimensions of very different scales, one of them constant."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centres = torch.randn(3, 6, generator=torch.Generator().manual_seed(99), dtype=torch.float64)
    noise = torch.randn(count, 6, generator=generator, dtype=torch.float64)
    features = (centres[labels] + spread * noise / 3) * torch.tensor([1e-3, 1, 1, 50, 1, 1]) + 7
    features[:, 5] = 0.3
    return Examples(features, labels)


def logits(solution, examples):
    return examples.features @ solution.weight.T + solution.bias


def test_the_solution_is_that_of_scikit_learn():
    train, validation = drawn(300, 1), drawn(240, 2)
    found = solve(train, validation, 3, PLAIN, 0)
    penalty = found.tried[found.chosen - 1]["penalty"]
    scaler = StandardScaler().fit(train.features)
    other = LogisticRegression(C=1 / (penalty * len(train.labels)), tol=1e-10, max_iter=10_000)
    other.fit(scaler.transform(train.features), train.labels)
    expected = torch.from_numpy(other.predict_proba(scaler.transform(validation.features)))
    torch.testing.assert_close(logits(found, validation).softmax(1), expected, atol=1e-4, rtol=0)


def test_the_penalty_with_the_lowest_validation_loss_is_chosen():
    found = solve(drawn(300, 1), validation := drawn(240, 2), 3, PLAIN, 0)
    losses = [row["eval_loss"] for row in found.tried]
    assert losses.index(min(losses)) == found.chosen - 1
    assert losses[found.chosen - 1] == pytest.approx(float(loss(logits(found, validation), validation.labels)) / 240)
    assert [row["penalty"] for row in found.tried] == sorted((row["penalty"] for row in found.tried), reverse=True)
    fitted = [row["loss"] for row in found.tried]
    assert fitted == sorted(fitted, reverse=True), "a weaker penalty fits the training images better"


def test_penalties_beyond_the_strongest_are_tried_where_it_is_the_best():
    """Labels without any connection to the features: the stronger the penalty, the better."""
    train, validation = drawn(60, 1), drawn(240, 2)
    shuffled = Examples(train.features, train.labels[torch.randperm(60, generator=torch.Generator().manual_seed(1))])
    found = solve(shuffled, validation, 3, PLAIN, 0)
    assert found.tried[0]["penalty"] > PENALTIES[0]
    assert found.tried[found.chosen - 1]["penalty"] > PENALTIES[0]


def test_a_small_validation_split_is_joined_by_folds_that_the_seed_draws():
    train = drawn(90, 1)
    folds = list(_folds(train, 0))
    assert len(folds) == FOLDS
    assert sum(len(scored.labels) for _, scored in folds) == 90
    assert all(scored.labels.bincount().tolist() == [6, 6, 6] for _, scored in folds)
    again, other = list(_folds(train, 0)), list(_folds(train, 1))
    assert again[0][1].features.equal(folds[0][1].features)
    assert not other[0][1].features.equal(folds[0][1].features)
    without = solve(train, None, 3, PLAIN, 0)
    with_few = solve(train, drawn(30, 2), 3, PLAIN, 0)
    assert without.tried[0]["eval_loss"] != with_few.tried[0]["eval_loss"]


def test_its_folds_keep_groups_together():
    examples, groups = drawn(60, 1), np.arange(60) // 3 % 8
    examples = examples._replace(features=torch.from_numpy(groups)[:, None], groups=groups.astype(str))
    parts = [[set(part.features.flatten().tolist()) for part in fold] for fold in _folds(examples, 0)]
    assert all(not inside & outside for inside, outside in parts)
    assert sorted(group for _, outside in parts for group in outside) == list(range(8))
    alone = examples._replace(groups=np.array(["one"] * 60))
    assert len(list(_folds(alone, 0))) == FOLDS, "none without images where no group can be held out"


def test_a_class_weight_moves_the_solution_towards_its_class():
    train, validation = drawn(300, 1), drawn(240, 2)
    weights = torch.tensor([10.0, 1, 1], dtype=torch.float64)
    plain = solve(train, validation, 3, PLAIN, 0)
    weighted = solve(train, validation, 3, Losses(lambda x, y: loss(x, y, weights), loss), 0)
    share = [float((logits(each, validation).argmax(1) == 0).double().mean()) for each in (plain, weighted)]
    assert share[1] > share[0] + 0.1


def test_with_class_weights_the_penalty_is_chosen_by_the_weighted_loss():
    train, validation = drawn(300, 1), drawn(240, 2)
    weights = torch.tensor([60.0, 1, 1], dtype=torch.float64)
    found = solve(train, validation, 3, losses_of(Terms(weights), 0.1), 0)
    chosen, by = found.tried[found.chosen - 1], [row["selection_loss"] for row in found.tried]
    assert by.index(min(by)) == found.chosen - 1
    scored = logits(found, validation), validation.labels
    assert chosen["selection_loss"] == pytest.approx(float(loss(*scored, weights)) / 240)
    assert chosen["eval_loss"] == pytest.approx(float(loss(*scored)) / 240)
    plain = [row["eval_loss"] for row in found.tried]
    assert plain.index(min(plain)) != found.chosen - 1


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
