"""The workers that read images for a training: what they draw from, and when they end."""

import torch
from torch.utils.data import DataLoader
from transformers import Trainer


class WorkersTrainer(Trainer):
    """Trainer whose workers change nothing that is random in the training, and end with it."""

    def __init__(self, *args, **kwargs):
        self._persistent: list[DataLoader] = []
        super().__init__(*args, **kwargs)

    def _get_dataloader(self, *args, is_training: bool = False, **kwargs):
        """Trainer's own, whose workers draw nothing from the generator of the process.

        Persistent workers draw a number when a loader is first used, and a resumed run uses one loader more: its
        dropout would be another one from there on.
        """
        dropped = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = dropped and is_training  # what is scored is scored whole
        try:
            loader = super()._get_dataloader(*args, is_training=is_training, **kwargs)
        finally:
            self.args.dataloader_drop_last = dropped
        loader.base_dataloader.generator = torch.Generator()
        if loader.base_dataloader.persistent_workers:
            self._persistent.append(loader.base_dataloader)
        return loader

    def train(self, *args, **kwargs):
        try:
            return super().train(*args, **kwargs)
        finally:
            self.stop_workers()

    def stop_workers(self) -> None:
        """End the workers that outlive an epoch; those of a loader that is used again begin anew.

        Left to the garbage collector, a trainer that is done with makes the next one wait for 5 s for each of them.
        """
        for loader in self._persistent:
            loader._iterator = None  # torch's own place for them, and the only reference
