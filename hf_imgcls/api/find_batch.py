"""Finding the largest batch size of a recipe's stage."""

import contextlib
import copy
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from hf_imgcls.api.one_stage import OneStage, open_stage
from hf_imgcls.errors import InputError
from hf_imgcls.machine import PeakMemory, begin_peak, device_peak, free_memory, prepare_launch, release_device, say
from hf_imgcls.store import cache_in_use, is_launched
from hf_imgcls.training import BATCH_STEPS, keep_step, power_of_two, reckon_batch, short_plan, try_batches
from hf_imgcls.words import megabytes

_MOST = 4096
_SMALL, _LARGE = 8, 32  # images of the steps that a CPU's memory is measured by


@cache_in_use()
def find_batch_size(
    source: str | Path | dict, overrides: Iterable[str] = (), *, stage: int | None = None, keep_step_size: bool = False
) -> dict[str, Any]:
    """Find the largest power of two of images that a stage of a recipe trains on at a time; nothing is saved.

    On a GPU batches are tried, halved until one fits. A CPU does not refuse memory: it swaps, or the system ends the
    process; there the memory of two small batches is measured and the batch that fits is reckoned.

    Args:
        stage: from 1; the last one if None.
        keep_step_size: keep the images of an optimizer step, by gradient accumulation.

    Returns:
        `batch_size`; `fits`, the largest that does; `override`, which sets it; `tried`, false where it is reckoned.

    Raises:
        InputError: the recipe or the data are not as they must be; not even one image fits.
    """
    prepare_launch()
    if is_launched():
        raise InputError(
            "find-batch-size: run it as a single process; per_device_train_batch_size is the batch of each of several"
        )
    with open_stage(source, overrides, stage, "find-batch-size") as opened:
        if not opened.data.fingerprints:
            raise InputError("data.streaming: find-batch-size trains on the same images again; give it a local dataset")
        arguments = opened.plan.arguments
        most = power_of_two(min(_MOST, len(opened.data.splits["train"])))
        tried = arguments.device.type != "cpu"
        fits = _try(opened, most) if tried else _reckon(opened, most)
        step = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps
        batch, accumulation = keep_step(step, fits) if keep_step_size else (fits, None)
        for line in _describe(opened, fits, most, keep_step_size):
            say(line)
        override = f"{opened.section}.per_device_train_batch_size={batch}"
        if accumulation:
            override += f" {opened.section}.gradient_accumulation_steps={accumulation}"
    say(override)
    return {"batch_size": batch, "fits": fits, "override": override, "tried": tried}


def _train(opened: OneStage, images: int) -> None:
    """A few steps of so many images."""
    own = {"per_device_train_batch_size": images, "gradient_accumulation_steps": 1, "dataloader_drop_last": True}
    plan = short_plan(opened.plan, BATCH_STEPS, keep_average=True, disable_tqdm=True, **own)
    with contextlib.redirect_stdout(io.StringIO()):  # what a training says of itself, each time again
        opened._replace(model=copy.deepcopy(opened.model)).trainer(plan).train()  # LoRA changes what it trains


def _try(opened: OneStage, most: int) -> int:
    def attempt(images: int) -> None:
        release_device(opened.plan.arguments.device)  # of the batch before, which did not fit
        begin_peak()
        _train(opened, images)

    fits = try_batches(attempt, most)
    if torch.cuda.is_available():
        whole = torch.cuda.get_device_properties().total_memory
        taken = megabytes(device_peak())  # of the last try: another one beside what it has left might not fit
        say(f"find-batch-size: a step of {fits} images takes {taken} of the GPU's {megabytes(whole)}")
    release_device(opened.plan.arguments.device)
    return fits


def _reckon(opened: OneStage, most: int) -> int:
    sizes = min(_SMALL, max(1, most // 2)), min(_LARGE, most)
    if sizes[0] == sizes[1]:
        raise InputError("find-batch-size: there is one training image, so that the batch is one")
    # What is allocated once, by libraries and by the optimizer; of one image some batch normalizations refuse a batch.
    _train(opened, 2)
    free, grown = free_memory(), []
    for images in sizes:
        with PeakMemory() as memory:
            _train(opened, images)
        grown.append(memory.grown)
    pairs = list(zip(sizes, grown, strict=True))
    measured = " and ".join(f"{megabytes(size)} for {images} images" for images, size in pairs)
    say(f"find-batch-size: steps let the memory grow by {measured}; {megabytes(free)} are free")
    return reckon_batch(*pairs, free, most)


def _describe(opened: OneStage, fits: int, most: int, kept: bool) -> list[str]:
    arguments = opened.plan.arguments
    batch, accumulated = arguments.per_device_train_batch_size, arguments.gradient_accumulation_steps
    on_cpu = arguments.device.type == "cpu"
    why = "reckoned, not tried, since a CPU swaps before it refuses memory" if on_cpu else "tried by halving"
    bound = "" if fits < most else f"; no more were considered, of {len(opened.data.splits['train']):,} images"
    lines = [f"find-batch-size: {fits} images fit at a time ({why}{bound})"]
    if on_cpu:
        lines.append("find-batch-size: on a CPU a larger batch is hardly faster, so memory alone is no reason for one")
    if kept:
        lines.append(f"find-batch-size: a step keeps its {batch * accumulated} images, so the learning rate can stay")
    elif fits != batch:
        times = fits / (batch * accumulated)
        lines.append(
            f"find-batch-size: a step has {batch * accumulated} images now ({batch} x {accumulated}), {times:.3g} "
            f"times as many then, so the learning rate changes: {times:.3g} times with SGD, {times**0.5:.2g} times "
            "with Adam, or hf-imgcls find-lr; --keep-step keeps the step by accumulation"
        )
    return lines
