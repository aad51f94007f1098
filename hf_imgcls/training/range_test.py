"""The learning-rate range test (Smith, arXiv 1506.01186): the loss while the rate grows step by step, and what it says.

Rates grow exponentially and the test ends where the loss diverges, as fastai's lr_find does.
"""

import copy
import dataclasses
from typing import NamedTuple

import numpy as np
from torch.optim.lr_scheduler import LambdaLR
from transformers import IntervalStrategy, TrainerCallback
from transformers.trainer_utils import SaveStrategy

from hf_imgcls.errors import DivergenceError, InputError
from hf_imgcls.recipe import AveragingSection
from hf_imgcls.training.callbacks import EpochTable
from hf_imgcls.training.plan import Plan
from hf_imgcls.training.trainer import ImageTrainer

FEWEST = 10  # steps from which a curve has a shape
_DIVERGED = 4  # times the lowest loss so far: fastai's
_KEPT = 0.9  # of the running mean of the loss that decides on the end, at each step
_REACH = 20  # part of the steps that the window of the smoothing reaches to each side
# Deviations of a smoothed loss that its fall has to be: of batches alone, one of a hundred curves falls by as many.
_ABOVE_NOISE = 6


class Sweep(NamedTuple):
    """Rates from `lowest` to `highest` in so many steps, each the same number of times the one before."""

    lowest: float = 1e-7
    highest: float = 10.0
    steps: int = 100

    def rates(self) -> np.ndarray:
        return np.geomspace(self.lowest, self.highest, self.steps)


class Curve(NamedTuple):
    """Rates of the steps, shape (steps,), and their losses; whether it ends because the loss diverged."""

    rates: np.ndarray
    losses: np.ndarray
    diverged: bool


class Suggestion(NamedTuple):
    """The suggested rate, the smoothed losses of the curve, shape (steps,), and the rate of the lowest of them.

    The rate is None where the loss falls by no more than it varies from batch to batch. `still_falls` says that the
    lowest is at the end of a curve that has not diverged.
    """

    rate: float | None
    smoothed: np.ndarray
    minimum: float
    still_falls: bool


class _Watch(TrainerCallback):
    """Notes rate and loss of each step, and ends the training where the loss diverges."""

    def __init__(self):
        self.rates, self.losses = [], []
        self.mean, self.best, self.diverged = 0.0, np.inf, False

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in logs:
            return
        self.rates.append(logs["learning_rate"])
        self.losses.append(logs["loss"])
        self.mean = _KEPT * self.mean + (1 - _KEPT) * logs["loss"]
        mean = self.mean / (1 - _KEPT ** len(self.losses))  # which would else begin at 0
        self.best = min(self.best, mean)
        # A loss that has become small is not lost because it is four times as large.
        if mean > max(_DIVERGED * self.best, self.losses[0]):
            self.diverged = control.should_training_stop = True


def short_plan(plan: Plan, steps: int, *, keep_average: bool = False, **own) -> Plan:
    """A stage of so many steps, which evaluates and saves nothing; `own`, further fields of its TrainingArguments.

    Args:
        keep_average: whether an average of the weights is kept, which takes memory.
    """
    arguments = copy.copy(plan.arguments)
    never = {"eval_strategy": IntervalStrategy.NO, "save_strategy": SaveStrategy.NO, "report_to": []}
    never |= dict.fromkeys(("do_eval", "load_best_model_at_end", "eval_on_start"), False)
    for name, value in {**never, "max_steps": steps, **own}.items():
        setattr(arguments, name, value)
    averaging = plan.stage.averaging if keep_average else AveragingSection()
    stage = plan.stage._replace(averaging=averaging, early_stopping=None)
    return dataclasses.replace(plan, arguments=arguments, stage=stage)


def sweep_plan(plan: Plan, sweep: Sweep) -> Plan:
    """A stage at the rates of a sweep: what `sweep_rates` takes the trainer of."""
    logged = {"logging_strategy": IntervalStrategy.STEPS, "logging_steps": 1, "learning_rate": sweep.lowest}
    return short_plan(plan, sweep.steps, **logged)


def sweep_rates(trainer: ImageTrainer, sweep: Sweep) -> Curve:
    """Train through the rates; the loss is that of all processes."""
    if trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled:
        raise InputError("find-lr: FSDP and DeepSpeed have optimizers of their own; run it without them")
    factors = sweep.rates() / sweep.lowest
    trainer.optimizer = trainer.create_optimizer()
    # Every group has its factor of the rate, so that layers keep their ratios.
    trainer.lr_scheduler = LambdaLR(trainer.optimizer, lambda step: factors[min(step, sweep.steps - 1)])
    watch = _Watch()
    trainer.remove_callback(EpochTable)
    trainer.add_callback(watch)
    try:
        trainer.train()
    except DivergenceError:  # a loss that is no number
        watch.diverged = True
    return Curve(np.array(watch.rates), np.array(watch.losses), watch.diverged)


def suggest_rate(curve: Curve) -> Suggestion:
    """The rate at which the smoothed loss falls most steeply over the logarithm of the rate, before its minimum.

    Raises:
        InputError: the curve is too short.
    """
    if len(curve.losses) < FEWEST:
        begun = f"{curve.rates[0]:.2g}" if len(curve.rates) else "the lowest rate"
        raise InputError(
            f"find-lr: the loss diverged after {len(curve.losses)} steps, from {begun} on, too few to tell a rate; "
            "lower --lowest, or look at model.checkpoint, the precision and the images"
        )
    reach = max(2, len(curve.losses) // _REACH)
    smoothed, slopes = fit_locally(np.log(curve.rates), curve.losses, reach)
    # Of a window that an end of the curve cuts off, a line follows the noise.
    lowest = reach + int(smoothed[reach:-reach].argmin())
    falling = slice(reach, lowest + 1)
    noise = float(np.std((curve.losses - smoothed)[falling])) / (2 * reach + 1) ** 0.5
    steepest = reach + slopes[falling].argmin()
    shown = smoothed[falling].max() - smoothed[lowest] > _ABOVE_NOISE * noise
    still_falls = not curve.diverged and lowest == len(smoothed) - reach - 1
    rate = float(curve.rates[steepest]) if shown else None
    return Suggestion(rate, smoothed, float(curve.rates[lowest]), still_falls)


def fit_locally(places: np.ndarray, values: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Values and slopes of lines fitted to each place and `reach` neighbours on both sides, shapes (points,).

    A running mean would lag behind the loss, and so suggest too high a rate.
    """
    smoothed, slopes = np.empty(len(values)), np.empty(len(values))
    for i, place in enumerate(places):
        near = slice(max(0, i - reach), i + reach + 1)
        slopes[i], smoothed[i] = np.polyfit(places[near] - place, values[near], 1)
    return smoothed, slopes
