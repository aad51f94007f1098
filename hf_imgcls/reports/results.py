"""The content of results.json, and the lines that a run prints about its data, scores and time."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from hf_imgcls.data import count_classes, read_labels
from hf_imgcls.machine import describe_hardware, package_versions
from hf_imgcls.reports.cautions import describe_overlaps
from hf_imgcls.reports.groups import describe_shared
from hf_imgcls.scoring import main_metric, metrics_in, weakest_classes
from hf_imgcls.store import BAD_IMAGES
from hf_imgcls.training import PARTS
from hf_imgcls.words import duration, number, one_line, plural

_NONE = MappingProxyType({})
_FEW, _WEAKEST = 20, 10  # classes up to which the console shows every one, and how many it shows of more
_LONGEST = 60  # characters of a class in the console


def describe_scores(scores: dict[str, dict[str, Any]], cautions: Mapping[str, Sequence[str]] = _NONE) -> list[str]:
    """A line for each split, and directly after it what must stand beside its accuracy."""
    lines = []
    for split, values in scores.items():
        main = main_metric(values)
        low, high = values[f"{main}_interval_95"]
        shown = {key: f"{each.name} {values[key]:{each.format}}" for key, each in metrics_in(values).items()}
        shown[main] += f" (95 % interval {low:.4f} to {high:.4f}; {describe_baseline(values)})"
        lines.append(f"{split}: {', '.join(shown.values())}, {values['images']:,} images")
        lines += [f"{split}: {caution}" for caution in cautions.get(split, ())]
    return lines


def describe_baseline(values: Mapping[str, Any]) -> str:
    """What the main metric of a split is compared with."""
    if "map" in values:
        return f"of random scores {values['map_baseline']:.4f}"
    return f"majority baseline {values['majority_baseline']:.4f}"


def describe_classes(classes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Recall, precision and F1 of each class, or of those with the lowest recall, as the lines of a table.

    Of several labels an image their average precision and threshold stand where one label has what it is confused with.
    """
    several = any("threshold" in values for values in classes.values())
    order = list(classes) if len(classes) <= _FEW else weakest_classes(classes)[:_WEAKEST]
    shown = {name: name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…" for name in classes}
    width = max(len("class"), *(len(shown[name]) for name in order))
    last = "average precision  threshold" if several else "most often confused with"
    lines = [f"{'class':{width}}  images  recall  precision      F1  {last}"]
    for name in order:
        each = classes[name]
        cells = (number(each[key]) for key in ("recall", "precision", "f1"))
        if several:
            other = f"{number(each['average_precision']):>17}  {each['threshold']:>9.4f}"
        else:
            other = next((f"{shown[n]} ({count:,})" for n, count in each["predicted"].items() if n != name), "-")
        lines.append("{:{}}  {:>6,}  {:>6}  {:>9}  {:>6}  {}".format(shown[name], width, each["images"], *cells, other))
    if len(order) < len(classes):
        lines.append(f"(the {len(order)} of {len(classes)} classes with the lowest recall)")
    return lines


def describe_data(data, launch_note: str | None, bad_in: str | None = BAD_IMAGES) -> list[str]:
    """The lines before training, or before scoring; `bad_in` is the file that lists the unreadable images."""
    sizes = [f"{role} {len(data.splits[role]):,}" for role in data.fingerprints]
    images = f"{', '.join(sizes)} images" if sizes else f"{', '.join(data.splits)} streamed"
    lines = [f"data: {plural(len(data.labels), 'class')}; {images}", *_per_class(data)]
    if data.bad:
        first = data.bad[0]
        lines.append(
            f"data: dropped {plural(len(data.bad), 'unreadable image')}{f', listed in {bad_in}' if bad_in else ''} "
            f"(first: {first.file}: {first.reason})"
        )
    counts = {role: len(data.splits[role]) for role in data.fingerprints}
    overlaps = describe_overlaps(data.overlaps, counts)
    overlaps += describe_shared(data.shared_groups, data.group_column, counts)
    lines += [f"data: {note}" for note in [*data.notes, *overlaps]]
    return ([launch_note] if launch_note else []) + lines


def _per_class(data) -> list[str]:
    """A line with the smallest and the largest class of train, where images are counted."""
    if "train" not in data.fingerprints:
        return []
    counts = count_classes(read_labels(data.splits["train"]), len(data.labels))
    least, most = (pick(range(len(data.labels)), key=lambda i: counts[i]) for pick in (min, max))
    if counts[least] == counts[most]:
        return [f"data: train: {plural(counts[most], 'image')} per class"]
    ends = " to ".join(f"{counts[i]:,} ({one_line(data.labels[i], _LONGEST)})" for i in (least, most))
    return [f"data: train: {ends} images per class"]


def collect_results(data, trainer, stages: list[dict], scores: dict, verdict: dict | None, seed: int) -> dict[str, Any]:
    """The content of results.json."""
    processes = trainer.accelerator.num_processes
    return {
        "scores": scores,
        "parity": verdict,
        "labels": [trainer.model.config.id2label[i] for i in range(len(data.labels))],
        "images": {role: len(data.splits[role]) for role in data.fingerprints},
        "fingerprints": data.fingerprints,
        "bad_images": len(data.bad),
        "notes": data.notes,
        "training": {
            "seconds": round(sum(stage["seconds"] for stage in stages), 1),
            "steps": sum(stage["steps"] for stage in stages),
            "epochs": sum(stage["epochs"] for stage in stages),
            "best_step": stages[-1]["best_step"] if stages else None,
            "best_metric": stages[-1]["best_metric"] if stages else None,
        },
        "stages": [{key: value for key, value in stage.items() if key != "history"} for stage in stages],
        "seed": seed,
        "command": shlex.join(sys.argv),
        "processes": processes,
        "hardware": describe_hardware(processes),
        "versions": package_versions(),
    }


def summarize_time(stages: Sequence[Mapping], whole: float, scoring: float) -> dict[str, Any]:
    """Where the seconds of a run went, ready for JSON.

    `images_per_second` counts the time while images were trained on, `reading` that of all workers together.

    Args:
        whole: seconds of the run; where it was resumed, of its last part and of the training before.
        scoring: of them seconds for scoring at the end.
    """
    counted = [counts for counts in map(counts_of, stages) if counts]
    parts = {part: round(sum(counts[part] for counts in counted), 3) for part in PARTS}
    seconds, busy = sum(parts.values()), sum(parts[part] for part in ("data", "transfer", "model"))
    images = sum(counts["images"] for counts in counted)
    return {
        "run": round(whole, 1),
        "scoring": round(scoring, 1),
        "training": {
            "seconds": round(seconds, 3),
            **parts,
            "fractions": {part: round(value / seconds, 4) if seconds else 0.0 for part, value in parts.items()},
            "images": images,
            "images_per_second": round(images / busy, 1) if busy else None,
            "reading": round(sum(counts["reading"] or 0.0 for counts in counted), 3),
        },
    }


def counts_of(stage: Mapping) -> dict[str, Any] | None:
    """What the clock of a stage counted; None where the stage had already stopped when the run was resumed."""
    return next((entry["time"] for entry in reversed(stage["history"]) if "time" in entry), None)


def describe_time(spent: Mapping[str, Any]) -> list[str]:
    """Where the time went and what would make the run faster, in three lines."""
    training = spent["training"]
    rest = max(0.0, spent["run"] - training["seconds"] - spent["scoring"])
    lines = [
        f"time: {duration(spent['run'])} in total: training {duration(training['seconds'])}, "
        f"scoring {duration(spent['scoring'])}, everything else {duration(rest)}"
    ]
    if training["images_per_second"]:
        fractions = training["fractions"]
        named = [f"{fractions[part]:.0%} {PARTS[part]}" for part in PARTS if fractions[part] >= 0.005]
        each = 1000 * training["reading"] / training["images"] if training["reading"] else 0.0
        read = f"; reading and augmenting took {each:.1f} ms per image" if each else ""
        lines.append(f"time: {training['images_per_second']:,} images/s; {', '.join(named)}{read}")
    if spent["advice"]:
        lines.append(f"time: faster with {spent['advice']}")
    return lines
