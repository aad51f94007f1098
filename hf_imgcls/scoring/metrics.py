"""The metrics of a run: one table, from which history, console, results.json, card and curves are drawn."""

import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from hf_imgcls.scoring.bootstrap import bootstrap
from hf_imgcls.scoring.scored import BEST, Scored
from hf_imgcls.scoring.sets import (
    ScoredSets,
    binary_cross_entropy,
    macro_f1_of_sets,
    mean_average_precision,
    micro_f1,
)

Z_95 = 1.959963984540054  # 97.5 % point of the normal distribution
OwnMetric = Callable[..., float]  # of predicted ids, label ids and, where it has such a parameter, probabilities


class Metric(NamedTuple):
    """A number that says how good a scored split is.

    Attributes:
        compute: from the scored split of one label an image; None where it is not of that kind, or is the user's own
            function, which is not saved with a run. `of_sets`: the same of several labels an image.
        hub_type, hub_args: the metric of `evaluate` that it is, and what that is called with; for the card's metadata.
        more_classes_than: with fewer classes it would say nothing, and is left out.
    """

    name: str
    compute: Callable[[Scored], float] | None
    greater_is_better: bool = True
    format: str = ".4f"
    hub_type: str = ""
    hub_args: Mapping[str, Any] = MappingProxyType({})
    more_classes_than: int = 0
    of_sets: Callable[[ScoredSets], float] | None = None

    @property
    def title(self) -> str:
        """Its name where a line begins."""
        return self.name if self.name == "mAP" else self.name[0].upper() + self.name[1:]


def accuracy(split: Scored) -> float:
    """Fraction of images whose prediction is their label."""
    return float(np.mean(split.predictions == split.label_ids))


def top5_accuracy(split: Scored) -> float:
    """Fraction of images whose label is among their five best classes."""
    return float(np.mean((split.ranked == split.label_ids[:, None]).any(axis=1)))


def macro_f1(split: Scored) -> float:
    """Mean of the classes' F1, over the classes that occur among labels or predictions (as in scikit-learn)."""
    # -1 stands for no prediction, and counts as a class of its own.
    ids = np.unique([*split.label_ids, *split.predictions], return_inverse=True)[1]
    labels, predicted = np.split(ids, [len(split)])
    kinds = labels, predicted, labels[labels == predicted]
    return mean_f1(*(np.bincount(each, minlength=ids.max() + 1) for each in kinds))


def mean_f1(images: np.ndarray, predicted: np.ndarray, correct: np.ndarray) -> float:
    """Mean F1 of the classes that occur, from counts of each class, each of shape (classes,)."""
    occur = images + predicted > 0
    return float(np.mean(2 * correct[occur] / (images + predicted)[occur]))


def cross_entropy(split: Scored) -> float:
    """Mean over all images, so that it depends neither on batches nor on processes; six decimals."""
    return round(float(-split.log_likelihoods.mean()), 6)


# NaN logits count as wrong predictions in all of them.
METRICS = {
    "accuracy": Metric("accuracy", accuracy, hub_type="accuracy"),
    "top5_accuracy": Metric("top-5 accuracy", top5_accuracy, hub_type="top_5_accuracy", more_classes_than=BEST),
    "map": Metric("mAP", None, hub_type="mean_average_precision", of_sets=mean_average_precision),
    "micro_f1": Metric("micro-F1", None, hub_type="f1", hub_args={"average": "micro"}, of_sets=micro_f1),
    "macro_f1": Metric("macro-F1", macro_f1, hub_type="f1", hub_args={"average": "macro"}, of_sets=macro_f1_of_sets),
    "loss": Metric("loss", cross_entropy, greater_is_better=False, hub_type="loss", of_sets=binary_cross_entropy),
}
# What stands beside metrics in results.json, and in the Trainer's log.
_NO_METRICS = {
    "images", "accuracy_interval_95", "majority_baseline", "map_interval_95", "map_baseline", "runtime",
    "samples_per_second", "steps_per_second", "model_preparation_time", "jit_compilation_time",
}  # fmt: skip


def compute_metrics(split: Scored | ScoredSets, own: Mapping[str, OwnMetric] | None = None) -> dict[str, float]:
    """Every metric of a scored split, the user's own after those of the table."""
    sets = isinstance(split, ScoredSets)
    functions = {
        key: metric.of_sets if sets else metric.compute for key, metric in metrics_of(split.classes, sets).items()
    }
    values = {key: function(split) for key, function in functions.items()}
    for key, function in (own or {}).items():
        more = {"probabilities": split.probabilities} if takes_probabilities(function) else {}
        values[key] = float(function(split.predictions, split.label_ids, **more))
    return values


def metrics_of(classes: int, multi_label: bool) -> dict[str, Metric]:
    """The metrics of the table that a run of so many classes has."""
    return {
        key: metric
        for key, metric in METRICS.items()
        if (metric.of_sets if multi_label else metric.compute) and classes > metric.more_classes_than
    }


def main_metric(values: Mapping[str, Any]) -> str:
    """The metric that stands first, with its interval: `accuracy`, or of several labels an image `map`."""
    return "accuracy" if "accuracy" in values else "map"


def takes_probabilities(function: OwnMetric) -> bool:
    """Whether it wants those of all classes, shape (images, classes), which are then kept while scoring."""
    return "probabilities" in inspect.signature(function).parameters


def can_name_a_metric(name: str) -> bool:
    """Whether a user's own metric may have this name: it is free, and a Python identifier."""
    return name.isidentifier() and name not in METRICS and name not in _NO_METRICS


def metrics_in(values: Mapping[str, Any], prefix: str = "") -> dict[str, Metric]:
    """The metrics among a split's values, or in an entry of the log, by key without prefix, own ones last."""
    keys = [key.removeprefix(prefix) for key in values if key.startswith(prefix)]
    own = [key for key in keys if key not in METRICS and key not in _NO_METRICS]
    known = {key: metric for key, metric in METRICS.items() if key in keys}
    return known | {key: Metric(key, None, hub_type=key) for key in own}


def interval(fraction: float, count: int) -> tuple[float, float]:
    """95 % confidence interval of a fraction of `count` images (Wilson, 1927)."""
    middle = fraction + Z_95**2 / (2 * count)
    reach = Z_95 * math.sqrt(fraction * (1 - fraction) / count + Z_95**2 / (4 * count**2))
    scale = 1 + Z_95**2 / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def split_metrics(metrics: Mapping[str, float], split: str, label_ids: np.ndarray) -> dict[str, Any]:
    """A split's metrics without their prefix, rounded to six decimals, with what the accuracy is compared with.

    `majority_baseline` is the accuracy of predicting the most frequent class for every image.
    """
    low, high = interval(metrics[f"{split}_accuracy"], len(label_ids))
    return {
        "images": len(label_ids),
        **{key: round(metrics[f"{split}_{key}"], 6) for key in metrics_in(metrics, f"{split}_")},
        "accuracy_interval_95": [round(low, 6), round(high, 6)],
        "majority_baseline": round(float(np.bincount(label_ids).max()) / len(label_ids), 6),
    }


def set_metrics(output: ScoredSets, own: Mapping[str, OwnMetric] | None = None) -> dict[str, Any]:
    """The same of several labels an image; `map_baseline` is that of scores without any relation to the images.

    It is the mean fraction of images with a label.
    """
    fractions = output.label_ids.mean(axis=0)
    return {
        "images": len(output),
        **{key: round(value, 6) for key, value in compute_metrics(output, own).items()},
        "map_interval_95": [round(float(end), 6) for end in bootstrap(output)["map"]],
        "map_baseline": round(float(fractions[fractions > 0].mean()), 6) if fractions.any() else 0.0,
    }


def better_than_majority(scores: Mapping[str, Any]) -> bool:
    """Whether a split's accuracy is above always predicting its most frequent class, by the whole 95 % interval.

    Of several labels an image whether mAP is above that of scores without any relation to the image.
    """
    if "map" in scores:
        return scores["map_interval_95"][0] > scores["map_baseline"]
    return scores["accuracy_interval_95"][0] > scores["majority_baseline"]
