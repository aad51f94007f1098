"""Score any saved model on any dataset, and say where its images are not new to the model."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hf_imgcls import reports
from hf_imgcls.api.evaluation import check_output, save_evaluation
from hf_imgcls.api.rejection import of_rows
from hf_imgcls.api.seen import find_seen
from hf_imgcls.api.thresholds import Setting, check_can_set, check_rule, leave_out_trained, set_anew
from hf_imgcls.api.tta import score_with
from hf_imgcls.data import load_split
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, check_views, input_size
from hf_imgcls.machine import check_launch, first_on_machine, on_main, prepare_launch, say, training_arguments
from hf_imgcls.models import channels_last, is_multi_label, load_network
from hf_imgcls.recipe import load_recipe
from hf_imgcls.scoring import break_down, confidences, measure_rejection, read_rejection
from hf_imgcls.serving import as_classifier, open_rejection
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
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)  # a launcher's fp16 is for training: scores are float32
    prepare_launch()
    network, processor = load_network(str(model))
    if set_thresholds:
        check_rule(network.config, recipe)
    channels_last(network, input_size(processor))
    labels = [network.config.id2label[i] for i in range(network.config.num_labels)]
    with tempfile.TemporaryDirectory() as folder:
        own = {"eval_strategy": "no", "save_strategy": "no", "fp16": False, "bf16": False}
        arguments = training_arguments(recipe.training, output_dir=folder, per_device_eval_batch_size=batch_size, **own)
        launch_note = check_launch()
        with first_on_machine("reads the images"):
            loaded = load_split(recipe.data.with_labels(is_multi_label(network.config)), split, labels)
        if set_thresholds:
            leave_out_trained(str(model), loaded)
        for line in reports.describe_data(loaded, launch_note, bad_in=None):
            say(line)
        transform = EvalTransform(processor, range(len(labels)))
        scores, outputs, gain = score_with(ImageTrainer(network, arguments), loaded.splits, transform, kinds)
    (name,) = scores
    scored = Setting(Path(model).expanduser(), network, processor, loaded, scores, outputs)
    of_setting = [set_anew(scored, recipe)] if set_thresholds else []
    seen, seen_notes = on_main(lambda: find_seen(str(model), loaded, outputs[name]))
    results = {"scores": scores, "breakdown": break_down(outputs, scores, labels)}
    results["duplicates"] = [*reports.collect_duplicates(loaded, outputs), *seen]
    rejection = read_rejection(network.config.to_dict())
    of_tta = reports.cautions_of_tta(kinds, rejection is not None) if kinds else []
    cautions = [*of_setting, *of_tta, *reports.collect_cautions(results).get(name, ()), *seen_notes]
    classes = results["breakdown"][name]["classes"]
    rejected = None
    if rejection and not kinds:
        rejected = on_main(lambda: _rejected(str(model), network, processor, outputs, loaded))
    lines = [*reports.describe_scores(scores, {name: cautions}), *reports.describe_rejection(rejected)]
    lines += reports.describe_classes(classes)
    for line in [*lines, *(reports.describe_tta(gain, scores[name]) if gain else ())]:
        say(line)
    result = {
        "model": str(model),
        "data": str(data),
        "split": name,
        "labels": labels,
        "scores": scores[name],
        "cautions": cautions,
        "breakdown": results["breakdown"][name],
        "rejection": {**rejection.settings(), **rejected["splits"][name]} if rejected else None,
        "duplicates": results["duplicates"],
        "fingerprint": loaded.fingerprints[name],
        "bad_images": [bad._asdict() for bad in loaded.bad],
        "notes": loaded.notes,
        "tta": gain,
    }
    if output:
        whole = {**result, **results, "cautions": {name: cautions}, "rejection": rejected}
        shown = (loaded.splits, (), loaded.labels, lambda: (network, processor))
        subject = reports.Subject(Path(model).name, whole, outputs, *shown)
        on_main(lambda: save_evaluation(result, output, subject))
    return result


def _rejected(model: str, network, processor, outputs: dict, loaded) -> dict[str, Any]:
    """What the model's threshold of none of these does to the split; a distance reads its images again."""
    ((name, output),) = outputs.items()
    found = read_rejection(network.config.to_dict())
    if found.by == "distance":
        classifier = as_classifier("", network, processor, network.device)
        values = of_rows(classifier, open_rejection(model, network), loaded.splits[name])
    else:
        values = confidences(found.by, output)
    return {**found.settings(), "splits": {name: measure_rejection(values, found.threshold, output)}}


def _read_recipe(model: str | Path, data: str, overrides: Sequence[str], set_thresholds: bool):
    """What is scored, as a recipe; refuses keys that have no meaning here."""
    taken = ("data.", "rejection.") if set_thresholds else ("data.",)
    if other := next((override for override in overrides if not override.startswith(taken)), None):
        more = "" if not other.startswith("rejection.") else "; with --set-thresholds also rejection.key=value"
        raise InputError(f"override {other!r}: evaluate takes data.key=value only{more}")
    if set_thresholds:  # the test split chooses nothing, unless it is named
        overrides = ["data.test_split=false", *overrides]
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
