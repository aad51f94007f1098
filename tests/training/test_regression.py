"""The head as a logistic regression: scikit-learn's solution, the penalty chosen on validation, and a whole run."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from hf_imgcls.errors import InputError
from hf_imgcls.training.loss import Terms, total_loss
from hf_imgcls.training.regression import FOLDS, PENALTIES, _folds, solve
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
    with pytest.raises(InputError, match=r"no image is left to choose the penalty by: .* add images"):
        solve(drawn(3, 1), None, 3, PLAIN, 0)


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
