"""A stage that trains the head on cached features: what it reads, and in which precision."""

import copy
import dataclasses
import functools

from transformers import PreTrainedModel

from hf_imgcls.data import Data, for_all_folds
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, random_transform
from hf_imgcls.machine import first_on_machine
from hf_imgcls.recipe import Stage
from hf_imgcls.training.features import cached_features
from hf_imgcls.training.plan import Plan


def check_features(stage: Stage, size: tuple[int, int]) -> None:
    """Refuse random augmentation where features are cached, which are computed once for each image."""
    random = random_transform(stage.augmentation.train, size) if stage.cache_features else None
    if random:
        raise InputError(
            f"augmentation.train: {random} is random, but cache_features reads each image once; give the stage "
            'an "augmentation" of its own: {}'
        )


def features_of(plan: Plan, data: Data, model: PreTrainedModel, scoring: EvalTransform) -> dict:
    """The features of train and validation, computed once on a machine."""
    transforms = {"train": plan.images if plan.stage.augmentation.train else scoring, "validation": scoring}

    def compute(transform, rows, fingerprint: str):
        return cached_features(model, rows, transform, fingerprint, plan.arguments)

    with first_on_machine("computes the features"):
        return {
            role: for_all_folds(data, role, functools.partial(compute, transform))
            for role, transform in transforms.items()
            if role in data.splits
        }


def in_float32(plan: Plan) -> Plan:
    """The plan for the head alone: on a CPU one layer gains nothing in the half precision of its features."""
    arguments = copy.copy(plan.arguments)
    if arguments.device.type == "cpu":
        arguments.bf16, arguments.mixed_precision = False, "no"
    return dataclasses.replace(plan, arguments=arguments)
