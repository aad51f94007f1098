"""Logits to numbers: what is kept of a scored image, metrics, intervals, which rows are compared."""

from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.chosen import MAX_COMPARED, choose_rows, main_split, served_split
from hf_imgcls.scoring.evaluate_metrics import evaluate_metrics
from hf_imgcls.scoring.metrics import (
    METRICS,
    can_name_a_metric,
    compute_metrics,
    interval,
    metrics_in,
    split_metrics,
    takes_probabilities,
)
from hf_imgcls.scoring.scored import Sampler, Scored, collect_scored, concatenated, reduce_logits, softmax
