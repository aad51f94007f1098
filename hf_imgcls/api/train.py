"""The story of a run, top to bottom; and the check of a recipe that it begins with."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from hf_imgcls import machine, reports
from hf_imgcls.api.finished import answer_again, finish, tell_results, try_places
from hf_imgcls.api.folds import cross_validate
from hf_imgcls.data import BadImage, find_replaced, load_data, save_digests
from hf_imgcls.images import EvalTransform, Mixing, build_transforms, input_size, own_transforms
from hf_imgcls.machine import on_main, say
from hf_imgcls.models import build_model, channels_last, check_model, check_patterns, describe_dropout
from hf_imgcls.publishing import check_push, push_trained
from hf_imgcls.recipe import (
    as_run,
    check_output_dir,
    check_path,
    load_recipe,
    naming_stage,
    stages_of,
)
from hf_imgcls.scoring import break_down
from hf_imgcls.serving import check_serving
from hf_imgcls.store import (
    BAD_IMAGES,
    DIGESTS,
    Beginning,
    Lock,
    cache_in_use,
    check_run_folder,
    is_finished,
    lock_run,
    open_run,
    resumed_with,
    write_csv,
)
from hf_imgcls.training import (
    Custom,
    check_arguments,
    check_features,
    check_rates,
    check_room_of_run,
    last_digits_of,
    plan_stages,
    predict_trained,
    score_splits,
    settings_of,
    train_stages,
)
from hf_imgcls.words import listed


@cache_in_use()
def train_classifier(
    source: str | Path | dict,
    overrides: Iterable[str] = (),
    start_over: bool = False,
    *,
    resume_anyway: bool = False,
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
        transforms: classes that `augmentation.train` may name; their instances map uint8 images (3, height, width).
        loss: of logits (images, classes) and class ids (images,), one value for each image or their mean, in place of
            the cross-entropy in training; not with mixing, whose labels are soft. To resume, pass the same one: a
            changed function is not noticed.
        metrics: by name, of predicted ids and label ids, each (images,), and of `probabilities` (images, classes) if
            the function has such a parameter; `training.metric_for_best_model` may name them.

    Returns:
        The content of results.json; of a cross-validation (`data.folds`) that of folds.json.

    Raises:
        InputError: the recipe, the data, the model or the machine is not as it must be.
        ParityError: the saved model does not reproduce the evaluated predictions.
        PushError: the run is complete, but not on the Hub; says what puts it there.
    """
    custom = Custom(loss, metrics or {}, tuple(transforms or ()))
    with own_transforms(transforms or {}), Lock() as lock:
        recipe = check_recipe(source, overrides, custom)
        if not recipe.data.folds or recipe.data.fold:
            return _train(recipe, start_over, resume_anyway, custom, lock)
        return cross_validate(recipe, lambda fold: _train_fold(fold, resume_anyway, custom), start_over, lock)


def _train_fold(recipe, resume_anyway: bool, custom: Custom) -> dict[str, Any]:
    with Lock() as lock:
        return _train(recipe, False, resume_anyway, custom, lock)


def _train(recipe, start_over: bool, resume_anyway: bool, custom: Custom, lock: Lock) -> dict[str, Any]:
    begun, at = time.perf_counter(), time.time()
    machine.prepare_launch()
    arguments = machine.training_arguments(recipe.training)
    folder = Path(arguments.output_dir)
    check_run_folder(folder)
    launch_note = machine.check_launch()
    machine.check_shared(folder, "training.output_dir")
    machine.check_same("the settings", as_run(recipe), but=("data.path", "training.output_dir"))
    if not start_over and on_main(lambda: is_finished(folder, as_run(recipe))):
        on_main(lambda: lock_run(folder, lock))
        return answer_again(folder, recipe.data, arguments)
    check_push(arguments)
    on_main(lambda: try_places(folder, recipe.model))
    on_main(lambda: lock_run(folder, lock))

    with machine.first_on_machine("reads the images"):
        data = load_data(recipe.data)
    machine.check_same("the images", data.fingerprints)
    for line in reports.describe_data(data, launch_note):
        say(line)
    model, processor = build_model(recipe.model, data.labels, arguments.seed)
    if strong := describe_dropout(model.config, recipe.model):
        say(f"model: {strong}")
    scoring = EvalTransform(processor, [model.config.label2id[name] for name in data.labels])
    plans = plan_stages(recipe, data, model, scoring, custom)
    laid_out = channels_last(model, input_size(processor), recipe.model.channels_last)
    hardware = machine.detect_machine(arguments.device.type == "cpu")
    works_with = machine.chosen_settings(hardware, plans[0].arguments, laid_out)
    say(machine.describe_machine(works_with))

    on_main(lambda: check_room_of_run(folder, model, plans))
    settings, last_digits = settings_of(plans, data, scoring, works_with), last_digits_of(works_with)
    now = Beginning(as_run(recipe), data.describe_splits(), settings, last_digits)
    for line in on_main(lambda: open_run(folder, now, start_over, resume_anyway, lock)):
        say(f"resumed: {line}")
    on_main(lambda: save_digests(folder / DIGESTS, data.digests) if data.digests else None)
    on_main(lambda: write_csv(folder / BAD_IMAGES, BadImage._fields, data.bad))
    on_main(lambda: reports.draw_training_images(folder, data, plans))
    trainer, stages = train_stages(plans, data, model, scoring, recipe.data.bad_images)
    trainer.save_run(folder)
    held_out = {split: rows for split, rows in data.splits.items() if split != "train"}
    scores, outputs = score_splits(trainer, held_out, scoring)
    labels = [model.config.id2label[i] for i in range(len(data.labels))]
    predicted = outputs or predict_trained(trainer, data.splits["train"], scoring)
    trainer.check_predictions(predicted, stages[-1]["steps"])
    verdict = on_main(lambda: check_serving(folder, data, predicted, labels, trainer.args))

    results = reports.collect_results(data, trainer, stages, scores, verdict, arguments.seed)
    results["notes"] = [*results["notes"], *custom.notes(), *on_main(lambda: resumed_with(folder))]
    replaced = on_main(lambda: find_replaced(data, at))
    for split, names in replaced.items():
        say(f"data: {split}: other bytes than when they were checked: {listed(names)}")
    results["breakdown"] = break_down(outputs, scores, results["labels"])
    results["duplicates"] = reports.collect_duplicates(data, outputs)
    results["groups"] = reports.collect_groups(data, outputs)
    results["cautions"] = reports.collect_cautions(results, replaced)
    results["machine"] = works_with
    whole = time.perf_counter() - begun + sum(stage["earlier_seconds"] for stage in stages)
    results["time"] = reports.summarize_time(stages, whole, trainer.clock.scoring)
    results["time"]["advice"] = reports.advise_run(plans, stages, data, hardware, laid_out)
    on_main(lambda: reports.draw_results(folder, stages, outputs, results["labels"]))
    on_main(lambda: finish(folder, recipe, results, stages))
    tell_results(folder, results)
    push_trained(folder, arguments, data)
    return results


def check_recipe(source: str | Path | dict, overrides: Iterable[str] = (), custom: Custom | None = None):
    """Load a recipe and check all that needs neither data nor weights: paths, model configuration, transforms."""
    recipe = load_recipe(source, overrides)
    check_path(recipe.data)
    check_output_dir(recipe)
    check_model(recipe.model)
    side = recipe.model.image_size or 224
    machine.prepare_launch()
    for stage in stages_of(recipe):
        with naming_stage(stage):
            check_patterns(stage.train)
            check_rates(stage.optimizer)
            check_arguments(stage, custom or Custom())
            build_transforms(stage.augmentation.train, (side, side))
            Mixing(stage.augmentation.mix, 2)
            check_features(stage, (side, side))
    return recipe
