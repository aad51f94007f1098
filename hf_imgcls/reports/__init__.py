"""Numbers to what people read: results, plots, the model card."""

from hf_imgcls.reports.advice import advise_run
from hf_imgcls.reports.average import average_table
from hf_imgcls.reports.candidates import candidate_table, describe_candidate
from hf_imgcls.reports.card.write import CARD, prepare_card, write_card
from hf_imgcls.reports.cautions import collect_cautions, collect_duplicates
from hf_imgcls.reports.comparison.content import compare_content
from hf_imgcls.reports.comparison.lines import describe_comparison
from hf_imgcls.reports.comparison.pair import pair_runs
from hf_imgcls.reports.comparison.read import ScoredRun, read_runs
from hf_imgcls.reports.comparison.write import save_comparison
from hf_imgcls.reports.explained import draw_explained
from hf_imgcls.reports.figures import draw_classes, draw_results, draw_training_images
from hf_imgcls.reports.folds import describe_folds
from hf_imgcls.reports.groups import collect_groups
from hf_imgcls.reports.inspection import Suspect, collect_inspection, describe_inspection, save_inspection
from hf_imgcls.reports.layers import layer_table, short
from hf_imgcls.reports.rejection import describe_rejection
from hf_imgcls.reports.report.content import Subject
from hf_imgcls.reports.report.temperature import describe_temperature, temperature_changes
from hf_imgcls.reports.report.write import page_of, pool_rows, write_report
from hf_imgcls.reports.results import (
    collect_results,
    describe_classes,
    describe_data,
    describe_scores,
    describe_time,
    summarize_time,
)
from hf_imgcls.reports.searches import draw_sweep
from hf_imgcls.reports.seeds import describe_seeds, say_spread, seeds_row
from hf_imgcls.reports.similar import Neighbours, describe_neighbours, neighbour_csv, save_neighbours
from hf_imgcls.reports.trials import TrialRow, best_trial, draw_trials, trial_cells, trial_table
from hf_imgcls.reports.tta import cautions_of_tta, describe_tta
