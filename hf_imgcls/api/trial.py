"""One trial of a search: the stages of its recipe, trained as those of any run; test is not looked at."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate.utils.memory import clear_device_cache
from transformers import TrainerCallback

from hf_imgcls.api.network import open_network
from hf_imgcls.data import Data
from hf_imgcls.errors import InputError
from hf_imgcls.recipe import load_recipe
from hf_imgcls.training import metric_key, outcome, train_stages


class Stopped(Exception):
    """A trial that is worse than half of the others were at the same evaluation."""


class _Reports(TrainerCallback):
    """Hands on the metric of each evaluation, numbered through all stages; a Stopped ends the training there.

    Args:
        last: folder of the last stage, whose last evaluation stops nothing.
    """

    def __init__(self, key: str, last: str, report: Callable[[int, float], bool]):
        self.key, self.last, self.report, self.count = key, last, report, 0

    def on_evaluate(self, args, state, control, metrics=None, **kwargs):
        if not state.global_step or self.key not in metrics:
            return
        self.count += 1
        ended = state.global_step >= state.max_steps and args.output_dir == self.last
        if self.report(self.count, metrics[self.key]) and not ended:
            raise Stopped(f"stopped after evaluation {self.count}: worse than half of the others were")


def train_trial(
    content: dict[str, Any], overrides: list[str], data: Data, folder: Path, report: Callable[[int, float], bool]
) -> float:
    """Train a recipe with other values; returns the metric on validation of the weights that it ends with.

    Args:
        folder: for what has to lie on disk while it trains.
        report: takes number and value of an evaluation, and says whether to stop.

    Raises:
        Stopped: as `report` asked for.
    """
    recipe = load_recipe({**content, "training": {**content["training"], "output_dir": str(folder)}}, overrides)
    network = open_network(recipe, data)
    last = network.plans[-1].arguments
    watch = _Reports(metric_key(last), last.output_dir, report)
    plans = [dataclasses.replace(plan, callbacks=[watch]) for plan in network.plans]
    try:
        _, records = train_stages(plans, data, network.model, network.scoring, recipe.data.bad_images)
    finally:
        del network
        clear_device_cache(garbage_collection=True)
    value = outcome(records, last)
    if value is None:
        raise InputError(f"tune: validation was not scored by {watch.key.removeprefix('eval_')}")
    return value
