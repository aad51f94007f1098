"""What a user should know before trusting a model, written from the figures that its run measured."""

from typing import Any

from hf_imgcls.reports.card.results import most_confused, trained_images, weakest_classes
from hf_imgcls.scoring import main_split
from hf_imgcls.words import Text, listed, percent, plain

_WEAK, _PAIRS = 3, 3  # classes that are named, pairs of classes
_ROUGH = 30  # images of a class below which its figures are rough
_EVEN = 1.5  # times as many images of one class as of another that count as even
_CLOSE = 0.03  # between the mean score and the accuracy


def limits_section(results: dict[str, Any], weighted: bool) -> Text:
    """What a user should know before trusting it, from the measured figures.

    Args:
        weighted: whether the loss weighed the classes.
    """
    split = main_split(results)
    text = [
        ("Limits", "## Limits"),
        ("Limits: closed world", "- Every image gets one of the classes, also one that shows none of them."),
    ]
    text += _imbalance(trained_images(results), weighted)
    if split and results.get("breakdown"):
        measured = results["breakdown"][split]
        text += _weak(measured["classes"], split)
        text += _confused(measured["classes"], split)
        text += _confidence(measured["mean_top_score"], results["scores"][split]["accuracy"], split)
    return text


def _imbalance(trained: dict[str, int], weighted: bool) -> Text:
    if not trained:
        return []
    order = sorted(trained, key=lambda name: trained[name])
    least, most = order[0], order[-1]
    missing = [name for name in order if not trained[name]]
    if missing:
        said = f"- There were no training images of {listed(map(plain, missing), 10)}: it cannot know them."
    elif trained[most] < _EVEN * trained[least]:
        span = dict.fromkeys(f"{trained[name]:,}" for name in (least, most))
        said = f"- The classes have about as many training images each: {' to '.join(span)}."
    else:
        made_up = "; the loss weighed the classes to make up for it" if weighted else ""
        said = (
            f"- The classes are uneven: {trained[most]:,} training images of {plain(most)}, {trained[least]:,} of "
            f"{plain(least)}, {trained[most] / trained[least]:.1f} times as many{made_up}."
        )
    return [("Limits: imbalance", said)]


def _weak(classes: dict[str, dict], split: str) -> Text:
    order = weakest_classes(classes)
    weak = [(name, classes[name]) for name in order if classes[name]["recall"] < 1][:_WEAK]
    named = [f"{plain(n)} ({v['right']:,} of {v['images']:,} right, {percent(v['recall'])})" for n, v in weak]
    text = [("Limits: weakest", f"- Recognised least: {', '.join(named)}.")] if named else []
    few = [name for name in order if classes[name]["images"] < _ROUGH]
    if few:
        least = min(few, key=lambda name: classes[name]["images"])
        every = "both classes" if len(classes) == 2 else f"all {len(classes)} classes"
        which = every if len(few) == len(classes) else f"{len(few)} of {len(classes)} classes"
        text.append(
            (
                "Limits: few images",
                f"- There are fewer than {_ROUGH} {split} images of {which} (least: {plain(least)}, "
                f"{classes[least]['images']}): their own figures are rough, as wide as their intervals.",
            )
        )
    unknown = [name for name in classes if not classes[name]["images"]]
    if unknown:
        text.append(
            (
                "Limits: not scored",
                f"- There were no {split} images of {listed(map(plain, unknown), 10)}: how well it does on them is not "
                "known.",
            )
        )
    return text


def _confused(classes: dict[str, dict], split: str) -> Text:
    named = [
        f"{plain(name)} taken for {plain(other)} ({count:,} of {classes[name]['images']:,}, {percent(part)})"
        for name, other, count, part in most_confused(classes)[:_PAIRS]
    ]
    said = f"Confused most often: {', '.join(named)}." if named else f"No {split} image was taken for another class."
    return [("Limits: confusions", f"- {said}")]


def _confidence(mean: float | None, accuracy: float, split: str) -> Text:
    if mean is None:
        return []
    kind = "surer than it should be" if mean > accuracy else "less sure than it could be"
    verdict = f": it is {kind}, so a score is no probability of being right" if abs(mean - accuracy) > _CLOSE else ""
    said = f"- Its mean top score on {split} is {percent(mean)}, its accuracy {percent(accuracy)}{verdict}."
    return [("Limits: confidence", said)]
