"""Logits to numbers: what is kept of a scored image, metrics, intervals, which rows are compared."""

from hf_imgcls.scoring.as_evaluate import evaluate_metrics
from hf_imgcls.scoring.breakdown import break_down, weakest_classes
from hf_imgcls.scoring.calibration import at_temperature, fit_temperature, reliability, reliability_of
from hf_imgcls.scoring.comparison import compare_splits
from hf_imgcls.scoring.metrics import (
    METRICS,
    better_than_majority,
    can_name_a_metric,
    compute_metrics,
    interval,
    main_metric,
    metrics_in,
    metrics_of,
    set_metrics,
    split_metrics,
    takes_probabilities,
)
from hf_imgcls.scoring.paired import compare_paired
from hf_imgcls.scoring.parts import score_part
from hf_imgcls.scoring.rejection import (
    NONE_OF_THESE,
    REJECTION,
    Rejection,
    auroc,
    confidences,
    measure_rejection,
    read_rejection,
    threshold_between,
    threshold_keeping,
)
from hf_imgcls.scoring.scored import (
    BEST,
    MAX_COMPARED,
    MAX_MAPPED,
    Sampler,
    Scored,
    add_features,
    are_few,
    choose_rows,
    collect_scored,
    main_split,
    scored_logits,
    served_split,
    softmax,
)
from hf_imgcls.scoring.set_breakdown import label_scores
from hf_imgcls.scoring.sets import THRESHOLD, ScoredSets, best_thresholds, losses_of_sets, sigmoid
from hf_imgcls.scoring.several import pool_folds, spread_of
