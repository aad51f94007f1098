import datasets
import pytest
import torch

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.sections import LossSection
from hf_imgcls.training.balance import class_weights
from hf_imgcls.training.loss import Terms, total_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0], [1.0, 1.0, 1.0], [-2.0, 0.3, 4.0]])
HARD = torch.tensor([0, 2, 1, 2])


def by_hand(targets: torch.Tensor, weights=(1.0, 1.0, 1.0), smoothing=0.0) -> float:
    """Minus the sum of targets times log-probabilities of an image, times its label's weight, number by number."""
    total = 0.0
    for logits, row in zip(LOGITS.tolist(), targets.tolist(), strict=True):
        powers = [torch.tensor(x).exp().item() for x in logits]
        image = sum(weight * target for weight, target in zip(weights, row, strict=True))
        for power, target in zip(powers, row, strict=True):
            smooth = target * (1 - smoothing) + smoothing / 3
            total -= image * smooth * torch.tensor(power / sum(powers)).log().item()
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 3.0]])
def test_hard_and_soft_labels_give_the_cross_entropy_written_by_hand(weights, smoothing):
    tensor = None if weights is None else torch.tensor(weights)
    one_hot = torch.nn.functional.one_hot(HARD, 3).float()
    soft = 0.3 * one_hot + 0.7 * one_hot.roll(1, 0)
    for labels, targets in ((HARD, one_hot), (soft, soft)):
        expected = by_hand(targets, weights or (1.0, 1.0, 1.0), smoothing)
        assert total_loss(LOGITS, labels, Terms(tensor), smoothing).item() == pytest.approx(expected, rel=1e-5)


def test_a_smoothed_label_does_not_draw_images_to_the_heavy_class():
    weights = torch.tensor([0.5, 25.0])
    logits = torch.zeros(1, 2, requires_grad=True)
    total_loss(logits, torch.tensor([0]), Terms(weights), 0.1).backward()
    assert logits.grad[0].tolist() == pytest.approx([-0.225, 0.225])  # 0.5 * (0.5 - 0.95): towards its own class
    each = torch.nn.functional.cross_entropy(LOGITS, HARD, label_smoothing=0.1, reduction="none")
    expected = (each * torch.tensor([0.5, 25.0, 3.0])[HARD]).sum().item()
    assert total_loss(LOGITS, HARD, Terms(torch.tensor([0.5, 25.0, 3.0])), 0.1).item() == pytest.approx(expected)


def rows(*ids: int) -> datasets.Dataset:
    return datasets.Dataset.from_dict({"label": list(ids)})


def test_balanced_weights_make_all_classes_weigh_the_same():
    weights = class_weights(LossSection(class_weights="balanced"), rows(0, 0, 0, 0, 1, 1, 2), ["a", "b", "c"], range(3))
    assert weights.tolist() == pytest.approx([7 / 12, 7 / 6, 7 / 3])
    assert (weights * torch.tensor([4, 2, 1])).tolist() == pytest.approx([7 / 3] * 3)


def test_weights_follow_names_not_positions():
    section = LossSection(class_weights={"b": 5.0})
    # The model's ids are those of its checkpoint: class b of the data is the model's 0.
    assert class_weights(section, rows(0, 1), ["a", "b"], [1, 0]).tolist() == pytest.approx([5 / 3, 1 / 3])
    balanced = class_weights(LossSection(class_weights="balanced"), rows(0, 0, 0, 1), ["a", "b"], [1, 0])
    assert balanced.tolist() == pytest.approx([2.0, 2 / 3])


@pytest.mark.parametrize("chosen", ["balanced", {"b": 30.0}, {"a": 7.0, "b": 7.0, "c": 7.0}])
def test_the_mean_loss_of_the_split_is_torchs_weighted_mean(chosen):
    split, names = rows(*HARD.tolist()), ["a", "b", "c"]
    weights = class_weights(LossSection(class_weights=chosen), split, names, range(3))
    if chosen == "balanced":
        chosen = {name: 1 / HARD.tolist().count(i) for i, name in enumerate(names)}
    raw = [chosen.get(name, 1.0) for name in names]
    expected = torch.nn.functional.cross_entropy(LOGITS, HARD, weight=torch.tensor(raw)).item()
    assert total_loss(LOGITS, HARD, Terms(weights)).item() / len(HARD) == pytest.approx(expected)
    assert weights[HARD].mean().item() == pytest.approx(1.0)


def test_the_classes_of_a_stream_count_alike():
    stream = rows(0, 1, 1).to_iterable_dataset()
    assert class_weights(LossSection(class_weights={"b": 3.0}), stream, ["a", "b"], range(2)).tolist() == [0.5, 1.5]


def test_no_weights_where_none_are_said():
    assert class_weights(LossSection(), rows(0), ["a"], [0]) is None


def test_weights_that_do_not_fit_the_data_are_one_line():
    with pytest.raises(InputError, match=r"loss\.class_weights: the data has no class 'catt'; did you mean \"cat\""):
        class_weights(LossSection(class_weights={"catt": 2.0}), rows(0, 1), ["cat", "dog"], [0, 1])
    stream = rows(0, 1).to_iterable_dataset()
    with pytest.raises(InputError, match="cannot count a stream"):
        class_weights(LossSection(class_weights="balanced"), stream, ["cat", "dog"], [0, 1])
