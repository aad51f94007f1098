"""A stage, checked and ready to run."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from transformers import TrainerCallback, TrainingArguments

from hf_imgcls.images import Mixing, TrainTransform
from hf_imgcls.recipe import ModelSection, Stage
from hf_imgcls.training.distillation import Teacher
from hf_imgcls.training.groups import Group
from hf_imgcls.training.loss import Custom, Terms


@dataclasses.dataclass
class Plan:
    """A stage, checked and ready to run; checkpoints go to `folder`, and weights where another stage follows.

    `parameters` are the names of those that train, `trained` how many numbers they are, `groups` the same by learning
    rate where there are several; `terms` are what the loss has beside cross-entropy, and `teacher` is whose
    probabilities it follows too; `model` is the recipe's section; `callbacks` are called
    beside the trainer's own.
    """

    stage: Stage
    arguments: TrainingArguments
    folder: Path
    images: TrainTransform
    parameters: list[str]
    trained: int
    groups: list[Group]
    mixing: Mixing | None
    custom: Custom
    terms: Terms
    teacher: Teacher | None
    model: ModelSection
    callbacks: Sequence[TrainerCallback] = ()
