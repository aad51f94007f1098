"""What a trainer is told between steps: which epoch its images are of, and when to stop early."""

from transformers import EarlyStoppingCallback, TrainerCallback
from transformers.trainer_utils import has_length

from hf_imgcls.images import TrainTransform


class EpochCallback(TrainerCallback):
    """Tells the training images which epoch begins: their random numbers are drawn from it."""

    def __init__(self, images: TrainTransform):
        self.images = images
        self.epoch = 0

    def on_train_begin(self, args, state, control, train_dataloader=None, **kwargs):
        # Resumed in mid-epoch, state.epoch is 1.4: the images are those of epoch 1. A finished epoch is a whole
        # number but for rounding. A stream always begins anew and skips.
        self.epoch = int((state.epoch or 0) + 1e-6) if has_length(train_dataloader) else 0

    def on_epoch_begin(self, args, state, control, **kwargs):
        self.images.epoch.fill_(self.epoch)
        self.epoch += 1


class StopEarly(EarlyStoppingCallback):
    """Early stopping that a resumed run continues to count where it was."""

    def on_train_begin(self, args, state, control, **kwargs):
        super().on_train_begin(args, state, control, **kwargs)
        self.early_stopping_patience_counter = bad_evaluations(state.stateful_callbacks)


def bad_evaluations(saved: dict) -> int:
    """How many evaluations in a row had brought nothing, from a checkpoint's `stateful_callbacks`."""
    return saved.get(StopEarly.__name__, {}).get("attributes", {}).get("early_stopping_patience_counter", 0)
