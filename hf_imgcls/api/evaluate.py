"""Score any saved model on any dataset, and say where its images are not new to the model."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import reports
from hf_imgcls.api.evaluation import check_output, save_evaluation
from hf_imgcls.api.scored_split import describe_measured, measure_scored, of_one_split
from hf_imgcls.api.seen import check_outside_trained
from hf_imgcls.api.thresholds import Setting, check_can_set, check_rule, kept_rule, leave_out_trained, set_anew
from hf_imgcls.api.tta import score_with
from hf_imgcls.data import Data, load_split
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, check_views, input_size
from hf_imgcls.machine import check_launch, first_on_machine, on_main, prepare_launch, say, training_arguments
from hf_imgcls.models import channels_last, is_multi_label, load_network
from hf_imgcls.recipe import check_outside, load_recipe
from hf_imgcls.store import cache_in_use
from hf_imgcls.training import ImageTrainer

# Keys that say how a source becomes the splits of a training.
_OF_TRAINING = {
    "train_split", "validation_fraction", "test_fraction", "duplicates", "cache_size",
    "streaming", "shuffle_buffer", "group_column", "folds", "fold",
}  # fmt: skip


@cache_in_use()
def evaluate_classifier(
    model: str | Path,
    data: str,
    split: str | None = None,
    overrides: Sequence[str] = (),
    batch_size: int = 32,
    *,
    tta: str | Sequence[str] = (),
    output: Path | None = None,
    set_thresholds: bool = False,
) -> dict[str, Any]:
    """Score any saved folder or Hub model on any dataset, with the metrics and the image reading of a run.

    Args:
        data: whatever `data.path` may be.
        split: a split or slice; the test split if not given.
        overrides: `data.key=value`, as behind a recipe.
        batch_size: images per step and device.
        tta: test-time augmentation, `flip`, `crops` or both: the mean of the probabilities of several views.
        output: a .json file for what is returned, or a folder for that, plots and the report.
        set_thresholds: set the thresholds of several labels an image, or that of none of these (`rejection.key=value`
            among the overrides), on the images of the split that the model was not trained on, and save them in its
            folder; the split is validation if not given.

    Returns:
        `model`, `data`, `split`, `labels`, `scores`, `breakdown`, `rejection`, `duplicates`, `cautions`, `fingerprint`,
        `bad_images`, `notes`, `tta` (None without it); those that results.json of a run has too are as
        there, for the one split.
    """
    recipe = _read_recipe(model, data, overrides, set_thresholds)
    kinds = check_views(tta)
    if set_thresholds:
        check_can_set(str(model), recipe, kinds)
    if batch_size < 1:
        raise InputError(f"--batch-size: found {batch_size}, expected 1 or more")
    if output:
        check_output(output)
        check_outside(output, recipe.data.path)
        check_outside_trained(output, str(model))
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)  # a launcher's fp16 is for training: scores are float32
    prepare_launch()
    network, processor = load_network(str(model))
    if set_thresholds:
        check_rule(network.config, recipe)
    channels_last(network, input_size(processor))
    with tempfile.TemporaryDirectory() as folder:
        own = {"eval_strategy": "no", "save_strategy": "no", "fp16": False, "bf16": False}
        arguments = training_arguments(recipe.training, output_dir=folder, per_device_eval_batch_size=batch_size, **own)
        loaded = _load(str(model), network.config, recipe, split, set_thresholds)
        transform = EvalTransform(processor, range(network.config.num_labels))
        scores, outputs, gain = score_with(ImageTrainer(network, arguments), loaded.splits, transform, kinds)
    scored = Setting(Path(model).expanduser(), network, processor, loaded, scores, outputs)
    of_setting = [set_anew(scored, recipe)] if set_thresholds else []
    found = measure_scored(str(model), scored, kinds, of_setting)
    for line in describe_measured(found, gain):
        say(line)
    result = {"model": str(model), "data": str(data), **of_one_split(found, scored), "tta": gain}
    if output:
        shown = (loaded.splits, (), loaded.labels, lambda: (network, processor))
        subject = reports.Subject(Path(model).name, {**result, **found}, outputs, *shown)
        on_main(lambda: save_evaluation(result, output, subject))
    return result


def _load(model: str, config, recipe, split: str | None, set_thresholds: bool) -> Data:
    """The split that is scored, described on the console; to set thresholds, without what the model was trained on."""
    launch_note = check_launch()
    labels = [config.id2label[i] for i in range(config.num_labels)]
    with first_on_machine("reads the images"):
        loaded = load_split(recipe.data.with_labels(is_multi_label(config)), split, labels)
    if set_thresholds:
        leave_out_trained(model, loaded)
    for line in reports.describe_data(loaded, launch_note, bad_in=None):
        say(line)
    return loaded


def _read_recipe(model: str | Path, data: str, overrides: Sequence[str], set_thresholds: bool):
    """What is scored, as a recipe; refuses keys that have no meaning here."""
    taken = ("data.", "rejection.") if set_thresholds else ("data.",)
    if other := next((override for override in overrides if not override.startswith(taken)), None):
        more = "" if not other.startswith("rejection.") else "; with --set-thresholds also rejection.key=value"
        raise InputError(f"override {other!r}: evaluate takes data.key=value only{more}")
    if set_thresholds:  # the test split chooses nothing, unless it is named
        overrides = ["data.test_split=false", *kept_rule(Path(model), overrides), *overrides]
    named = {"checkpoint": str(model), "multi_label": any(each.startswith("data.label_column=[") for each in overrides)}
    sections = {"data": {"path": str(data)}, "model": named, "training": {"output_dir": "none"}}
    recipe = load_recipe(sections, overrides)
    if recipe.data.streaming:
        raise InputError("data.streaming: evaluate reads a split that it can count; leave it out")
    if any(each.startswith("data.path=") for each in overrides):
        raise InputError("data.path: the data are the second word already; leave it out")
    if meant := _OF_TRAINING & recipe.data.model_fields_set:
        raise InputError(f"data.{min(meant)}: evaluate scores one split as it is, which --split names; leave it out")
    return recipe
