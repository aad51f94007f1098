"""A run, top to bottom."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hf_imgcls import machine, reports
from hf_imgcls.api.calibrate import calibrate, check_can_calibrate
from hf_imgcls.api.check import check_recipe
from hf_imgcls.api.ensemble import train_ensemble
from hf_imgcls.api.finished import answer_again, try_places
from hf_imgcls.api.folds import cross_validate
from hf_imgcls.api.network import open_network
from hf_imgcls.api.rejection import check_can_reject, check_network
from hf_imgcls.api.run import Run, Settings, Trained, conclude_run
from hf_imgcls.api.seeds import train_seeds
from hf_imgcls.data import Data, load_data
from hf_imgcls.images import input_size, own_transforms
from hf_imgcls.machine import on_main, say
from hf_imgcls.models import describe_dropout
from hf_imgcls.publishing import check_push
from hf_imgcls.recipe import as_run, check_seeds
from hf_imgcls.store import FailureKept, Lock, cache_in_use, check_run_folder, is_finished, lock_run
from hf_imgcls.training import (
    Custom,
    check_room_of_run,
    last_digits_of,
    score_run,
    settings_of,
    train_stages,
)


@cache_in_use()
def train_classifier(
    source: str | Path | dict,
    overrides: Iterable[str] = (),
    start_over: bool = False,
    *,
    resume_anyway: bool = False,
    seeds: Sequence[int] = (),
    transforms: Mapping[str, type] | None = None,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None = None,
    metrics: Mapping[str, Callable[..., float]] | None = None,
) -> dict[str, Any]:
    """Train, save, score and check the classifier that a recipe describes.

    What a recipe cannot name comes from Python, for this call alone (examples/custom_*.py); a recipe file never
    imports code. An unfinished run in the same folder goes on; a finished one of this recipe and these images is
    answered with its results.

    Args:
        source: a recipe file, or its content.
        overrides: `section.key=value`.
        start_over: move a finished or changed run in the same folder aside and begin anew.
        resume_anyway: go on with an unfinished run also where the number of processes, the device, the precision or
            another setting that changes the result is not what it was begun with; `notes` of the results say so.
        seeds: a run for each, in output_dir/seed-1 and so on, in place of one with `training.seed`.
        transforms: classes that `augmentation.train` may name; their instances map uint8 images (3, height, width).
        loss: of logits (images, classes) and class ids (images,), one value for each image or their mean, in place of
            the cross-entropy in training; not with mixing, whose labels are soft. To resume, pass the same one: a
            changed function is not noticed.
        metrics: by name, of predicted ids and label ids, each (images,), and of `probabilities` (images, classes) if
            the function has such a parameter; `training.metric_for_best_model` may name them.

    Returns:
        The content of results.json; of a cross-validation (`data.folds`) that of folds.json, of several seeds that of
        seeds.json.

    Raises:
        InputError: the recipe, the data, the model or the machine is not as it must be.
        ParityError: the saved model does not reproduce the evaluated predictions.
        PushError: the run is complete, but not on the Hub; says what puts it there.
    """
    overrides, custom = [*overrides], Custom(loss, metrics or {}, tuple(transforms or ()))
    with own_transforms(transforms or {}), Lock() as lock:
        recipe = check_recipe(source, overrides, custom)
        how = Settings(start_over, resume_anyway, custom)
        if seeds:
            seeds = [*seeds]
            check_seeds(recipe, seeds, overrides)
            return train_seeds(recipe, seeds, lambda one: _train_one(one, how), (start_over, lock), (source, overrides))
        if not recipe.data.folds or recipe.data.fold:
            return train_recipe(recipe, how, lock)
        return cross_validate(recipe, lambda fold: _train_one(fold, how), start_over, lock)


def _train_one(recipe, how: Settings) -> dict[str, Any]:
    with Lock() as lock:
        return train_recipe(recipe, how._replace(start_over=False), lock)


def train_recipe(recipe, how: Settings, lock: Lock, data: Data | None = None) -> dict[str, Any]:
    """Train, save, score and check what a checked recipe describes, or an ensemble of it; the content of results.json.

    Args:
        lock: takes the lock of the run's folder.
        data: of `recipe.data`, where it has been loaded and described already.
    """
    begun, at = time.perf_counter(), time.time()
    machine.prepare_launch()
    arguments = machine.training_arguments(recipe.training)
    folder = Path(arguments.output_dir)
    check_run_folder(folder)
    launch_note = machine.check_launch()
    machine.check_shared(folder, "training.output_dir")
    machine.check_same("the settings", as_run(recipe), but=("data.path", "training.output_dir"))
    if not how.start_over and on_main(lambda: is_finished(folder, as_run(recipe))):
        on_main(lambda: lock_run(folder, lock))
        return answer_again(folder, recipe.data, arguments)
    check_push(arguments)
    on_main(lambda: try_places(folder, recipe))
    on_main(lambda: lock_run(folder, lock))
    if data is None:
        with machine.first_on_machine("reads the images"):
            data = load_data(recipe.data)
        for line in reports.describe_data(data, launch_note):
            say(line)
    machine.check_same("the images", data.fingerprints)
    check_can_reject(recipe, data)
    check_can_calibrate(recipe, data)
    run = Run(recipe, folder, arguments, data, how, lock, begun, at)
    return conclude_run(run, train_ensemble(run, train_recipe) if recipe.ensemble.networks else train_network(run))


def train_network(run: Run) -> Trained:
    """Build the network of a run and train its stages; with the scores of the splits that are held out."""
    recipe, folder, data = run.recipe, run.folder, run.data
    network = open_network(recipe, data, run.how.custom)
    model, scoring, plans = network.model, network.scoring, network.plans
    if strong := describe_dropout(model.config, recipe.model):
        say(f"model: {strong}")
    check_network(recipe, model, plans[0].images.size)
    if recipe.model.processor and recipe.model.processor.resize == "pad" and any(not p.images.processor for p in plans):
        say("augmentation: a transform with a size crops or squashes training images, which evaluation pads")
    say(machine.describe_machine(network.works_with))
    check_can_calibrate(recipe, data, model, input_size(scoring.processor))

    on_main(lambda: check_room_of_run(folder, model, plans))
    settings, last_digits = settings_of(plans, data, scoring, network.works_with), last_digits_of(network.works_with)
    run.open(settings, last_digits)
    on_main(lambda: reports.draw_training_images(folder, data, plans))
    with FailureKept(folder):
        trainer, stages = train_stages(plans, data, model, scoring, recipe.data.bad_images)
        scored = score_run(trainer, plans, stages, data, scoring)
        scored, temperature = calibrate(run, trainer, scored, scoring)
    advice = reports.advise_run(plans, stages, data, network.hardware, network.channels_last)
    earlier = sum(stage["earlier_seconds"] for stage in stages)
    return Trained(trainer, stages, scoring, scored, network.works_with, advice, earlier, temperature)
