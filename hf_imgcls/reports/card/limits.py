"""What a user should know before trusting a model, written from what its run measured."""

from collections.abc import Sequence
from typing import Any

from hf_imgcls.recipe import stages_of
from hf_imgcls.reports.card.results import most_confused, trained_images
from hf_imgcls.reports.card.sets import limits_of_sets
from hf_imgcls.scoring import main_split, weakest_classes
from hf_imgcls.words import listed, number, percent, plain, plural

_WEAK, _PAIRS = 3, 3  # classes that are named, pairs of classes
_ROUGH = 30  # images of a class below which its metrics are rough
_EVEN = 1.5  # times as many images of one class as of another that count as balanced
_CLOSE = 0.03  # between the mean score and the accuracy
_PRIORS = "So trained, its scores are not for classes as frequent as in these images: rare ones score higher."


def balanced_by(recipe) -> list[str]:
    """What a recipe does about classes of few images."""
    loss, drawn = recipe.loss, any(stage.sampling.balance for stage in stages_of(recipe))
    found = {
        "a class-weighted loss": loss.class_weights,
        "logit adjustment": loss.logit_adjustment,
        "focal loss": loss.focal_gamma,
        "rare classes drawn more often": drawn,
    }
    return [name for name, done in found.items() if done]


def limits_section(results: dict[str, Any], balanced: Sequence[str]) -> list[str]:
    """One list; `balanced` is what was done about imbalanced classes."""
    split = main_split(results)
    several = any("map" in values for values in results["scores"].values())
    items = [] if several else ["Every image gets one of the classes, even if it shows none of them."]
    if results.get("rejection"):
        items = ["`pipeline` gives every image one of the classes; the code above and `hf-imgcls predict` reject."]
    items += _trained_on(results, split)
    items += _imbalance(trained_images(results), balanced)
    if split and results.get("breakdown"):
        measured = results["breakdown"][split]
        if several:
            return ["## Limits", "\n".join(f"- {item}" for item in items + limits_of_sets(measured["classes"], split))]
        items += _weak(measured["classes"], split)
        items += _confused(measured["classes"], split)
        items += _confidence(measured["mean_top_score"], results["scores"][split]["accuracy"], split)
    return ["## Limits", "\n".join(f"- {item}" for item in items)]


def _trained_on(results: dict[str, Any], split: str | None) -> list[str]:
    overlap = next((o for o in results.get("duplicates") or () if (o["split"], o["other"]) == (split, "train")), None)
    if not overlap:
        return []
    rest = overlap["without"]
    score = "accuracy" if "accuracy" in results["scores"][split] else "mAP"
    value = (percent(rest["accuracy"]) if "accuracy" in rest else number(rest["map"])) if rest else ""
    expect = f"on new images expect that of the others, {value}" if rest else "none of them is new"
    return [f"The {split} {score} counts {plural(overlap['images'], 'image')} that it was trained on: {expect}."]


def _imbalance(trained: dict[str, int], balanced: Sequence[str]) -> list[str]:
    if not trained:
        return []
    order = sorted(trained, key=lambda name: trained[name])
    least, most = order[0], order[-1]
    missing = [name for name in order if not trained[name]]
    if missing:
        return [f"There were no training images of {listed(map(plain, missing), 10)}: it cannot predict them."]
    if trained[most] < _EVEN * trained[least]:
        counts = dict.fromkeys(f"{trained[name]:,}" for name in (least, most))
        return [f"The classes are balanced: {' to '.join(counts)} training images per class."]
    how = f"; trained with {' and '.join(balanced)}" if balanced else ""
    return [
        f"The classes are imbalanced: {plural(trained[most], 'training image')} of {plain(most)}, {trained[least]:,} "
        f"of {plain(least)}, {trained[most] / trained[least]:.1f} times as many{how}."
    ] + [_PRIORS] * bool(set(balanced) - {"focal loss"})


def _weak(classes: dict[str, dict], split: str) -> list[str]:
    order = weakest_classes(classes)
    weak = [(name, classes[name]) for name in order if classes[name]["recall"] < 1][:_WEAK]
    named = [f"{plain(n)} ({v['correct']:,} of {v['images']:,}, {percent(v['recall'])})" for n, v in weak]
    items = [f"Lowest recall: {', '.join(named)}."] if named else []
    few = [name for name in order if classes[name]["images"] < _ROUGH]
    if few:
        least = min(few, key=lambda name: classes[name]["images"])
        every = "both classes have" if len(classes) == 2 else f"all {len(classes)} classes have"
        some = f"{len(few)} of {len(classes)} classes {'has' if len(few) == 1 else 'have'}"
        which = every if len(few) == len(classes) else some
        items.append(
            f"{which[0].upper()}{which[1:]} fewer than {_ROUGH} {split} images (fewest: {plain(least)}, "
            f"{classes[least]['images']}), so per-class metrics are rough: see their intervals."
        )
    unknown = [name for name in classes if not classes[name]["images"]]
    if unknown:
        items.append(f"There were no {split} images of {listed(map(plain, unknown), 10)}: not scored on them.")
    return items


def _confused(classes: dict[str, dict], split: str) -> list[str]:
    named = [
        f"{plain(name)} predicted as {plain(other)} ({count:,} of {classes[name]['images']:,}, {percent(fraction)})"
        for name, other, count, fraction in most_confused(classes)[:_PAIRS]
    ]
    if not named:
        return [f"No {split} image was predicted as another class."]
    return [f"Most frequent confusions: {', '.join(named)}."]


def _confidence(mean: float | None, accuracy: float, split: str) -> list[str]:
    if mean is None:
        return []
    kind = "overconfident" if mean > accuracy else "underconfident"
    verdict = f"; the model is {kind}: scores are not calibrated probabilities" if abs(mean - accuracy) > _CLOSE else ""
    return [f"Mean top score on {split}: {percent(mean)}, accuracy {percent(accuracy)}{verdict}."]
