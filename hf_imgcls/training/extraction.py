"""Features of images, batch by batch: on the device, or on a CPU by one process for each thread that it may use.

On a CPU each batch is computed by one thread, in whichever process: the features are the same to the bit with any
number of cores. Processes of one thread are faster than threads of one process, which wait for each other after each
layer and while images are read.
"""

import contextlib
import sys
import time
from collections.abc import Iterator

import datasets
import numpy as np
import torch
from torch.utils.data import DataLoader
from transformers import DefaultDataCollator, PreTrainedModel, TrainingArguments

from hf_imgcls.images import EvalTransform, TrainTransform
from hf_imgcls.machine import cores_per_process, exact_float32, shield_worker
from hf_imgcls.models import in_evaluation, input_of_head

_BATCH = 8  # images for each process of a CPU: larger batches are no faster there, and take more memory
_WORTH = 1.0  # seconds of work left from which processes are started

Arrays = dict[str, np.ndarray]


def extract_features(
    model: PreTrainedModel,
    head: str,
    rows: datasets.Dataset,
    transform: EvalTransform | TrainTransform,
    arguments: TrainingArguments,
) -> Iterator[Arrays]:
    """Batches of pixel_values, what goes into the head in float32 of shape (images, width), and labels."""
    compute = _Features(model, head, transform, arguments)
    with in_evaluation(model), exact_float32():
        # Elsewhere than on Linux a process would start by importing everything anew.
        if compute.device.type == "cpu" and sys.platform == "linux":
            yield from _on_cores(rows, min(arguments.eval_batch_size, _BATCH), compute)
        else:
            workers = arguments.dataloader_num_workers
            yield from map(compute, _load(rows, range(len(rows)), arguments.eval_batch_size, workers, None))


def features_precision(arguments: TrainingArguments) -> str:
    """The precision that features are computed in: a CPU's that of the training, otherwise float32."""
    half = arguments.device.type == "cpu" and arguments.mixed_precision == "bf16"
    return "bf16" if half else "float32"


class _Features:
    """From rows, or a batch of them, to its features."""

    def __init__(self, model: PreTrainedModel, head: str, transform, arguments: TrainingArguments):
        self.model, self.head, self.device = model, head, arguments.device
        self.floats = (
            [each.to(self.device) for each in (transform.scale, transform.shift)]
            if isinstance(transform, TrainTransform)
            else None
        )
        self.half = features_precision(arguments) == "bf16"

    def __call__(self, rows: list[dict] | dict[str, torch.Tensor]) -> Arrays:
        batch = DefaultDataCollator()(rows) if isinstance(rows, list) else rows
        pixels = batch["pixel_values"].to(self.device, non_blocking=True)
        if pixels.dtype == torch.uint8:
            scale, shift = self.floats
            pixels = pixels.float() * scale + shift
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            features = input_of_head(self.model, self.head, pixels)
        return {"pixel_values": features.float().cpu().numpy(), "labels": batch["labels"].numpy()}


def _on_cores(rows: datasets.Dataset, batch: int, compute: _Features) -> Iterator[Arrays]:
    """The first batch here, and by it whether processes are worth their start."""
    with _one_thread() as threads:
        begun = time.perf_counter()
        yield from _load(rows, range(min(batch, len(rows))), batch, 0, compute)
        left = range(batch, len(rows), batch)
        worth = (time.perf_counter() - begun) * len(left) > _WORTH
        workers = min(threads, cores_per_process(), len(left)) if worth and threads > 1 else 0
        yield from _load(rows, range(batch, len(rows)), batch, workers, compute)


def _load(rows: datasets.Dataset, numbers: range, batch: int, workers: int, collate: _Features | None) -> DataLoader:
    """A loader of those rows; with `collate` its workers, forked here with the network, compute the features too.

    Arrays come back through a pipe and need no shared memory.
    """
    return DataLoader(
        rows,
        batch,
        sampler=numbers,
        num_workers=workers,
        collate_fn=collate or DefaultDataCollator(),
        pin_memory=collate is None and torch.cuda.is_available(),
        worker_init_fn=_begin_worker,
        generator=torch.Generator(),  # that of the run is left as it was
        multiprocessing_context="fork" if workers and collate else None,
    )


def _begin_worker(number: int) -> None:
    """DataLoader has set one thread: a second one of a forked process would wait for those of its parent for ever."""
    shield_worker()


@contextlib.contextmanager
def _one_thread() -> Iterator[int]:
    """One thread within it; how many there are outside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)
