"""Saving and scoring what a run has trained; a solved head that ends it may first be solved again, on more images."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from hf_imgcls.data import Data
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import on_main, say
from hf_imgcls.models import head_module
from hf_imgcls.training.balance import class_shares
from hf_imgcls.training.head_stage import features_of
from hf_imgcls.training.loss import Terms
from hf_imgcls.training.plan import Plan
from hf_imgcls.training.records import ended_with
from hf_imgcls.training.regression import solve_at
from hf_imgcls.training.score import ScoredRun, predict_trained, score_saved, score_splits
from hf_imgcls.training.solutions import Examples
from hf_imgcls.training.solved_head import losses_of, put_solution, read_examples
from hf_imgcls.training.trainer import ImageTrainer


def score_run(
    trainer: ImageTrainer, plans: Sequence[Plan], records: list[dict], data: Data, scoring: EvalTransform
) -> ScoredRun:
    """Save the model in the run's folder and score it.

    Where the run ends with the head of a stage with `refit`, validation is scored first, and the head that is saved
    is solved on train and validation: no image of validation was trained on where it was scored. Folds leave that out.
    """
    folder = Path(trainer.args.output_dir)
    folder = folder.parent if plans[0].stage.listed else folder
    number = ended_with(records)
    plan = plans[number - 1]
    if plan.stage.refit and data.pool:
        say("refit: left out, it would train every fold on the images of all folds")
    if not plan.stage.refit or data.pool:
        trainer.save_run(folder)
        return score_saved(trainer, data, scoring)
    scores, outputs = score_splits(trainer, {"validation": data.splits["validation"]}, scoring)
    record = records[number - 1]
    _refit(trainer, plan, record, data, scoring)
    record["refit"] = True
    trainer.save_run(folder)
    scored = score_saved(trainer, data, scoring, (scores, outputs))
    # Of the head that is saved: predictions of validation are those of the one before.
    later = {split: each for split, each in scored.outputs.items() if split not in outputs}
    return scored._replace(predicted=later or predict_trained(trainer, data.splits["train"], scoring))


def _refit(trainer: ImageTrainer, plan: Plan, record: dict, data: Data, scoring: EvalTransform) -> None:
    model, device = trainer.model, trainer.args.device
    layer = model.get_submodule(head_module(model, plan.images.size))
    layer = next(each for each in layer.modules() if isinstance(each, nn.Linear | nn.Conv2d))
    examples = read_examples(features_of(plan, data, model, scoring), device)
    pair = examples["train"], examples["validation"]
    both = Examples(torch.cat([each.features for each in pair]), torch.cat([each.labels for each in pair]))
    terms = plan.terms
    if isinstance(terms, Terms) and terms.logit_adjustment:
        counts = Counter(both.labels.tolist())
        terms = dataclasses.replace(terms, shares=class_shares(counts, len(layer.bias), range(len(layer.bias))))
    loss = losses_of(terms, plan.arguments.label_smoothing_factor, device).train
    penalty = record["history"][record["best_step"] - 1]["penalty"]
    put_solution(layer, *on_main(lambda: solve_at(both, len(layer.bias), loss, penalty)))
    images = len(data.splits["train"]) + len(data.splits["validation"])
    say(f"refit: the head is solved on {images:,} images of train and validation, penalty {penalty:g}")
