"""The Trainer on a stream: a resumed run goes on where it was, and passes have no known length."""

from collections.abc import Iterator
from pathlib import Path

import torch

from hf_imgcls.data import StreamRows
from hf_imgcls.errors import InputError
from hf_imgcls.training.history import HistoryTrainer
from hf_imgcls.training.position import StreamPosition

_POSITION = "position in the stream"


class StreamTrainer(HistoryTrainer):
    """Trainer that resumes within any pass over a stream, and makes whole steps of what is left at its end.

    Trainer itself takes the steps of the whole training for those of a pass. Gradients of batches that are too few for
    a step of accumulated ones would be added to the first step of the next pass, and be missing in a run that is
    resumed between the two.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.position = None
        if isinstance(self.train_dataset, StreamRows):
            if self.args.world_size > 1 and self.args.accelerator_config.dispatch_batches is False:
                raise InputError(
                    "training.accelerator_config: dispatch_batches=false cannot divide a stream among processes; leave "
                    "it out"
                )
            workers = self.args.dataloader_num_workers
            self.position = StreamPosition(self.train_dataset, workers, self.args.world_size)
            self.progress.add(_POSITION, self.position, changes_weights=True)
            self.add_callback(self.position)

    def _init_training_state(self, max_steps, steps_of_pass, passes, resume_from_checkpoint, trial):
        counted = super()._init_training_state(max_steps, steps_of_pass, passes, resume_from_checkpoint, trial)
        if self.position is None or not resume_from_checkpoint:
            return counted
        saved = self.progress.read(Path(resume_from_checkpoint), self.args.process_index, self.args.world_size)
        self.position.restore(saved[_POSITION])
        return self.position.epoch, self.position.batches

    def get_batch_samples(self, epoch_iterator: Iterator[dict], num_batches: int, device: torch.device):
        batches, images = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.position and len(batches) < num_batches:
            self.position.ended = True
            batches = divide_batches(batches, num_batches)
        return batches, images

    def training_step(self, model, inputs, *args, **kwargs):
        if self.position:
            self.position.saw(inputs.pop("place"))
        return super().training_step(model, inputs, *args, **kwargs)


def divide_batches(batches: list[dict[str, torch.Tensor]], count: int) -> list[dict[str, torch.Tensor]]:
    """Batches as so many smaller ones; none where there are fewer images than that."""
    if not batches or sum(len(batch["labels"]) for batch in batches) < count:
        return []
    parts = {key: torch.cat([batch[key] for batch in batches]).tensor_split(count) for key in batches[0]}
    return [{key: values[i] for key, values in parts.items()} for i in range(count)]
