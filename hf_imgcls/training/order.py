"""The order of the images in an epoch where classes are balanced, or images augmented several times in a batch."""

import numpy as np
from torch.utils.data import Sampler
from transformers import Trainer

from hf_imgcls.errors import InputError
from hf_imgcls.images import random_transform
from hf_imgcls.training.balance import draw_balanced
from hf_imgcls.training.plan import Plan

_SALT = 7  # of the generator: augmentation is drawn from seed, epoch and row


class EpochOrder(Sampler[int]):
    """Rows of each epoch, drawn from seed and epoch alone: the same on every process, and in a run that is resumed.

    An epoch has as many images as the split has. A row that it has already shown comes as row + rows of the split,
    then as row + twice these: `TimedRows` reads from it which time it is, so that each is augmented in another way.

    Args:
        labels: class ids of the rows, shape (rows,).
    """

    def __init__(self, labels: np.ndarray, plan: Plan):
        arguments, stage = plan.arguments, plan.stage
        self.labels, self.epoch = labels, plan.images.epoch
        self.balance, self.repeats = stage.sampling.balance, stage.augmentation.repeats
        self.batch = arguments.train_batch_size * arguments.world_size
        self.seed = arguments.seed if arguments.data_seed is None else arguments.data_seed

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self):
        random, size = np.random.default_rng([self.seed, int(self.epoch), _SALT]), len(self)
        count = -(-size // self.repeats)
        if self.balance:
            rows = draw_balanced(self.labels, count, self.balance, random)
        else:
            rows = random.permutation(size)[:count]
        rows = np.repeat(rows, self.repeats)[:size]
        times = _times(rows)
        order = np.arange(size)
        if self.repeats > 1:  # repeats apart: mixing takes the image before, and a process the next of them
            order = np.lexsort((order, np.arange(size) % self.repeats, order // self.batch))
        yield from (rows + size * times)[order].tolist()


def _times(rows: np.ndarray) -> np.ndarray:
    """How often each row has come before, shape (rows,)."""
    order = np.argsort(rows, kind="stable")
    begins = np.flatnonzero(np.diff(rows[order], prepend=-1))
    times = np.empty(len(rows), dtype=int)
    times[order] = np.arange(len(rows)) - np.repeat(begins, np.diff(np.append(begins, len(rows))))
    return times


def epoch_order(plan: Plan, rows) -> EpochOrder | None:
    """The order that a stage asks for; None where each image comes once an epoch, in Trainer's own."""
    if not plan.stage.sampling.balance and plan.stage.augmentation.repeats == 1:
        return None
    if not plan.stage.sampling.balance:
        return EpochOrder(np.zeros(len(rows), int), plan)
    rows = rows.with_format(None)
    labels = np.array(rows["labels" if "labels" in rows.column_names else "label"][:])
    return EpochOrder(labels, plan)


def check_repeats(plan: Plan) -> None:
    """Refuse repeats of what is not random, and more of them than a batch has images."""
    specs, repeats = plan.stage.augmentation.train, plan.stage.augmentation.repeats
    batch = plan.arguments.train_batch_size * plan.arguments.world_size
    if repeats > 1 and not random_transform(specs, plan.images.size):
        raise InputError("augmentation.repeats: nothing in augmentation.train is random, so that all would be alike")
    if repeats > batch:
        raise InputError(f"augmentation.repeats: {repeats} of each image do not go into a batch of {batch}")


class OrderTrainer(Trainer):
    """Trainer whose epochs have an order of their own, where it is given one."""

    def __init__(self, *args, order: EpochOrder | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.order = order

    def _get_train_sampler(self, *args):
        return self.order or super()._get_train_sampler(*args)
