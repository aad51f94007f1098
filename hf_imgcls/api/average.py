"""An average: finished runs, or checkpoints of one, become one model, scored beside each of them."""

import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import reports, serving
from hf_imgcls.api.calibrate import scale_saved
from hf_imgcls.api.finished import tell_results
from hf_imgcls.api.ingredients import Ingredient, find_ingredients, open_first, other_origins
from hf_imgcls.api.rejection import set_rejection
from hf_imgcls.data import BadImage, Data, load_data, save_digests
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.machine import check_launch, prepare_launch, say, training_arguments
from hf_imgcls.models import channels_last, keep_thresholds, thresholds_by_label
from hf_imgcls.recipe import as_run, check_path, load_recipe, stages_of
from hf_imgcls.scoring import METRICS, REJECTION, break_down, metrics_of
from hf_imgcls.store import (
    BAD_IMAGES,
    DIGESTS,
    RECIPE,
    RESULTS,
    SPLITS,
    cache_in_use,
    describe_weights,
    read_kept,
    try_place,
    write_csv,
    write_json,
)
from hf_imgcls.training import ImageTrainer, ScoredRun, Soup, choose_greedily

_BATCH = 32  # images at least, from which statistics of batch normalizations are computed
_ANY_CLASSES = 10**9
_OF_SCORING = ("per_device_eval_batch_size", "use_cpu", "seed")  # what a run's training section says of scoring


@cache_in_use()
def average_models(models: Sequence[str | Path], output: Path | None = None, greedy: bool = False) -> dict[str, Any]:
    """Average the weights of models (a soup, arXiv:2203.05482) that were trained from the same one on the same splits.

    The result is a folder like that of a run. Statistics of batch normalizations that trained are computed anew, on
    images of train. The models themselves are not changed.

    Args:
        models: finished runs, or checkpoints of runs.
        output: a new folder; `<first run>-average` if None.
        greedy: begin with the best on validation, and add each other one that does not make it worse there.

    Returns:
        The content of results.json; `average` has the models, their weights and scores.

    Raises:
        InputError: the models do not go together, or their images are not there any more.
        ParityError: the saved model does not reproduce the evaluated predictions.
    """
    begun, found = time.perf_counter(), find_ingredients(models)
    target = Path(output or found[0].run.with_name(f"{found[0].run.name}-average"))
    serving.check_target(target)
    try_place(target.absolute().parent, "--output")
    recipe, scoring_recipe = _recipes(found[0], target)
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)  # a launcher's fp16 is for training: scores are float32
    prepare_launch()
    check_launch()
    with tempfile.TemporaryDirectory() as folder:
        own = {"eval_strategy": "no", "save_strategy": "no", "fp16": False, "bf16": False}
        arguments = training_arguments(scoring_recipe.training, output_dir=folder, **own)
        if arguments.world_size > 1:
            raise InputError("average: it is the work of one process; start it without a launcher")
        network, processor = open_first(found)
        data = _load(recipe, found[0])
        data.notes.extend(other_origins(found))
        for line in reports.describe_data(data, None):
            say(line)
        scoring = EvalTransform(processor, [network.config.label2id[name] for name in data.labels])
        channels_last(network, input_size(processor))
        trainer = ImageTrainer(network, arguments, processing_class=processor)
        soup = Soup(trainer, {each.name: each.folder for each in found}, data, scoring)
        average, chosen = _choose(soup, _metric(recipe), greedy)
        soup.put_in(chosen)
        with serving.new_folder(target) as draft:
            results = _write(draft, recipe, soup, average, begun)
            write_json(draft / RECIPE, as_run(recipe))
            write_json(draft / RESULTS, results)
    reports.write_card(target, recipe, results)  # which has the folder's name
    for line in reports.average_table(results["average"], results["scores"]):
        say(line)
    tell_results(target, results)
    return results


def _recipes(first: Ingredient, target: Path):
    """The recipe that the average keeps, which has its folder and pushes nothing; and one to score with."""
    content = read_kept(first.run / RECIPE)
    training = content.get("training", {})
    kept = {key: value for key, value in training.items() if not key.startswith(("hub_", "push_to_hub"))}
    recipe = load_recipe({**content, "training": {**kept, "output_dir": str(target)}})
    check_path(recipe.data)
    own = {key: training[key] for key in _OF_SCORING if key in training}
    own["per_device_eval_batch_size"] = max(_BATCH, own.get("per_device_eval_batch_size", 0))
    scoring = {"data": content["data"], "model": {"checkpoint": str(first.folder)}}
    return recipe, load_recipe({**scoring, "training": {**own, "output_dir": "none"}})


def _load(recipe, first: Ingredient) -> Data:
    """The images of the first run; an InputError where they are not what they were."""
    data, kept = load_data(recipe.data), read_kept(first.run / SPLITS)["fingerprints"]
    if changed := [role for role in kept if kept[role] != data.fingerprints.get(role)]:
        raise InputError(f"average: images of {', '.join(changed)} are not those that {first.name} was trained with")
    return data


def _metric(recipe) -> str:
    """What the last stage selected its checkpoint by; accuracy, or mAP, where that is a user's own."""
    several = recipe.model.multi_label
    usual = "map" if several else "accuracy"
    name = (stages_of(recipe)[-1].training.metric_for_best_model or usual).removeprefix("eval_")
    return name if name in metrics_of(_ANY_CLASSES, several) else usual


def _choose(soup: Soup, metric: str, greedy: bool) -> tuple[dict[str, Any], list[int]]:
    """Every model's scores, for the content of `average`, and the numbers of those that are averaged."""
    scores = []
    for number, name in enumerate(soup.names):
        soup.put_in([number])
        scores.append(soup.score()[0])
        say(f"{name}: validation {metric} {scores[-1]['validation'][metric]:.4f}")
    sign = -1 if METRICS[metric].greater_is_better else 1
    values = [each["validation"][metric] for each in scores]
    order = sorted(range(len(values)), key=lambda i: (sign * values[i], scores[i]["validation"]["loss"]))
    chosen = choose_greedily(soup, order, values[order[0]], metric, say) if greedy else list(range(len(values)))
    models = [
        {"model": name, "weight": round(1 / len(chosen), 6) if i in chosen else 0.0, "scores": each}
        for i, (name, each) in enumerate(zip(soup.names, scores, strict=True))
    ]
    about = {"method": "greedy" if greedy else "plain", "metric": metric, "models": models}
    return {**about, "recomputed_normalizations": len(soup.statistics) * (len(chosen) > 1)}, chosen


def _write(folder: Path, recipe, soup: Soup, average: dict[str, Any], begun: float) -> dict[str, Any]:
    """Save, score and check the average; returns the content of results.json."""
    trainer, data = soup.trainer, soup.data
    if hasattr(trainer.model.config, REJECTION):
        delattr(trainer.model.config, REJECTION)
    trainer.save_run(folder)
    scores, outputs = soup.score()
    temperature = None
    if recipe.calibration.temperature_scaling:  # the mean of calibrated networks is not calibrated
        scored = ScoredRun(scores, outputs, outputs)
        (scores, outputs, _), temperature = scale_saved(folder, trainer, scored, data, soup.scoring)
    trainer.check_predictions(outputs, 0)
    keep_thresholds(folder, trainer.model.config)
    labels = [trainer.model.config.id2label[i] for i in range(len(data.labels))]
    verdict = serving.check_serving(folder, data, outputs, labels, trainer.args)
    write_json(folder / SPLITS, data.describe_splits())
    save_digests(folder / DIGESTS, data.digests)
    write_csv(folder / BAD_IMAGES, BadImage._fields, data.bad)
    results = reports.collect_results(data, trainer, [], scores, verdict, trainer.args.seed)
    results["training"]["seconds"] = round(time.perf_counter() - begun, 1)
    results["breakdown"] = break_down(outputs, scores, labels)
    results["duplicates"] = reports.collect_duplicates(data, outputs)
    results["groups"] = reports.collect_groups(data, outputs)
    if data.multi_label:
        results |= {"multi_label": True, "thresholds": thresholds_by_label(trainer.model.config)}
    results["cautions"] = reports.collect_cautions(results, {})
    results["average"] = average
    if temperature:
        results["temperature"] = temperature
    if rejection := set_rejection(recipe, folder, outputs, data, trainer.args.device):
        results["rejection"] = rejection
    results |= describe_weights(folder)
    reports.draw_classes(folder, *_tested(results))
    name = Path(recipe.training.output_dir).name
    opened = (trainer.model, soup.scoring.processor)
    subject = reports.Subject(name, results, outputs, data.splits, (), data.labels, lambda: opened)
    reports.write_report(folder, subject)
    return results


def _tested(results: dict[str, Any]) -> tuple[dict, str]:
    split = "test" if "test" in results["scores"] else "validation"
    return results["breakdown"][split]["classes"], split
