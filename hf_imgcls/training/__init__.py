"""Rows and a network to weights: the Trainer, stages, features, loss, scoring of splits."""

from hf_imgcls.training.batch_size import STEPS as BATCH_STEPS
from hf_imgcls.training.batch_size import keep_step, power_of_two, reckon_batch, try_batches
from hf_imgcls.training.begun import last_digits_of, settings_of
from hf_imgcls.training.callbacks import EpochTable
from hf_imgcls.training.candidates import PRESETS, Candidate, is_uneven, reckon_seconds, score_candidate
from hf_imgcls.training.check import check_arguments
from hf_imgcls.training.choice import choose_candidate, choose_partner, choose_rival
from hf_imgcls.training.distillation import check_teacher
from hf_imgcls.training.features import cached_features
from hf_imgcls.training.groups import check_rates, describe_groups, group_parameters
from hf_imgcls.training.head_stage import check_features
from hf_imgcls.training.loss import NO_CUSTOM, Custom
from hf_imgcls.training.plan import Plan
from hf_imgcls.training.prepare_stage import stage_trainer, train_rows
from hf_imgcls.training.range_test import (
    FEWEST,
    Curve,
    Suggestion,
    Sweep,
    short_plan,
    suggest_rate,
    sweep_plan,
    sweep_rates,
)
from hf_imgcls.training.records import metric_key, outcome
from hf_imgcls.training.refit import score_run
from hf_imgcls.training.room import check_room_of_run
from hf_imgcls.training.score import ScoredRun, predict_trained, score_saved, score_splits, scoring_trainer
from hf_imgcls.training.solutions import Examples
from hf_imgcls.training.solved_head import read_examples
from hf_imgcls.training.soup import Soup, choose_greedily
from hf_imgcls.training.stages import network_after, plan_stages, train_stages
from hf_imgcls.training.suspects import losses_of, predict_out_of_sample
from hf_imgcls.training.timing import PARTS
from hf_imgcls.training.trackers import send_results
from hf_imgcls.training.trainer import ImageTrainer
