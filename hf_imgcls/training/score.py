"""Scoring the splits of a run at its end."""

import datasets
import numpy as np

from hf_imgcls.data import attach_transform
from hf_imgcls.images import EvalTransform
from hf_imgcls.scoring import MAX_COMPARED, Scored, choose_rows, served_split, split_metrics
from hf_imgcls.training.trainer import ImageTrainer


def score_splits(
    trainer: ImageTrainer, splits: dict, transform: EvalTransform
) -> tuple[dict[str, dict], dict[str, Scored]]:
    """Score splits, each once, in full precision.

    Returns:
        Metrics by split, and the scored splits; with logits of those rows that the parity check compares.
    """
    scores, outputs, compared = {}, {}, served_split(splits)
    for split, rows in splits.items():
        sample = _compared_rows(rows, trainer.args.seed) if split == compared else ()
        outputs[split], metrics = trainer.score(attach_transform(rows, transform), split, sample)
        scores[split] = split_metrics(metrics, split, outputs[split].label_ids)
    return scores, outputs


def _compared_rows(rows: datasets.Dataset | datasets.IterableDataset, seed: int) -> np.ndarray:
    """Which of them: all of a small split, else a seeded sample; of a stream its first."""
    if isinstance(rows, datasets.IterableDataset):
        return np.arange(MAX_COMPARED)
    return choose_rows(len(rows), seed)
