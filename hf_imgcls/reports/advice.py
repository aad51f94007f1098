"""The change to its recipe that would make a run faster, where there is one, as overrides that `check` accepts."""

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import datasets

from hf_imgcls.data import Data, advised_size, average_pixels
from hf_imgcls.images import random_transform
from hf_imgcls.machine import Machine
from hf_imgcls.reports.results import counts_of
from hf_imgcls.training import PARTS, Plan

_LONG = 600  # s of training that a compilation, which takes a minute or two, should save part of


def advise_run(
    plans: Sequence[Plan], stages: Sequence[Mapping], data: Data, machine: Machine, channels_last: bool
) -> str | None:
    """Overrides for the stage that trained longest, and why; None where nothing would help or none has trained.

    Args:
        stages: a record of each of the plans.
        channels_last: whether the network is convolutional, and laid out channels last.
    """
    timed = [(plan, stage, spent) for plan, stage in zip(plans, stages, strict=True) if (spent := counts_of(stage))]
    if not timed:
        return None
    plan, stage, spent = max(timed, key=lambda each: each[2]["seconds"])
    fractions = {part: spent[part] / (spent["seconds"] or 1.0) for part in ("data", "model", "evaluation", "saving")}
    often = _repeated_too_often(plan, stage, fractions)
    if _trains_on_fixed_features(plan, stage, data):
        part, change = "model", f"stages.{plan.stage.number - 1}.cache_features=true"
    elif fractions["data"] >= 0.1 and (faster := _read_faster(plan, stage, data, machine)):
        part, change = "data", faster
    elif often:
        part, change = max(("evaluation", "saving"), key=fractions.__getitem__), often
    elif faster := _compute_faster(plan, spent["seconds"], machine, channels_last):
        part, change = "model", faster
    else:
        return None
    where = f"stage {plan.stage.number}: " if len(plans) > 1 else ""
    return f"{where}{change} ({fractions[part]:.0%} of the training was {PARTS[part]})"


def _trains_on_fixed_features(plan: Plan, record: Mapping[str, Any], data: Data) -> bool:
    """Whether a frozen backbone computed the same features of the same images in more than one epoch."""
    stage = plan.stage
    repeated = stage.train == "head" and not stage.cache_features and not plan.mixing and record["epochs"] > 1
    countable = isinstance(data.splits["train"], datasets.Dataset)
    return repeated and countable and random_transform(stage.augmentation.train, plan.images.size) is None


def _read_faster(plan: Plan, record: Mapping[str, Any], data: Data, machine: Machine) -> str | None:
    if machine.device == "cuda" and plan.arguments.dataloader_num_workers < machine.cores - 1:
        return f"training.dataloader_num_workers={machine.cores - 1}"
    rows = data.splits["train"]
    if data.cache_size or plan.stage.cache_features or not isinstance(rows, datasets.Dataset):
        return None
    side = advised_size(average_pixels(rows), record["epochs"], plan.images.size)
    return f"data.cache_size={side}" if side else None


def _repeated_too_often(plan: Plan, record: Mapping[str, Any], fractions: Mapping[str, float]) -> str | None:
    """Evaluation and saving half as often, together, so that the best model can still be chosen."""
    strategy, save_steps = plan.arguments.save_strategy, max(1, round(plan.arguments.save_steps))
    saves = {"epoch": math.ceil(record["epochs"]), "steps": record["steps"] // save_steps}.get(strategy.value, 0)
    evaluations = sum("eval_loss" in entry for entry in record["history"])
    times = max(
        evaluations if fractions["evaluation"] >= 0.25 else 0,
        saves if fractions["saving"] >= 0.15 else 0,
    )
    if times < 4:
        return None
    every = 2 * round(record["steps"] / times)
    key = f"stages.{plan.stage.number - 1}.training" if plan.stage.listed else "training"
    kinds = ["eval"] * bool(evaluations) + ["save"] * bool(saves)
    return " ".join(f"{key}.{kind}_strategy=steps {key}.{kind}_steps={every}" for kind in kinds)


def _compute_faster(plan: Plan, seconds: float, machine: Machine, channels_last: bool) -> str | None:
    if machine.device == "cuda" and machine.precision and plan.arguments.mixed_precision == "no":
        return f"training.{machine.precision}=true"
    # On a CPU it is built with the machine's compiler, and is worth it for convolutions alone: measured 1.2 to 1.3
    # times as fast with MobileNetV2, 0.9 times with DeiT.
    on_cpu = channels_last and (shutil.which("g++") or shutil.which("clang++"))
    if (machine.device == "cuda" or on_cpu) and not plan.arguments.torch_compile and seconds > _LONG:
        return "training.torch_compile=true"
    return None
