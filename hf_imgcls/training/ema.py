"""An exponential moving average (EMA) of the weights: what a training evaluates, selects and saves in place of them."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from transformers import TrainerCallback

from hf_imgcls.errors import InputError, RestoreError
from hf_imgcls.machine import say
from hf_imgcls.models import forget_cached
from hf_imgcls.store import RAW_WEIGHTS, raise_denied
from hf_imgcls.training.checkpoints import CheckpointTrainer
from hf_imgcls.training.divergence import STATISTICS

_UPDATES = "updates"


class WeightAverage:
    """The EMA of a model's trained weights, on its device; the first update copies them.

    Running statistics of normalizations are averaged too: copied from the model, as torch's AveragedModel does, they
    would be those of other weights than the averaged ones. Other buffers, constants and counters, are the model's.
    That class also copies its count to the device at each update, which waits for all that a GPU has to do.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay, self.updates = model, decay, 0
        trained = [name for name, each in model.named_parameters() if each.requires_grad]
        statistics = [name for name, _ in model.named_buffers() if name.endswith(STATISTICS)]
        self._owners = {  # not the tensors: a model that is moved to a device, if only from cpu to cpu:0, gets others
            name: (model.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2])
            for name in [*trained, *statistics]
        }
        self._averaged = {name: getattr(*owner).detach().clone() for name, owner in self._owners.items()}

    def _pairs(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """The model's tensors as they are now and the averaged ones, which follow them to their device, by name."""
        mine = {name: getattr(*owner) for name, owner in self._owners.items()}
        self._averaged = {name: each.to(mine[name].device) for name, each in self._averaged.items()}
        return {name: (mine[name], each) for name, each in self._averaged.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimizer step."""
        mine, averaged = map(list, zip(*self._pairs().values(), strict=True))
        if self.updates:
            # With fewer steps than 1 / (1 - decay), a constant decay would keep much of the weights before training.
            decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
            get_ema_multi_avg_fn(decay)(averaged, mine, self.updates)
        else:
            for own, each in zip(mine, averaged, strict=True):
                each.copy_(own)
        self.updates += 1

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights with the average."""
        for mine, averaged in self._pairs().values():
            kept = mine.clone()
            mine.copy_(averaged)
            averaged.copy_(kept)
        forget_cached(self.model)

    def save(self, folder: Path) -> None:
        """Write the weights that are trained on, while the average is in the model."""
        raw = {name: kept.detach().contiguous() for name, kept in self._averaged.items()}
        save_file(raw, folder / RAW_WEIGHTS, {_UPDATES: str(self.updates)})

    @torch.no_grad()
    def restore(self, folder: Path) -> None:
        """Take the average from the model, and the weights that are trained on from a checkpoint (RestoreError)."""
        try:
            with safe_open(folder / RAW_WEIGHTS, framework="pt") as file:
                raw = {name: file.get_tensor(name) for name in self._averaged}
                self.updates = int(file.metadata()[_UPDATES])
            for name, (mine, averaged) in self._pairs().items():
                averaged.copy_(mine)
                mine.copy_(raw[name])
        except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise_denied(error)
            raise RestoreError(
                f"{folder}: {RAW_WEIGHTS} does not have the weights that averaging.ema_decay averages, so the training "
                f"cannot go on ({' '.join(str(error).split())[:100]}); add --start-over"
            ) from None


class AveragingTrainer(CheckpointTrainer):
    """Trainer that evaluates, selects, saves and ends with an EMA of the weights, where it has an `ema_decay`."""

    def __init__(self, *args, ema_decay: float | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.ema_decay, self._average = ema_decay, None
        if ema_decay is None:
            return
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise InputError(
                "averaging.ema_decay: FSDP and DeepSpeed divide the weights among processes; leave it out, or train "
                "without them"
            )
        if self.args.optim.value.startswith("schedule_free"):
            raise InputError(f"averaging.ema_decay: {self.args.optim.value} averages the weights itself; leave it out")
        self.add_callback(_EveryStep(self))

    def train(self, *args, **kwargs):
        if self.ema_decay is not None:
            self._average = WeightAverage(self.model, self.ema_decay)
            used = "saved" if self.args.eval_strategy == "no" else "evaluated, selected and saved"
            say(f"averaging: an EMA of the weights (decay {self.ema_decay:g}) is {used}")
        output = super().train(*args, **kwargs)
        if self._average:  # no best checkpoint, which has the average, was loaded
            self._average.swap()
            self._average = None
        self._share_statistics()
        return output

    def update_average(self) -> None:
        if not self.accelerator.optimizer_step_was_skipped:  # by the scaler of fp16
            self._average.update()

    def evaluate(self, *args, **kwargs):
        with self._averaged():
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args, **kwargs):
        with self._averaged():
            super()._save_checkpoint(*args, **kwargs)

    def _save_optimizer_and_scheduler(self, output_dir):
        super()._save_optimizer_and_scheduler(output_dir)
        if self._average and self.args.should_save:
            self._average.save(Path(output_dir))

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self._average:
            self._average.restore(Path(resume_from_checkpoint))

    def _load_best_model(self):
        super()._load_best_model()
        self._average = None

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        if self._average:
            self._average.swap()
        self._share_statistics()
        try:
            yield
        finally:
            if self._average:
                self._average.swap()

    def _share_statistics(self) -> None:
        """Give every process the running statistics of the first, which are saved; each has those of its own images."""
        if self.args.world_size > 1 and not (self.is_fsdp_enabled or self.is_deepspeed_enabled):
            for name, buffer in self.model.named_buffers():
                if name.endswith(STATISTICS):
                    dist.broadcast(buffer, 0)


class _EveryStep(TrainerCallback):
    """Updates the average after each optimizer step; not after each of the batches that are accumulated for it."""

    def __init__(self, trainer: AveragingTrainer):
        self.trainer = trainer

    def on_optimizer_step(self, args, state, control, **kwargs):
        self.trainer.update_average()
