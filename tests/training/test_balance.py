"""Imbalanced classes: what a loss has against them, and which images an epoch shows."""

from collections import Counter

import datasets
import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, one_hot

from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import LossSection
from hf_imgcls.training.balance import class_weights, draw_balanced, loss_terms, shown_images
from hf_imgcls.training.loss import Terms, total_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0], [1.0, 1.0, 1.0], [-2.0, 0.3, 4.0]])
HARD = torch.tensor([0, 2, 1, 2])
SOFT = 0.3 * one_hot(HARD, 3).float() + 0.7 * one_hot(HARD, 3).float().roll(1, 0)


def terms(counts: dict[int, int], balance=None, label_ids=(0, 1, 2), **keys) -> Terms:
    rows = datasets.Dataset.from_dict({"label": list(Counter(counts).elements())})
    return loss_terms(LossSection(**keys), balance, Data({"train": rows}, ["a", "b", "c"]), label_ids)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_focal_loss_is_that_of_its_paper_and_of_a_mixed_image_that_of_its_labels(gamma):
    p = LOGITS.softmax(1)
    each = -((1 - p) ** gamma) * p.log()
    expected = each[range(4), HARD].sum().item()
    assert total_loss(LOGITS, HARD, Terms(focal_gamma=gamma)).item() == pytest.approx(expected, rel=1e-5)
    assert total_loss(LOGITS, SOFT, Terms(focal_gamma=gamma)).item() == pytest.approx((SOFT * each).sum().item())
    weights = torch.tensor([1.0, 2.0, 5.0])
    expected = (weights[HARD] * each[range(4), HARD]).sum().item()
    assert total_loss(LOGITS, HARD, Terms(weights, focal_gamma=gamma)).item() == pytest.approx(expected, rel=1e-5)


def test_the_focal_loss_of_a_certain_image_has_a_gradient():
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    total_loss(logits, torch.tensor([0]), Terms(focal_gamma=0.5)).backward()
    assert logits.grad.isfinite().all()


def test_logit_adjustment_is_that_of_its_paper():
    found = terms({0: 90, 1: 9, 2: 1}, logit_adjustment=0.7)
    shares, f = torch.tensor([0.9, 0.09, 0.01]), LOGITS
    # log(1 + sum over other classes of (share of it / share of y)^tau * e^(its logit - that of y)), equation 10.
    expected = sum(
        torch.log1p(sum((shares[o] / shares[y]) ** 0.7 * (row[o] - row[y]).exp() for o in range(3) if o != y)).item()
        for row, y in zip(f, HARD, strict=True)
    )
    assert total_loss(f, HARD, found).item() == pytest.approx(expected, rel=1e-5)
    adjusted = LOGITS + 0.7 * shares.log()
    assert total_loss(f, SOFT, found).item() == pytest.approx(cross_entropy(adjusted, SOFT, reduction="sum").item())


def test_a_smoothed_label_is_even_in_the_logits_that_are_served():
    """Spread evenly in the adjusted ones, an image that is surely common would be predicted as rare."""
    found, smoothing = terms({0: 980, 1: 10, 2: 10}, logit_adjustment=1.0), 0.1
    logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = total_loss(logits, torch.tensor([0]), found.to(torch.float64), smoothing)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert logits.argmax() == 0
    assert logits[0, 1].item() == pytest.approx(logits[0, 2].item(), abs=1e-4)
    plain = total_loss(logits, torch.tensor([0]), Terms(), smoothing)  # the same where classes are equally frequent
    assert total_loss(logits, torch.tensor([0]), terms({0: 5, 1: 5, 2: 5}, logit_adjustment=1.0).to(torch.float64),
                      smoothing).item() == pytest.approx(plain.item(), rel=1e-6)  # fmt: skip


def test_shares_are_those_of_the_images_that_are_shown_in_the_order_of_the_models_ids():
    assert terms({0: 90, 1: 9, 2: 1}, label_ids=(2, 0, 1), logit_adjustment=1.0).shares.tolist() == pytest.approx(
        [0.09, 0.01, 0.9]
    )
    half = terms({0: 64, 1: 16, 2: 4}, balance=0.5, logit_adjustment=1.0, class_weights={"a": 2})
    assert half.shares.tolist() == pytest.approx([8 / 14, 4 / 14, 2 / 14])
    assert half.weights.tolist() == pytest.approx([2 / (22 / 14), 14 / 22, 14 / 22])
    absent = terms({0: 9, 1: 9}, logit_adjustment=1.0)
    assert absent.shares.tolist() == pytest.approx([9 / 19, 9 / 19, 1 / 19])
    balanced = class_weights(LossSection(class_weights="balanced"), _rows(64, 16, 4), list("abc"), range(3), 0.5)
    assert (balanced * torch.tensor([8, 4, 2])).tolist() == pytest.approx([14 / 3] * 3)


def test_a_stream_has_no_shares():
    stream = _rows(3, 2, 1).to_iterable_dataset()
    with pytest.raises(InputError, match=r"loss\.logit_adjustment: cannot count a stream"):
        loss_terms(LossSection(logit_adjustment=1.0), None, Data({"train": stream}, ["a"]), [0])


def _rows(*counts: int) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"label": np.repeat(range(len(counts)), counts).tolist()})


@pytest.mark.parametrize(("balance", "expected"), [(1.0, [28, 28, 28]), (0.5, [48, 24, 12])])
def test_an_epoch_shows_each_class_as_often_as_it_should(balance, expected):
    labels = np.repeat([0, 1, 2], [64, 16, 4])
    rows = draw_balanced(labels, 84, balance, np.random.default_rng(0))
    assert np.bincount(labels[rows]).tolist() == expected
    assert list(shown_images(labels.tolist(), balance).values()) == pytest.approx(expected)
    for label, count in enumerate(expected):
        times = np.bincount(rows, minlength=84)[labels == label]
        assert times.max() - times.min() <= 1, "an image again, before all others of its class"
        assert times.sum() == count
    odd = draw_balanced(labels[:-1], 17, balance, np.random.default_rng(0))
    assert len(odd) == 17
    assert np.ptp(np.bincount(labels[odd])) <= (1 if balance == 1 else 9)
