"""A stage that trains the head on cached features: what it reads, and in which precision."""

import copy
import dataclasses
import functools

import datasets
from transformers import PreTrainedModel

from hf_imgcls.data import Data, for_all_folds
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform, draws_noise, random_transform
from hf_imgcls.machine import first_on_machine
from hf_imgcls.recipe import Stage
from hf_imgcls.training.features import cached_features
from hf_imgcls.training.plan import Plan


def check_features(stage: Stage, size: tuple[int, int]) -> None:
    """Refuse random augmentation where features are cached of one view, computed once, and several views without it."""
    if not stage.cache_features:
        return
    specs = stage.augmentation.train
    random = random_transform(specs, size)
    if random and stage.views == 1:
        raise InputError(
            f"augmentation.train: {random} is random, but cache_features reads each image once; set views, of which "
            'each image then has so many, or give the stage an "augmentation" of its own: {}'
        )
    if stage.views > 1 and not random:
        raise InputError("views: nothing in augmentation.train is random, so that all would be alike; leave views out")
    if stage.views > 1 and draws_noise(specs, size):
        raise InputError(
            'views: RandomErasing with "value": "random" draws its noise while a network trains; take a number as value'
        )


def features_of(plan: Plan, data: Data, model: PreTrainedModel, scoring: EvalTransform) -> dict:
    """The features of train and validation, computed once on a machine; of train all views, one after the other."""
    views = plan.stage.views
    once = plan.images if plan.stage.augmentation.train and views == 1 else scoring
    transforms = {"train": [once, *map(plan.images.as_view, range(1, views))], "validation": [scoring]}

    def compute(transform, rows, fingerprint: str):
        return cached_features(model, rows, transform, fingerprint, plan.arguments)

    with first_on_machine("computes the features"):
        return {
            role: datasets.concatenate_datasets(
                [for_all_folds(data, role, functools.partial(compute, transform)) for transform in each]
            ).with_format("torch")
            for role, each in transforms.items()
            if role in data.splits
        }


def in_float32(plan: Plan) -> Plan:
    """The plan for the head alone: on a CPU one layer gains nothing in the half precision of its features."""
    arguments = copy.copy(plan.arguments)
    if arguments.device.type == "cpu":
        arguments.bf16, arguments.mixed_precision = False, "no"
    return dataclasses.replace(plan, arguments=arguments)
