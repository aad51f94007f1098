"""Staged fine-tuning: each stage starts from the selected checkpoint of the one before."""

import functools
from pathlib import Path

from transformers import PreTrainedModel
from transformers.trainer_utils import has_length

from hf_imgcls.data import Data, check_cache_size
from hf_imgcls.images import EvalTransform, Mixing, TrainTransform, input_size
from hf_imgcls.machine import disable_evaluation, on_main, release_device, say, training_arguments
from hf_imgcls.models import (
    choose_parameters,
    copy_layout,
    faster_in_half,
    head_module,
    load_network,
    merge_lora,
    restore_weights,
    take_adapter,
    with_lora,
)
from hf_imgcls.recipe import Lora, naming_stage, stages_of
from hf_imgcls.store import STAGES
from hf_imgcls.training.balance import loss_terms
from hf_imgcls.training.check import check_batches, check_network
from hf_imgcls.training.distillation import teacher_of
from hf_imgcls.training.groups import group_parameters, records_of
from hf_imgcls.training.head_stage import check_features
from hf_imgcls.training.loss import NO_CUSTOM, Custom
from hf_imgcls.training.order import check_repeats
from hf_imgcls.training.plan import Plan
from hf_imgcls.training.prepare_stage import stage_trainer, whole_trainer
from hf_imgcls.training.records import is_better, stage_record
from hf_imgcls.training.resume import choose_checkpoint, keep_stage, read_stages
from hf_imgcls.training.settings import default_metric
from hf_imgcls.training.solved_head import solve_head
from hf_imgcls.training.trainer import ImageTrainer


def plan_stages(
    recipe, data: Data, model: PreTrainedModel, scoring: EvalTransform, custom: Custom = NO_CUSTOM
) -> list[Plan]:
    """Every stage of a recipe, ready to run; a mistake in the last one shows before the first begins."""
    size, plans = input_size(scoring.processor), []
    if data.cache_size:
        check_cache_size(data.cache_size, size)
    several = recipe.model.multi_label
    custom.check(len(data.labels), several)
    for stage in stages_of(recipe):
        folder = Path(stage.training.output_dir) / (f"stage-{stage.number}" if stage.listed else "")
        # Another seed for each stage, so that its images and their order are not those of the stage before.
        seed = stage.training.seed + stage.number - 1
        half = functools.partial(faster_in_half, model, size, training=not stage.cache_features)
        own = {"output_dir": str(folder), "seed": seed, "push_to_hub": False, **default_metric(stage, several)}
        arguments = training_arguments(stage.training, half, **own)
        if stage.cache_features:
            head_module(model, size)  # two heads are refused here, not when the stage begins
        with naming_stage(stage):
            check_network(model, stage, arguments)
            if has_length(data.splits["train"]):
                check_batches(len(data.splits["train"]), arguments)
            terms = loss_terms(recipe.loss, stage.sampling.balance, data, scoring.label_ids)
            custom.check_stage(stage, terms)
            if "validation" in data.splits:
                custom.check_best_metric(arguments.metric_for_best_model, len(data.labels), several)
            else:
                disable_evaluation(arguments, stage)
            images = TrainTransform(stage.augmentation.train, scoring.processor, scoring.label_ids, seed)
            check_features(stage, images.size)
            with with_lora(model, stage.train, images.size):
                parameters = choose_parameters(model, stage.train, images.size)
                trained = sum(model.get_parameter(name).numel() for name in parameters)
                groups = group_parameters(model, stage, parameters, images.size)
            teacher = teacher_of(stage, model.config, images, plans)
            mixing = Mixing(stage.augmentation.mix, len(data.labels)) if stage.augmentation.mix else None
            what = (parameters, trained, groups, mixing, custom, terms, teacher, recipe.model)
            plans.append(Plan(stage, arguments, folder, images, *what))
            check_repeats(plans[-1])
    return plans


def train_stages(plans: list[Plan], data: Data, model: PreTrainedModel, scoring: EvalTransform, bad_images: str):
    """Train the stages that an interrupted run has left; a trainer with the whole model, and a record of each stage."""
    first = plans[0]
    file = (first.folder.parent if first.stage.listed else first.folder) / STAGES
    records, lines = on_main(lambda: read_stages(file, [plan.folder for plan in plans[:-1]]))
    for line in lines:
        say(line)
    records = [{**record, "earlier_seconds": record["seconds"]} for record in records]
    for plan in plans[len(records) :]:
        number = plan.stage.number
        if plan is not first:
            model = network_after(plans[number - 2], model)
        trainer = None  # with its optimizer, which would stay on the device beside the next one
        release_device(plan.arguments.device)
        trainer, record = _train_stage(plan, data, model, scoring, bad_images)
        if plan.stage.only_if_better and not is_better(record, records[-1], plan.arguments):
            restore_weights(trainer.model, plans[number - 2].folder)
            record["selected_checkpoint"], trainer.adapter = f"stage {number - 1}", None
            say(f"stage {number}: not better on validation than stage {number - 1}, whose weights are kept")
        records.append(record)
        if plan is not plans[-1]:
            trainer.save_run(plan.folder)
            on_main(functools.partial(keep_stage, file, records, plan.folder))
            say(f"stage {number + 1} starts from the {record['selected_checkpoint']} checkpoint of stage {number}")
    return trainer, records


def network_after(plan: Plan, model: PreTrainedModel) -> PreTrainedModel:
    """What the stage behind a stage begins with, in the layout of a model.

    From the file, also where it has just been trained: the same path for a run that is resumed there.
    """
    network, _ = load_network(str(plan.folder))
    copy_layout(model, network)
    return network


def _train_stage(plan: Plan, data: Data, model: PreTrainedModel, scoring: EvalTransform, bad_images: str):
    """Returns (a trainer with the whole model, the record of the stage)."""
    stage = plan.stage
    trainer, splits = stage_trainer(plan, data, model, scoring, bad_images)
    seconds = solve_head(trainer, splits, stage.views) if stage.logistic_regression else _fit(trainer, plan)
    record = stage_record(stage, plan.arguments, model, trainer.state, seconds)
    if plan.groups:
        record["parameter_groups"] = records_of(model, plan.groups, plan.arguments.learning_rate)
    record["earlier_seconds"] = round(trainer.earlier_seconds, 1)  # of them, before the last resume
    if isinstance(stage.train, Lora):
        if stage.train.lora.save == "adapter":
            trainer.adapter = take_adapter(model, stage.train.lora, plan.model)
        merge_lora(model)
    if stage.cache_features:  # its trainer had the head alone
        trainer = whole_trainer(plan, data, model, scoring, bad_images)
    return trainer, record


def _fit(trainer: ImageTrainer, plan: Plan) -> float:
    """Train, or resume from the last checkpoint; returns seconds."""
    checkpoint, lines = on_main(lambda: choose_checkpoint(plan.folder, plan.arguments))
    for line in lines:
        say(line)
    return round(trainer.train(resume_from_checkpoint=checkpoint).metrics["train_runtime"], 1)
