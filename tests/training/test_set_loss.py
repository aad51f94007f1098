"""The loss of several labels an image."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import sigmoid_focal_loss

from hf_imgcls.errors import InputError
from hf_imgcls.images.mixing import Mixing
from hf_imgcls.recipe import load_recipe
from hf_imgcls.recipe.sections import AsymmetricSection, LossSection
from hf_imgcls.training.loss import Custom, own_loss, total_loss
from hf_imgcls.training.set_loss import SetTerms, set_terms

torch.manual_seed(0)
LOGITS, LABELS = torch.randn(5, 3), torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1.0]])


@pytest.fixture
def split():
    import datasets

    feature = datasets.Features(label=datasets.List(datasets.ClassLabel(names=["a", "b", "c"])))
    return datasets.Dataset.from_dict({"label": [[0, 2], [], [0, 1, 2], [1], [2]]}, features=feature)


def test_plain_it_is_binary_cross_entropy():
    expected = binary_cross_entropy_with_logits(LOGITS, LABELS, reduction="sum")
    assert total_loss(LOGITS, LABELS, SetTerms()) == pytest.approx(expected.item(), rel=1e-6)
    smoothed = binary_cross_entropy_with_logits(LOGITS, LABELS * 0.8 + 0.1, reduction="sum")
    assert total_loss(LOGITS, LABELS, SetTerms(), 0.2) == pytest.approx(smoothed.item(), rel=1e-6)


def test_weights_are_those_of_labels_that_an_image_has(split):
    terms = set_terms(LossSection(class_weights="balanced"), split, ["a", "b", "c"], [2, 0, 1])
    assert terms.weights.tolist() == pytest.approx([1.5, 2 / 3, 1.5])  # in the order of the model's ids
    expected = binary_cross_entropy_with_logits(LOGITS, LABELS, pos_weight=terms.weights, reduction="sum")
    assert total_loss(LOGITS, LABELS, terms) == pytest.approx(expected.item(), rel=1e-6)
    with pytest.raises(InputError, match="no class 'd'"):
        set_terms(LossSection(class_weights={"d": 2.0}), split, ["a", "b", "c"], range(3))


def test_focal_and_asymmetric(split):
    terms = set_terms(LossSection(focal_gamma=2.0), split, ["a", "b", "c"], range(3))
    expected = sigmoid_focal_loss(LOGITS, LABELS, alpha=-1, gamma=2, reduction="sum")
    assert total_loss(LOGITS, LABELS, terms) == pytest.approx(expected.item(), rel=1e-5)
    terms = set_terms(LossSection(asymmetric=AsymmetricSection()), split, ["a", "b", "c"], range(3))
    p = LOGITS.sigmoid()
    lowered = (p - 0.05).clamp(min=0)
    by_hand = -(LABELS * p.log() + (1 - LABELS) * lowered**4 * (1 - lowered).log()).sum()
    assert total_loss(LOGITS, LABELS, terms) == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_gradients_are_finite_where_it_is_sure(gamma):
    logits = torch.tensor([[60.0, -60.0]], requires_grad=True)
    total_loss(logits, torch.tensor([[1.0, 0.0]]), SetTerms(None, gamma, gamma, 0.05)).backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("mix", ["MixUp", "CutMix", {"MixUp": {"per_image": True}}, {"CutMix": {"per_image": True}}])
def test_labels_are_mixed_each_by_itself(mix):
    _, soft = Mixing([mix], 3)(torch.rand(5, 3, 8, 8), LABELS)
    kept = soft[2, 1].item()  # of all three labels, before an image with labels of none
    assert soft.shape == LABELS.shape
    assert ((soft >= 0) & (soft <= 1)).all()
    assert soft[2].tolist() == pytest.approx([kept] * 3)
    assert (soft[LABELS + LABELS.roll(1, 0) == 0] == 0).all()
    assert (soft[LABELS * LABELS.roll(1, 0) == 1] - 1).abs().max() < 1e-6


def test_a_loss_of_ones_own_gets_sets():
    per_image = own_loss(lambda logits, labels: (logits - labels).square().mean(1), LOGITS, LABELS)
    mean = own_loss(lambda logits, labels: (logits - labels).square().mean(), LOGITS, LABELS)
    assert per_image == pytest.approx(mean.item(), rel=1e-5)
    Custom(loss=lambda logits, labels: binary_cross_entropy_with_logits(logits, labels)).check(3, multi_label=True)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"data": {"folds": 3}}, "data.folds: cannot be combined with model.multi_label"),
        ({"data": {"samples_per_class": {"train": 5}}}, "samples_per_class.train: an image may be of several classes"),
        ({"data": {"long_tail": 5.0}}, "data.long_tail: images are of one class each"),
        ({"loss": {"logit_adjustment": 1.0}}, "loss.logit_adjustment: images are of one class each"),
        ({"sampling": {"balance": 1.0}}, "sampling.balance: images are of one class each"),
        ({"loss": {"focal_gamma": 2.0, "asymmetric": {}}}, "loss.focal_gamma: loss.asymmetric has a focusing"),
        ({"model": {"checkpoint": "a/b"}, "loss": {"asymmetric": {}}}, "loss.asymmetric: is for several labels"),
        ({"model": {"checkpoint": "a/b"}, "data": {"label_column": ["a", "b"]}}, "a list of columns needs model.multi"),
    ],
)
def test_what_does_not_go_together_is_refused(keys, line):
    base = {"data": {"path": "x"}, "model": {"checkpoint": "a/b", "multi_label": True}, "training": {"output_dir": "r"}}
    merged = {**base, **keys, "data": {"path": "x", **keys.get("data", {})}}
    with pytest.raises(InputError, match=line):
        load_recipe(merged)
