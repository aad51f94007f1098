"""Logits to numbers: what is kept of a scored image, metrics, intervals, which rows are compared."""

from hf_imgcls.scoring.breakdown import break_down
from hf_imgcls.scoring.chosen import MAX_COMPARED, choose_rows, main_split, served_split
from hf_imgcls.scoring.metrics import compute_metrics, interval, split_metrics
from hf_imgcls.scoring.scored import Sampler, Scored, collect_scored, concatenated, condense
