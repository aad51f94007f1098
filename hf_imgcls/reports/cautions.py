"""What must stand beside an accuracy: images that were trained on, contradicting labels, and nothing learned."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from hf_imgcls.data import Data, Overlap
from hf_imgcls.reports.groups import caution_of, describe_rest
from hf_imgcls.scoring import METRICS, Scored, better_than_majority, main_metric, main_split, score_part
from hf_imgcls.words import plural


def collect_duplicates(data: Data, outputs: Mapping[str, Scored]) -> list[dict[str, Any]] | None:
    """The overlaps of a run's splits, ready for JSON, each `without`: the scores without these images.

    None where they are not known: the images of a stream are not compared.
    """
    if not data.digests:
        return None
    found = []
    for overlap in data.overlaps:
        split, other = overlap.split, overlap.other
        unknown = split == other or split not in outputs
        rest = None if unknown else score_part(outputs[split], ~np.isin(data.digests[split], data.digests[other]))
        found.append({**overlap._asdict(), "without": rest})
    return found


def describe_overlaps(overlaps: Iterable[Overlap], sizes: Mapping[str, int]) -> list[str]:
    """A line for each before anything is trained, with an example; `sizes` are images by split."""
    lines = []
    for overlap in overlaps:
        split, other, images, different, examples = overlap
        line = f"{split}: {_of(images, sizes[split])} {_there(split, other, images)}, byte for byte"
        line += f"; {_labelled(different, split == other)}" if different else ""
        first = examples[0]
        mine, theirs = (f"{first[key]!r}" for key in ("file", "other_file"))
        if different:
            mine, theirs = f"{mine} ({first['label']!r})", f"{theirs} ({first['other_label']!r})"
        advice = "; data.duplicates=drop_from_train takes them out of train" if other == "train" != split else ""
        lines.append(f"{line} (first: {mine} is {theirs}){advice}")
    return lines


def collect_cautions(
    results: Mapping[str, Any], replaced: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> dict[str, list[str]]:
    """What must stand beside the accuracy of each scored split, in sentences; splits without any are left out.

    Args:
        results: with `scores`, `breakdown`, `duplicates` and, where groups are known, `groups`.
        replaced: of `find_replaced`; what was replaced in train is said beside the main accuracy.
    """
    overlaps = results.get("duplicates") or []
    cautions = {}
    for split, values in results["scores"].items():
        found = [_shared(each, values) for each in overlaps if each["split"] == split != each["other"]]
        found += [caution_of(each, values) for each in results.get("groups") or () if each["split"] == split]
        # Labels that contradict each other within train bound every accuracy, and are said beside the main one.
        within = [split, "train"] if split == main_split(results) else [split]
        found += [_replaced(each, replaced[each]) for each in (split, "train") if each in replaced and each in within]
        for each in overlaps:
            if each["split"] == each["other"] in within and each["different_labels"]:
                found.append(_contradictions(each, split))
        if split == "validation" and any(stage.get("refit") for stage in results.get("stages", ())):
            found.append("scored before the head was solved again, on train and validation")
        if not better_than_majority(values):
            classes = results["breakdown"][split]["classes"]
            found.append(_nothing_learned(values, max(classes, key=lambda name: classes[name]["images"])))
        if split == "validation" and results.get("thresholds"):
            found.append("the thresholds were set on these images, so F1, precision and recall are optimistic")
        if found:
            cautions[split] = found
    return cautions


def _shared(overlap: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    images, different, rest = overlap["images"], overlap["different_labels"], overlap["without"]
    line = f"{_of(images, values['images'])} {_there(overlap['split'], overlap['other'], images)}, byte for byte"
    line += f" ({_labelled(different, False)})" if different else ""
    if not rest:
        # A validation split selects the checkpoint, but nothing is trained on it.
        score = METRICS[main_metric(values)].name
        return f"{line}: the {score} says nothing about new images" if "train" in overlap["other"] else line
    return f"{line}; {describe_rest(rest)}"


def _contradictions(overlap: Mapping[str, Any], split: str) -> str:
    whose = "images" if overlap["split"] == split else f"{overlap['split']} images"
    return f"{overlap['different_labels']:,} {whose} have equal bytes and different labels"


def _nothing_learned(values: Mapping[str, Any], majority: str) -> str:
    if "map" in values:
        compared = f"mAP {values['map']:.4f}, of random scores {values['map_baseline']:.4f}"
        return f"the model is not shown to be better than scores without any relation to the image ({compared})"
    baseline = values["majority_baseline"]
    always = f"always predicting the most frequent class, {majority!r}"
    if values["accuracy"] <= baseline:
        return f"the model is no better than {always} (accuracy {values['accuracy']:.4f}, {baseline:.4f})"
    return f"the model is not shown to be better than {always}: that accuracy, {baseline:.4f}, is in the 95 % interval"


def _replaced(split: str, names: Sequence[str]) -> str:
    return f"{plural(len(names), f'{split} image')} got other bytes while the run went on, which may have used both"


def _of(images: int, total: int) -> str:
    return f"all {plural(total, 'image')}" if images == total > 1 else f"{images:,} of {plural(total, 'image')}"


def _there(split: str, other: str, images: int) -> str:
    verb = "is" if images == 1 else "are"
    return f"{verb} there more than once" if split == other else f"{verb} also in {other}"


def _labelled(images: int, within: bool) -> str:
    return f"{images:,} of them under {'different labels' if within else 'another label'}"
