"""Whether what a run will write fits where it is written, before it trains."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch import nn
from transformers import TrainingArguments

from hf_imgcls.machine import say
from hf_imgcls.store import check_room, free_space
from hf_imgcls.words import megabytes, plural


def check_room_of_run(folder: Path, model: nn.Module, plans: Sequence) -> None:
    """Refuse a run (MachineError) of which not even one checkpoint fits, and say where not all of them do."""
    weights = sum(each.numel() * each.element_size() for each in model.state_dict().values())
    largest = max(weights + _optimizer(plan) for plan in plans)
    saves = any(plan.arguments.save_strategy != "no" for plan in plans)
    check_room(folder, largest if saves else weights, "one checkpoint" if saves else "the model")
    if any(plan.arguments.load_best_model_at_end for plan in plans):
        check_room(Path(tempfile.gettempdir()), weights, "the comparison of restored weights")
    count = max(_at_once(plan.arguments) for plan in plans)
    there = len([*folder.glob("checkpoint-*"), *folder.glob("stage-*/checkpoint-*")])
    free = free_space(folder)
    if saves and free is not None and free < max(0, count - there) * largest + weights:
        say(
            f"note: {megabytes(free)} are free in {folder}, and {plural(count, 'checkpoint')} at once take "
            f"{megabytes(count * largest)}; where there is no room for one, the run stops and keeps those before"
        )


def _optimizer(plan) -> int:
    """Bytes of the state of Adam and its kin, two numbers for each weight that trains (of others at least nothing), and
    of the weights themselves where an average of them is saved as the model.
    """
    numbers = 2 * (plan.arguments.optim.value in ("adamw_torch", "adamw_torch_fused"))
    return 4 * plan.trained * (numbers + (plan.stage.averaging.ema_decay is not None))


def _at_once(arguments: TrainingArguments) -> int:
    """Checkpoints that are there at the same time, at most: one more than are kept, while it is written."""
    epochs = max(1, round(arguments.num_train_epochs))
    saves = epochs if arguments.save_strategy == "epoch" and arguments.max_steps <= 0 else 1
    return min(saves, (arguments.save_total_limit or saves) + 1)
