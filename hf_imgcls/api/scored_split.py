"""What there is to say of a split that a saved model was scored on: per class, duplicates, none of these, cautions."""

from collections.abc import Mapping, Sequence
from typing import Any

from hf_imgcls import reports
from hf_imgcls.api.rejection import of_rows
from hf_imgcls.api.seen import find_seen
from hf_imgcls.api.thresholds import Setting
from hf_imgcls.machine import on_main
from hf_imgcls.scoring import Rejection, break_down, confidences, measure_rejection, read_rejection
from hf_imgcls.serving import as_classifier, open_rejection


def measure_scored(model: str, scored: Setting, kinds: Sequence[str], of_setting: Sequence[str]) -> dict[str, Any]:
    """Results by the name of the split, as those of a run.

    Args:
        model: as it was named.
        kinds: of the views of test-time augmentation.
        of_setting: cautions about thresholds that were set on this split.

    Returns:
        `scores`, `breakdown`, `duplicates`, `cautions`, `rejection` (None without a threshold, or with views).
    """
    data, name, config = scored.data, scored.split, scored.network.config
    labels = [config.id2label[i] for i in range(config.num_labels)]
    seen, seen_notes = on_main(lambda: find_seen(model, data, scored.outputs[name]))
    results = {"scores": scored.scores, "breakdown": break_down(scored.outputs, scored.scores, labels)}
    results["duplicates"] = [*reports.collect_duplicates(data, scored.outputs), *seen]
    rejection = read_rejection(config.to_dict())
    of_tta = reports.cautions_of_tta(kinds, rejection is not None) if kinds else []
    of_images = reports.collect_cautions(results).get(name, ())
    results["cautions"] = {name: [*of_setting, *of_tta, *of_images, *seen_notes]}
    rejects = rejection is not None and not kinds
    results["rejection"] = on_main(lambda: _rejected(model, scored, rejection)) if rejects else None
    return results


def _rejected(model: str, scored: Setting, found: Rejection) -> dict[str, Any]:
    """What the model's threshold of none of these does to the split; a distance reads its images again."""
    output, network = scored.outputs[scored.split], scored.network
    if found.by == "distance":
        classifier = as_classifier("", network, scored.processor, network.device)
        values = of_rows(classifier, open_rejection(model, network), scored.data.splits[scored.split])
    else:
        values = confidences(found.by, output)
    return {**found.settings(), "splits": {scored.split: measure_rejection(values, found.threshold, output)}}


def describe_measured(found: Mapping[str, Any], gain: Mapping[str, Any] | None) -> list[str]:
    """Console lines, the last ones about what views gain and cost."""
    ((name, own),) = found["scores"].items()
    lines = [*reports.describe_scores(found["scores"], found["cautions"])]
    lines += reports.describe_rejection(found["rejection"])
    lines += reports.describe_classes(found["breakdown"][name]["classes"])
    return [*lines, *(reports.describe_tta(gain, own) if gain else ())]


def of_one_split(found: Mapping[str, Any], scored: Setting) -> dict[str, Any]:
    """The same for the one split that there is, with what is known of its images."""
    data, name, rejected = scored.data, scored.split, found["rejection"]
    settings = {key: value for key, value in (rejected or {}).items() if key != "splits"}
    return {
        "split": name,
        "labels": [scored.network.config.id2label[i] for i in range(scored.network.config.num_labels)],
        "scores": found["scores"][name],
        "cautions": found["cautions"][name],
        "breakdown": found["breakdown"][name],
        "rejection": {**settings, **rejected["splits"][name]} if rejected else None,
        "duplicates": found["duplicates"],
        "fingerprint": data.fingerprints[name],
        "bad_images": [bad._asdict() for bad in data.bad],
        "notes": data.notes,
    }
