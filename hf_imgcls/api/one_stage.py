"""One stage of a recipe, ready to train where a command wants to know something of it; a run folder is not touched."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedModel

from hf_imgcls import machine, reports
from hf_imgcls.api.check import check_recipe
from hf_imgcls.api.network import open_network
from hf_imgcls.data import Data, load_data
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import on_main, say
from hf_imgcls.recipe import as_run, load_recipe, stages_of
from hf_imgcls.training import ImageTrainer, Plan, network_after, stage_trainer, train_stages


class OneStage(NamedTuple):
    """A stage of a recipe, and the network as it begins with it."""

    recipe: Any
    plan: Plan
    data: Data
    model: PreTrainedModel
    scoring: EvalTransform

    @property
    def section(self) -> str:
        """The section of the recipe that has the stage's TrainingArguments."""
        return f"stages.{self.plan.stage.number - 1}.training" if self.plan.stage.listed else "training"

    def trainer(self, plan: Plan) -> ImageTrainer:
        """What trains the stage, by a plan that is its own but for its arguments."""
        return stage_trainer(plan, self.data, self.model, self.scoring, self.recipe.data.bad_images)[0]


@contextlib.contextmanager
def open_stage(source: str | Path | dict, overrides: Iterable[str], number: int | None, command: str) -> Iterator:
    """A OneStage; the stages before it are trained first, in a folder that is deleted afterwards.

    Args:
        number: of the stage, from 1; None for the last.
        command: for the lines of errors.
    """
    recipe = check_recipe(source, overrides)
    number = _check(recipe, number, command)
    note = machine.check_launch()
    scratch = on_main(lambda: tempfile.mkdtemp(prefix="hf_imgcls_"))
    try:
        recipe = _elsewhere(recipe, scratch)
        with machine.first_on_machine("reads the images"):
            data = load_data(recipe.data)
        for line in reports.describe_data(data, note, bad_in=None):
            say(line)
        network = open_network(recipe, data)
        model, scoring, plans = network.model, network.scoring, network.plans[:number]
        say(machine.describe_machine({**network.works_with, "precision": _precision(plans[-1])}))
        if number > 1:
            say(f"{command}: stage {number} starts from the stage before it, so that is trained first")
            trainer, _ = train_stages(plans[:-1], data, model, scoring, recipe.data.bad_images)
            trainer.save_run(plans[-2].folder)
            trainer.accelerator.wait_for_everyone()
            model = network_after(plans[-2], trainer.model)
            del trainer, network  # which would take memory of the device beside the stage
            machine.release_device(plans[-1].arguments.device)
        yield OneStage(recipe, plans[-1], data, model, scoring)
    finally:
        on_main(lambda: shutil.rmtree(scratch, ignore_errors=True))


def _precision(plan: Plan) -> str:
    return plan.arguments.mixed_precision.replace("no", "float32")


def _check(recipe, number: int | None, command: str) -> int:
    """The number of the stage; an InputError where the recipe has none that can be looked at alone."""
    if recipe.data.folds:
        raise InputError(f"data.folds: {command} looks at one training; data.folds=null leaves them out")
    if recipe.ensemble.networks:
        raise InputError(f"ensemble: {command} looks at one network; ensemble.networks=[] leaves the others out")
    stages = stages_of(recipe)
    number = len(stages) if number is None else number
    if not 1 <= number <= len(stages):
        known = f"1 to {len(stages)}" if len(stages) > 1 else "1, since the recipe has no other"
        raise InputError(f"--stage: found {number}, expected {known}")
    if stages[number - 1].logistic_regression:
        key = f"stages.{number - 1}.logistic_regression"
        raise InputError(f"{key}: a solved head has neither learning rate nor batches; name another --stage")
    return number


def _elsewhere(recipe, folder: str):
    """The recipe with another run folder, and nothing that leaves the machine."""
    content = as_run(recipe)
    kept = {key: value for key, value in content["training"].items() if not key.startswith(("push_to_hub", "hub_"))}
    content["training"] = {**kept, "output_dir": str(Path(folder) / "run"), "report_to": "none"}
    return load_recipe(content)
