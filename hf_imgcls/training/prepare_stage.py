"""What trains a stage: the Trainer with the stage's settings, on the images or features that it reads."""

import torch
from transformers import PreTrainedModel
from transformers.trainer_utils import has_length

from hf_imgcls.data import Data, attach_transform, for_all_folds, prepared_copies
from hf_imgcls.images import EvalTransform
from hf_imgcls.machine import first_on_machine, on_main, say
from hf_imgcls.models import add_lora, describe_parameters, freeze_parameters
from hf_imgcls.training.callbacks import StopEarly
from hf_imgcls.training.check import check_last_batch
from hf_imgcls.training.features import HeadOnFeatures
from hf_imgcls.training.groups import describe_groups
from hf_imgcls.training.head_stage import features_of, in_float32
from hf_imgcls.training.order import epoch_order
from hf_imgcls.training.plan import Plan
from hf_imgcls.training.trainer import ImageTrainer


def stage_trainer(plan: Plan, data: Data, model: PreTrainedModel, scoring: EvalTransform, bad_images: str):
    """Returns (what trains a stage: the model, or its head on cached features; the splits that it reads)."""
    stage, size = plan.stage, plan.images.size
    added = add_lora(model, stage.train, size, plan.arguments.seed)
    frozen = freeze_parameters(model, plan.parameters, size)
    say(f"{f'stage {stage.number}' if stage.listed else 'model'}: {describe_parameters(model)}")
    for line in [*([added] if added else []), *describe_groups(model, plan.groups, plan.arguments)]:
        say(line)
    if stage.cache_features:
        splits = features_of(plan, data, model, scoring)
        return _trainer(HeadOnFeatures(model, size), in_float32(plan), splits), splits
    if has_length(data.splits["train"]):
        check_last_batch(model, frozen, len(data.splits["train"]), plan.arguments, size)
    splits = _image_splits(plan, data, scoring, bad_images)
    trainer = _trainer(model, plan, splits, frozen=frozen, processing_class=scoring.processor)
    if plan.teacher:
        say(on_main(lambda: plan.teacher.describe(splits.get("validation"))))
    return trainer, splits


def whole_trainer(plan: Plan, data: Data, model: PreTrainedModel, scoring: EvalTransform, bad_images: str):
    """A trainer with the whole model, where that of the stage had the head alone."""
    splits = _image_splits(plan, data, scoring, bad_images)
    return _trainer(model, plan, splits, processing_class=scoring.processor)


def _image_splits(plan: Plan, data: Data, scoring: EvalTransform, bad_images: str) -> dict:
    splits = {"train": attach_transform(train_rows(plan, data), plan.images, bad_images)}
    if "validation" in data.splits:
        splits["validation"] = attach_transform(data.splits["validation"], scoring, bad_images)
    return splits


def train_rows(plan: Plan, data: Data):
    """The images that training reads: as they are, or copies that are made once on a machine."""
    if not data.cache_size or plan.stage.cache_features:  # features read each image once
        return data.splits["train"]
    with first_on_machine("makes copies of the images"):
        return for_all_folds(data, "train", lambda rows, digest: prepared_copies(rows, digest, data.cache_size))


def _trainer(model: torch.nn.Module, plan: Plan, splits: dict, **others) -> ImageTrainer:
    stopping = plan.stage.early_stopping
    callbacks = [StopEarly(stopping.patience, stopping.threshold)] if stopping else []
    return ImageTrainer(
        model,
        plan.arguments,
        train_dataset=splits["train"],
        eval_dataset=splits.get("validation"),
        images=plan.images,
        mixing=plan.mixing,
        groups=plan.groups,
        terms=plan.terms,
        order=epoch_order(plan, splits["train"]),
        custom=plan.custom,
        teacher=plan.teacher,
        ema_decay=plan.stage.averaging.ema_decay,
        callbacks=[*callbacks, *plan.callbacks],
        **others,
    )
