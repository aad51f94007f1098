"""A stage's training measured in this process: images per second of each part, and memory."""

import contextlib
import copy
import io
import itertools
import math
import resource
import sys
import time
from pathlib import Path

import datasets
import torch
from transformers import DefaultDataCollator, TrainerCallback

from hf_imgcls import machine
from hf_imgcls.models import add_lora, freeze_parameters
from hf_imgcls.training import EpochTable, ImageTrainer, Plan

_WARM_UP = 3  # steps before the clock starts: allocations and the choice of kernels are not measured


class Measurement:
    """Measures a stage's training in this process."""

    def __init__(self, plan: Plan, model: torch.nn.Module, folder: Path, steps: int):
        self.plan, self.model, self.folder, self.steps = plan, model, folder, steps
        arguments = plan.arguments
        # Batches that the workers had prefetched before the clock started do not count.
        self.prefetched = arguments.dataloader_num_workers * (arguments.dataloader_prefetch_factor or 2)
        self.skipped = max(_WARM_UP, math.ceil(self.prefetched / arguments.gradient_accumulation_steps))

    def doubt(self, rows) -> str | None:
        """Where an epoch is shorter than what the workers prefetch, rates are not steady: a line that says so."""
        arguments = self.plan.arguments
        if not isinstance(rows, datasets.Dataset) or not arguments.dataloader_num_workers:
            return None
        batches = math.ceil(len(rows) / (arguments.train_batch_size * arguments.world_size))
        if batches > self.prefetched:
            return None
        return (
            f"benchmark: the workers prefetch a whole epoch ({batches} of up to {self.prefetched} batches): rates "
            "with the data path are bursts; measure more images, or with fewer training.dataloader_num_workers"
        )

    def of(self, rows) -> dict[str, float]:
        """Images per second of the data path, of the model, and of both."""
        reader = self._trainer(rows)
        data, batch = self._data(reader.get_train_dataloader())
        reader.stop_workers()
        del reader  # with its copy of the network
        arguments = self.plan.arguments
        count = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        empty_rows = [None] * (count * (self.steps + self.skipped))
        # The batch is on the device already: no worker loads it, and only CPU memory can be pinned.
        loading = {"num_workers": 0, "prefetch_factor": None, "persistent_workers": False, "pin_memory": False}
        ready = {f"dataloader_{key}": value for key, value in loading.items()}
        model = self._training(self._trainer(empty_rows, lambda rows: batch, **ready))
        return {"data": data, "model": model, "both": self._training(self._trainer(rows))}

    def _trainer(self, rows, collator=None, **own) -> ImageTrainer:
        """The stage's trainer, with a copy of the model; it evaluates, saves and logs nothing."""
        quiet = {"eval_strategy": "no", "save_strategy": "no", "logging_strategy": "no", "report_to": "none"}
        quiet |= {"load_best_model_at_end": False, "push_to_hub": False, "eval_on_start": False, "disable_tqdm": True}
        quiet |= {key: getattr(self.plan.arguments, key) for key in ("fp16", "bf16", "use_cpu")}
        arguments = machine.training_arguments(
            self.plan.stage.training, output_dir=str(self.folder), max_steps=self.steps + self.skipped, **quiet, **own
        )
        model = copy.deepcopy(self.model)
        add_lora(model, self.plan.stage.train, self.plan.images.size, arguments.seed)
        return ImageTrainer(
            model,
            arguments,
            data_collator=collator or DefaultDataCollator(),
            train_dataset=rows,
            images=self.plan.images,
            mixing=self.plan.mixing,
            terms=self.plan.terms,
            teacher=self.plan.teacher,
            groups=self.plan.groups,
            ema_decay=self.plan.stage.averaging.ema_decay,
            frozen=freeze_parameters(model, self.plan.parameters, self.plan.images.size),
        )

    def _training(self, trainer: ImageTrainer) -> float:
        """Images per second; what a training before it has left on the device is none of its memory."""
        machine.release_device(trainer.args.device)
        machine.begin_peak()
        watch = _Watch(trainer, self.skipped)
        trainer.remove_callback(EpochTable)
        trainer.add_callback(watch)
        with contextlib.redirect_stdout(io.StringIO()):  # what a training says of itself, each time again
            trainer.train()
        return watch.rate

    def _data(self, loader) -> tuple[float, dict[str, torch.Tensor]]:
        """Images per second, over epochs, and a batch."""
        batches = itertools.chain.from_iterable(itertools.repeat(loader))
        first = next(batches)
        for _ in range(self.skipped - 1):
            next(batches)
        begun, count = _now(), self.steps * self.plan.arguments.gradient_accumulation_steps
        images = sum(len(batch["labels"]) for batch in itertools.islice(batches, count))
        return round(images / (_now() - begun), 1), first


class _Watch(TrainerCallback):
    """Images per second from the end of the warm-up to the last step."""

    def __init__(self, trainer: ImageTrainer, skipped: int):
        self.clock, self.skipped, self.begun, self.rate = trainer.clock, skipped, (0.0, 0), 0.0

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.skipped:
            self.begun = _now(), self.clock.images
        elif state.global_step == state.max_steps:
            self.rate = round((self.clock.images - self.begun[1]) / (_now() - self.begun[0]), 1)


def _now() -> float:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()


def peak_memory(workers: int) -> dict[str, int]:
    """Peak memory in MB of this process, of its largest worker, and of its last training on a GPU; 0 of none."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    own, children = (
        resource.getrusage(who).ru_maxrss // unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    gpu = machine.device_peak() // 2**20
    return {"memory": own, "worker_memory": children if workers else 0, "gpu_memory": gpu}
