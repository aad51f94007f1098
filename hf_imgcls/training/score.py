"""Scoring the splits of a run at its end."""

import copy
import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import datasets
from transformers import IntervalStrategy, PreTrainedModel, TrainingArguments

from hf_imgcls.data import Data, attach_transform
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, input_size
from hf_imgcls.models import feature_layers, feature_width, set_thresholds
from hf_imgcls.scoring import (
    MAX_COMPARED,
    MAX_MAPPED,
    Scored,
    ScoredSets,
    best_thresholds,
    choose_rows,
    served_split,
    set_metrics,
    split_metrics,
)
from hf_imgcls.training.loss import Custom
from hf_imgcls.training.trainer import ImageTrainer

_MOST_KEPT = 2**23  # numbers in the features that are kept of a split, 34 MB


class ScoredRun(NamedTuple):
    """What a run reports: metrics by split, the scored splits, and the predictions that the parity check compares."""

    scores: dict[str, dict]
    outputs: dict[str, Scored]
    predicted: dict[str, Scored]


def scoring_trainer(model: PreTrainedModel, arguments: TrainingArguments, processor, custom: Custom) -> ImageTrainer:
    """A trainer that scores and saves a model, and trains nothing."""
    arguments = copy.copy(arguments)
    arguments.eval_strategy = IntervalStrategy.NO
    arguments.do_eval = arguments.load_best_model_at_end = False
    return ImageTrainer(model, arguments, processing_class=processor, custom=custom)


def score_saved(
    trainer: ImageTrainer, data: Data, transform: EvalTransform, known: tuple[dict, dict] = ({}, {})
) -> ScoredRun:
    """Score the splits of a run that are held out, but for those that are known; without any, predict images of train.

    Args:
        known: metrics by split and scored splits, of the same model.
    """
    rest = {split: rows for split, rows in data.splits.items() if split not in ("train", *known[0])}
    found = score_splits(trainer, rest, transform)
    scores, outputs = known[0] | found[0], known[1] | found[1]
    set_on_validation(trainer, scores, outputs)
    return ScoredRun(scores, outputs, outputs or predict_trained(trainer, data.splits["train"], transform))


def score_splits(
    trainer: ImageTrainer, splits: dict, transform: EvalTransform
) -> tuple[dict[str, dict], dict[str, Scored]]:
    """Metrics by split, and the scored splits; with logits of those rows that the parity check compares, and features
    of those that a map shows.
    """
    scores, outputs, compared = {}, {}, served_split(splits)
    layers = _layers(trainer, transform)
    most = min(MAX_MAPPED, _MOST_KEPT // feature_width(trainer.model, layers)) if layers else 0
    for split, rows in splits.items():
        sample = _chosen(trainer, rows, MAX_COMPARED) if split == compared else ()
        mapped = (_chosen(trainer, rows, most), layers)
        outputs[split], metrics = trainer.score(attach_transform(rows, transform), split, sample, mapped)
        if isinstance(outputs[split], ScoredSets):
            scores[split] = set_metrics(outputs[split], trainer.custom.metrics)
        else:
            scores[split] = split_metrics(metrics, split, outputs[split].label_ids)
    return scores, outputs


def _chosen(trainer: ImageTrainer, rows, most: int) -> Iterable[int]:
    """At most so many rows; of a stream the first ones, because its length is not known."""
    return choose_rows(len(rows), trainer.args.seed, most) if isinstance(rows, datasets.Dataset) else range(most)


def _layers(trainer: ImageTrainer, transform: EvalTransform) -> list[str]:
    """The layers whose inputs are features; none where the scoring pass cannot see them, or the network has none."""
    elsewhere = trainer.is_fsdp_enabled or trainer.is_deepspeed_enabled or trainer.args.n_gpu > 1
    if elsewhere or trainer.args.torch_compile or not isinstance(trainer.model, PreTrainedModel):
        return []
    try:
        return feature_layers(trainer.model, input_size(transform.processor))
    except InputError:
        return []


def set_on_validation(trainer: ImageTrainer, scores: dict, outputs: dict) -> None:
    """Set the thresholds of several labels an image on validation, and score all splits with them, in place."""
    validation = outputs.get("validation")
    if not isinstance(validation, ScoredSets):
        return
    thresholds = best_thresholds(validation)
    set_thresholds(trainer.model.config, thresholds)
    for split, output in outputs.items():
        outputs[split] = dataclasses.replace(output, thresholds=thresholds)
        scores[split] = set_metrics(outputs[split], trainer.custom.metrics)


def predict_trained(trainer: ImageTrainer, rows, transform: EvalTransform) -> dict[str, Scored]:
    """Where no split is held out, predictions of training images for the parity check; a score they are not."""
    if not isinstance(rows, datasets.Dataset):  # a stream, shuffled
        return {}
    chosen = choose_rows(len(rows), trainer.args.seed)
    images = attach_transform(rows.select(chosen), transform)
    predicted, _ = trainer.score(images, "train", range(len(chosen)))
    return {"train": dataclasses.replace(predicted, sample=(chosen, predicted.sample[1]))}
