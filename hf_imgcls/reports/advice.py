"""What a run says about its time, and the one change to its recipe that would make it quicker the most."""

import dataclasses
import math
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import datasets
from transformers import TrainingArguments

from hf_imgcls.data import Data, advised_size, average_pixels
from hf_imgcls.images import random_transform
from hf_imgcls.machine import Machine
from hf_imgcls.reports.results import counts_of
from hf_imgcls.training import PARTS, Plan

# Shares of the training below which a part is not worth a change.
_WORTH = {"data": 0.1, "evaluation": 0.25, "saving": 0.15}
_LONG = 600  # s of training that a compilation, which takes a minute or two, should save part of


@dataclasses.dataclass(frozen=True)
class Situation:
    """What a stage ran with, as far as it could have been otherwise.

    Attributes:
        evaluations, saves: how often in the stage.
        key: where a recipe says what belongs to the stage: "training" or "stages.0.training".
        channels_last: the network is convolutional, and laid out so.
        still: nothing but the head trained, on images that were the same each time.
        prepare: the override that would keep resized copies, where they would pay; None elsewhere.
    """

    arguments: TrainingArguments
    machine: Machine
    steps: int
    evaluations: int
    saves: int
    key: str = "training"
    channels_last: bool = False
    still: bool = False
    prepare: str | None = None


def situation(plan: Plan, record: Mapping[str, Any], data: Data, machine: Machine) -> Situation:
    """The situation of a stage that has been trained."""
    stage, strategy, steps = plan.stage, plan.arguments.save_strategy, record["steps"]
    saves = {"epoch": math.ceil(record["epochs"]), "steps": steps // max(1, round(plan.arguments.save_steps))}
    looks_once = stage.train == "head" and not stage.cache_features and not plan.mixing
    return Situation(
        plan.arguments,
        machine,
        steps,
        sum("eval_loss" in entry for entry in record["history"]),
        saves.get(strategy.value, 0),
        f"stages.{stage.number - 1}.training" if stage.listed else "training",
        looks_once and random_transform(stage.augmentation.train, plan.images.size) is None,
        _copies(plan, record, data),
    )


def _copies(plan: Plan, record: Mapping[str, Any], data: Data) -> str | None:
    rows = data.splits.get("train")
    if data.cache_size or plan.stage.cache_features or not isinstance(rows, datasets.Dataset):
        return None
    side = advised_size(average_pixels(rows), record["epochs"], plan.images.size)
    return f"data.cache_size={side}" if side else None


def advise_run(
    plans: Sequence[Plan], stages: Sequence[Mapping], data: Data, machine: Machine, channels_last: bool
) -> str | None:
    """The advice for the stage that trained longest; None where none has trained.

    Args:
        stages: a record of each of the plans.
        channels_last: the network has convolutions enough to be laid out for them.
    """
    counted = [
        (plan, stage, figures) for plan, stage in zip(plans, stages, strict=True) if (figures := counts_of(stage))
    ]
    if not counted:
        return None
    plan, stage, figures = max(counted, key=lambda each: each[2]["seconds"])
    name = f"stage {plan.stage.number}: " if len(plans) > 1 else ""
    found = situation(plan, stage, data, machine)
    return name + advise(figures, dataclasses.replace(found, channels_last=channels_last))


def advise(figures: Mapping[str, Any], situation: Situation) -> str:
    """The one change that would help most, or what the stage is bound by where none is at hand.

    Args:
        figures: what the stage's clock counted.
    """
    seconds = figures["seconds"] or 1.0
    shares = {part: figures[part] / seconds for part in ("data", "model", "evaluation", "saving")}
    ways = {"data": _read_faster, "evaluation": _evaluate_less, "saving": _save_less}
    for part in sorted(_WORTH, key=lambda part: -shares[part]):
        change = ways[part](situation) if shares[part] >= _WORTH[part] else None
        if change:
            return f"{change} ({shares[part]:.0%} of the training was {PARTS[part]})"
    change = _compute_faster(situation, seconds)
    most = max(shares, key=shares.__getitem__)
    spent = f"{shares[most]:.0%} of the training was {PARTS[most]}"
    if change:
        return f"{change} ({spent})"
    if most == "data":
        return f"more CPU cores, or smaller image files; {spent}"
    return f"nothing that leaves the result as it is; {spent}"


def _read_faster(situation: Situation) -> str | None:
    workers, cores = situation.arguments.dataloader_num_workers, situation.machine.cores
    if situation.machine.device == "cuda" and workers < cores - 1:
        return f"training.dataloader_num_workers={cores - 1}"
    return situation.prepare


def _evaluate_less(situation: Situation) -> str | None:
    return _half_as_often(situation, situation.evaluations)


def _save_less(situation: Situation) -> str | None:
    return _half_as_often(situation, situation.saves)


def _half_as_often(situation: Situation, times: int) -> str | None:
    """Evaluation and saving together, so that the best model can still be kept; not where there are few anyway."""
    if times < 4:
        return None
    every = 2 * round(situation.steps / times)
    settings = [f"{what}_{how}" for what in ("eval", "save") for how in ("strategy=steps", f"steps={every}")]
    return " ".join(f"{situation.key}.{setting}" for setting in settings)


def _compute_faster(situation: Situation, seconds: float) -> str | None:
    machine, arguments = situation.machine, situation.arguments
    if situation.still:
        return f'"cache_features": true beside {situation.key}'
    if machine.precision and arguments.mixed_precision == "no":
        return f"training.{machine.precision}=true"
    # On a CPU it is built with the machine's compiler, and is worth it for convolutions alone: measured 1.2 to 1.3
    # times as fast with MobileNetV2, 0.9 times with DeiT.
    on_cpu = situation.channels_last and (shutil.which("g++") or shutil.which("clang++"))
    if (machine.device == "cuda" or on_cpu) and not arguments.torch_compile and seconds > _LONG:
        return "training.torch_compile=true"
    return None
