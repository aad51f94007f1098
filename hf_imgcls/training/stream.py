"""The Trainer on a stream: a resumed run goes on where it was, and passes have no known length."""

import functools
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import torch
from accelerate.data_loader import prepare_data_loader
from torch import distributed

from hf_imgcls.data import StreamRows
from hf_imgcls.errors import InputError
from hf_imgcls.machine import say
from hf_imgcls.training.history import HistoryTrainer
from hf_imgcls.training.position import StreamPosition

_POSITION = "position in the stream"


class StreamTrainer(HistoryTrainer):
    """Trainer that resumes within any pass over a stream, and makes whole steps of what is left at its end.

    Trainer itself takes the steps of the whole training for those of a pass. Gradients of batches that are too few for
    a step of accumulated ones would be added to the first step of the next pass, and be missing in a run that is
    resumed between the two.

    Of several processes each reads files of its own where they can be divided evenly; else the first one reads for all.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.position = self._processes = None
        if isinstance(self.train_dataset, StreamRows):
            if self.args.world_size > 1 and self.args.accelerator_config.dispatch_batches is False:
                raise InputError(
                    "training.accelerator_config: dispatch_batches=false cannot divide a stream among processes; leave "
                    "it out"
                )
            divided = self.args.world_size > 1 and self._divide()
            workers = self.args.dataloader_num_workers
            self.position = StreamPosition(self.train_dataset, workers, 1 if divided else self.args.world_size)
            self.progress.add(_POSITION, self.position, changes_weights=True)
            self.add_callback(self.position)

    def _divide(self) -> bool:
        """Whether this process reads a part of the stream; a line that says who reads what."""
        files, processes = self.train_dataset.rows.num_shards, self.args.world_size
        if own := self.train_dataset.part_of(self.args.process_index, processes):
            self.train_dataset = own
            # Not the group of the gradients: what it computes on a GPU would be waited for at each step.
            self._processes = distributed.new_group(backend="gloo")
            say(f"stream: each of {processes} processes reads {files // processes} of {files} files of train")
            return True
        say(f"stream: the first process reads for all {processes}, among which {files} files cannot be divided evenly")
        return False

    def _get_dataloader(self, *args, is_training: bool = False, **kwargs):
        if not (is_training and self._processes):
            return super()._get_dataloader(*args, is_training=is_training, **kwargs)
        accelerator = self.accelerator
        alone = functools.partial(
            prepare_data_loader, device=accelerator.device, num_processes=1, process_index=0, put_on_device=True,
            dispatch_batches=False, non_blocking=accelerator.non_blocking,
        )  # fmt: skip
        self.accelerator = SimpleNamespace(prepare=alone)  # which would have the first process read for all
        try:
            return super()._get_dataloader(*args, is_training=is_training, **kwargs)
        finally:
            self.accelerator = accelerator

    def _init_training_state(self, max_steps, steps_of_pass, passes, resume_from_checkpoint, trial):
        counted = super()._init_training_state(max_steps, steps_of_pass, passes, resume_from_checkpoint, trial)
        if self.position is None or not resume_from_checkpoint:
            return counted
        saved = self.progress.read(Path(resume_from_checkpoint), self.args.process_index, self.args.world_size)
        self.position.restore(saved[_POSITION])
        return self.position.epoch, self.position.batches

    def get_batch_samples(self, epoch_iterator: Iterator[dict], num_batches: int, device: torch.device):
        if self._processes is None:
            batches, images = super().get_batch_samples(epoch_iterator, num_batches, device)
            if self.position and len(batches) < num_batches:
                self.position.ended = True
                batches = divide_batches(batches, num_batches)
            return batches, images
        batches = [] if self.position.ended else self._next_batches(epoch_iterator, num_batches)
        return batches, self._get_num_items_in_batch(batches, device)

    def _next_batches(self, iterator: Iterator[dict], count: int) -> list[dict[str, torch.Tensor]]:
        """The batches of a step of this process; the pass ends for all processes with the first that has no more."""
        batches = list(itertools.islice(iterator, count))
        whole = batches if len(batches) == count else divide_batches(batches, count)
        said = torch.tensor([len(batches) < count, len(whole) < count], dtype=torch.int)
        distributed.all_reduce(said, distributed.ReduceOp.MAX, self._processes)
        self.position.ended, no_step = map(bool, said.tolist())
        return [] if no_step else whole

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
