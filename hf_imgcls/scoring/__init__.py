"""Logits to numbers: what is kept of a scored image, metrics, intervals, which rows are compared."""

from hf_imgcls.scoring.breakdown import break_down, weakest_classes
from hf_imgcls.scoring.calibration import at_temperature, fit_temperature, reliability
from hf_imgcls.scoring.metrics import (
    METRICS,
    better_than_majority,
    can_name_a_metric,
    compute_metrics,
    evaluate_metrics,
    interval,
    metrics_in,
    score_part,
    split_metrics,
    takes_probabilities,
)
from hf_imgcls.scoring.paired import compare_paired
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
    MAX_COMPARED,
    Sampler,
    Scored,
    are_few,
    choose_rows,
    collect_scored,
    main_split,
    scored_logits,
    served_split,
    softmax,
)
from hf_imgcls.scoring.several import pool_folds, spread_of
