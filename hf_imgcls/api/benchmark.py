"""Images per second of a recipe's data path, of its model, and of both together; nothing is saved."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object

from hf_imgcls import machine
from hf_imgcls.api.measurement import Measurement, peak_memory
from hf_imgcls.data import attach_transform, load_data
from hf_imgcls.errors import InputError
from hf_imgcls.images import EvalTransform
from hf_imgcls.models import build_model, channels_last
from hf_imgcls.recipe import load_recipe
from hf_imgcls.store import cache_in_use, read_json, try_place
from hf_imgcls.training import plan_stages, train_rows

PARTS = {"data": "the data path alone", "model": "the model alone (the limit)", "both": "both together"}


@cache_in_use()
def measure_recipe(source: str | Path | dict, overrides: Iterable[str] = (), steps: int = 30) -> dict[str, Any]:
    """Measure the training of a recipe's last stage, part by part, without writing anything to its folder.

    Args:
        steps: optimizer steps that each part is measured over.

    Returns:
        Images per second of all processes: `data` (read, augmented, on the device), `model` (forward,
        backward and step on one repeated batch), `both`, and `ratio`, both / model. `processes`: the same for
        each, with its peak memory in MB. `machine`, `stage`, `batch`, `steps`, `notes`.
    """
    if steps < 1:
        raise InputError(f"--steps: found {steps}, expected 1 or more")
    recipe = load_recipe(source, overrides)
    machine.prepare_launch()
    arguments = machine.training_arguments(recipe.training)
    note = machine.check_launch()
    with machine.first_on_machine("reads the images"):
        data = load_data(recipe.data)
    model, processor = build_model(recipe.model, data.labels, arguments.seed)
    scoring = EvalTransform(processor, [model.config.label2id[name] for name in data.labels])
    plans = [plan for plan in plan_stages(recipe, data, model, scoring) if not plan.stage.cache_features]
    if not plans:
        raise InputError("stages: all of them train on cached features; there is no training on images to measure")
    laid_out = channels_last(model, plans[-1].images.size, recipe.model.channels_last)
    rows = attach_transform(train_rows(plans[-1], data), plans[-1].images, recipe.data.bad_images)
    with tempfile.TemporaryDirectory() as folder:
        measurement = Measurement(plans[-1], model, Path(folder), steps)
        found = measurement.of(rows)
    processes = gather_object([{**found, **peak_memory(plans[-1].arguments.dataloader_num_workers)}])
    hardware = machine.detect_machine(arguments.device.type == "cpu")
    sums = {part: round(sum(process[part] for process in processes), 1) for part in PARTS}
    return {
        **sums,
        "ratio": round(sums["both"] / sums["model"], 4),
        "processes": processes,
        "stage": plans[-1].stage.number,
        "batch": arguments.world_size * plans[-1].arguments.train_batch_size,
        "steps": steps,
        "machine": machine.chosen_settings(hardware, [plans[-1].arguments], laid_out),
        "notes": [*filter(None, [note, measurement.doubt(rows)])],
    }


def check_measurement_file(file: Path) -> None:
    """Before anything is measured: refuse (InputError) what would replace anything but an earlier measurement."""
    if file.is_dir() or (file.exists() and not _is_measurement(file)):
        raise InputError(f"--output: {file} is there, and not of a benchmark; name another file")
    if not file.absolute().parent.is_dir():
        raise InputError(f"--output: there is no folder {file.parent}")
    try_place(file.absolute().parent, "--output")


def _is_measurement(file: Path) -> bool:
    try:
        return {*PARTS, "ratio", "machine"} <= read_json(file).keys()
    except (OSError, ValueError, AttributeError):
        return False


def describe_measurement(found: dict[str, Any]) -> list[str]:
    """The measurements as a table, and the settings."""
    processes = found["processes"]
    heads = ["all"] + [f"process {i}" for i in range(len(processes))] if len(processes) > 1 else [""]
    lines = [machine.describe_machine(found["machine"]), *found["notes"]]
    lines.append(f"{'images per second':28}" + "".join(f"{head:>12}" for head in heads).rstrip())
    for part, name in PARTS.items():
        values = [found[part], *(process[part] for process in processes if len(processes) > 1)]
        lines.append(f"{name:28}" + "".join(f"{value:12,.1f}" for value in values))
    lines.append(f"{'of the limit':28}{found['ratio']:12.1%}")
    for name, key in (("MB, peak", "memory"), ("MB, largest worker", "worker_memory"), ("MB on the GPU", "gpu_memory")):
        each = [process[key] for process in processes]
        if any(each):
            values = [sum(each), *each] if len(each) > 1 else each
            lines.append(f"{name:28}" + "".join(f"{value:12,}" for value in values))
    return lines
