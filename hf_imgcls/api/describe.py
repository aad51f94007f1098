"""Describing a network: a recipe's model, without its weights, as a table of layers."""

from collections.abc import Iterable
from pathlib import Path

from hf_imgcls import reports
from hf_imgcls.data import find_rows
from hf_imgcls.errors import InputError
from hf_imgcls.images import input_size
from hf_imgcls.models import (
    build_model,
    choose_parameters,
    describe_layers,
    describe_parameters,
    freeze_parameters,
    updated,
    with_lora,
)
from hf_imgcls.recipe import load_recipe, naming_stage, stages_of
from hf_imgcls.training import describe_groups, group_parameters
from hf_imgcls.words import plural

_MOST = 1_000_000


def describe_network(
    source: str | Path | dict, overrides: Iterable[str] = (), depth: int | None = None, classes: int | None = None
) -> list[str]:
    """The lines of a table of the layers of a recipe's network, and what trains in each stage.

    Neither images nor weights are read: of a checkpoint the configuration and the image processor.

    Args:
        source: a recipe file, or its content.
        depth: levels of layers within layers; if None, as many as fit into 40 lines.
        classes: their number; if None, that of the recipe's label names or of its data on this machine, else 2.

    Raises:
        InputError: the recipe or the model is not as it must be.
    """
    for name, value, least in (("depth", depth, 1), ("classes", classes, 2)):
        if value is not None and not least <= value <= _MOST:
            raise InputError(f"{name}: found {value}, expected an integer of {least} to {_MOST:,}")
    recipe = load_recipe(source, overrides)
    labels, origin = _labels(recipe.data, classes)
    section = recipe.model.model_copy(update={"from_scratch": True})  # the same network, without its weights
    model, processor = build_model(section, labels, seed=0)
    size, trained, lines = input_size(processor), {}, []
    for stage in stages_of(recipe):
        with naming_stage(stage), with_lora(model, stage.train, size) as added:
            names = choose_parameters(model, stage.train, size)
            groups = group_parameters(model, stage, names, size)
            freeze_parameters(model, names, size)
            heading = f"stage {stage.number}" if stage.listed else "training"
            trained[heading] = set(map(updated, names))
            lines += [f"{heading}: {describe_parameters(model)}", *([added] if added else [])]
            lines += describe_groups(model, groups, stage.training)
    layers = describe_layers(model, size)
    total = layers[0]
    return [
        f"{total.kind}: image 3 x {size[0]} x {size[1]}, {plural(len(labels), 'class')} ({origin})",
        *reports.layer_table(layers, trained, depth),
        f"in total: {sum(total.parameters.values()):,} parameters; {reports.short(total.flops)} FLOPs for an image "
        f"({reports.short(total.flops // 2)} MACs) of convolutions, matrix products and attention",
        *lines,
    ]


def _labels(data, classes: int | None) -> tuple[list[str], str]:
    """Names of the classes, and where their number is from."""
    if classes is not None:
        return [f"class {i}" for i in range(classes)], "as asked for"
    if data.label_names:
        return data.label_names, "data.label_names"
    if Path(data.path).expanduser().exists() and not data.streaming:
        return find_rows(data).labels, data.path
    return ["class 0", "class 1"], "assumed, the data is not on this machine; --classes sets their number"
