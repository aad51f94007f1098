"""The range test of the learning rate: its rates, its end, and the rate that a curve suggests."""

import numpy as np
import pytest
import torch
from tiny import tiny_model
from transformers import TrainingArguments

from hf_imgcls.errors import InputError
from hf_imgcls.training.groups import Group
from hf_imgcls.training.range_test import Curve, Sweep, suggest_rate, sweep_rates
from hf_imgcls.training.trainer import ImageTrainer


def made(steepest: float, rise: float, steps: int = 100, noise: float = 0.0, floor: float = 0.5) -> Curve:
    """A loss that falls from 2.3, most steeply at one rate, and rises from another on."""
    rates = Sweep(steps=steps).rates()
    fall = (2.3 - floor) / (1 + np.exp(-4 * np.log10(rates / steepest)))
    losses = 2.3 - fall + 2 * np.maximum(0, np.log10(rates / rise)) ** 2
    return Curve(rates, losses + np.random.default_rng(0).normal(0, noise, steps), diverged=True)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize(("steepest", "rise"), [(1e-5, 1e-3), (1e-3, 1e-2), (1e-2, 0.1)])
def test_the_suggestion_is_where_the_loss_falls_most_steeply(steepest, rise, noise):
    found = suggest_rate(made(steepest, rise, noise=noise))
    assert abs(np.log10(found.rate / steepest)) < (0.4 if noise else 0.1)
    assert found.rate < found.minimum < 3 * rise
    assert not found.still_falls


def test_the_smoothed_loss_does_not_lag_behind():
    curve = made(1e-3, 1e-1)
    assert abs(suggest_rate(curve).smoothed - curve.losses)[10:60].max() < 0.1
    reversed_losses = curve._replace(losses=curve.losses[::-1].copy())
    assert suggest_rate(reversed_losses).smoothed[::-1] == pytest.approx(suggest_rate(curve).smoothed)


def test_where_the_loss_only_varies_from_batch_to_batch_nothing_is_suggested():
    rates, shown = Sweep().rates(), []
    for seed in range(20):
        losses = 2.3 + np.random.default_rng(seed).normal(0, 0.1, 100)
        shown.append(suggest_rate(Curve(rates, losses, diverged=False)).rate)
    assert shown == [None] * 20
    rising = Curve(rates, np.linspace(1, 3, 100) ** 3, diverged=True)
    assert suggest_rate(rising).rate is None


def test_a_curve_that_ends_while_it_falls_says_so():
    curve = made(1e-1, 1e3)
    falling = Curve(curve.rates[:80], curve.losses[:80], diverged=False)
    assert suggest_rate(falling).still_falls
    assert not suggest_rate(falling._replace(diverged=True)).still_falls


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_a_curve_of_few_steps_is_one_line(steps):
    with pytest.raises(InputError, match=f"diverged after {steps} steps"):
        suggest_rate(Curve(Sweep().rates()[:steps], np.ones(steps), diverged=True))


@pytest.fixture
def make_trainer(tmp_path):
    def make(lowest: float, steps: int, groups=()) -> ImageTrainer:
        arguments = TrainingArguments(
            str(tmp_path), use_cpu=True, max_steps=steps, learning_rate=lowest, logging_steps=1, save_strategy="no",
            per_device_train_batch_size=4, report_to="none", remove_unused_columns=False, disable_tqdm=True,
            optim="sgd",
        )  # fmt: skip
        generator = torch.Generator().manual_seed(0)
        rows = [{"pixel_values": torch.randn(3, 16, 16, generator=generator), "labels": i % 3} for i in range(12)]
        return ImageTrainer(tiny_model("vit"), arguments, train_dataset=rows, groups=groups)

    return make


def test_each_step_has_its_rate_and_groups_keep_their_ratios(make_trainer):
    sweep = Sweep(1e-6, 1e-2, 12)
    names = [name for name, _ in tiny_model("vit").named_parameters()]
    groups = [Group(0, 0.1, 0.0, tuple(names[:3])), Group(1, 1.0, 0.0, tuple(names[3:]))]
    trainer = make_trainer(sweep.lowest, sweep.steps, groups)
    curve = sweep_rates(trainer, sweep)
    assert curve.rates == pytest.approx(sweep.rates())
    assert np.isfinite(curve.losses).all()
    assert not curve.diverged
    low, high = (group["lr"] for group in trainer.optimizer.param_groups)
    assert low == pytest.approx(0.1 * high)
    assert high == pytest.approx(1e-2)


@pytest.mark.parametrize("highest", [1e4, 1e30])  # the latter to NaN
def test_the_test_ends_where_the_loss_diverges(make_trainer, highest):
    sweep = Sweep(1e-4, highest, 40)
    curve = sweep_rates(make_trainer(sweep.lowest, sweep.steps), sweep)
    assert curve.diverged
    assert len(curve.losses) < 40
    assert np.isfinite(curve.losses).all()
