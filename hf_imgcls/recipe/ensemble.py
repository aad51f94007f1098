"""Recipes of several networks whose probabilities are averaged: one recipe for each."""

import contextlib
import json
from pathlib import Path

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import load_recipe
from hf_imgcls.recipe.sections import Section

_OF_THE_PUSH = ("push_to_hub", "hub_")


def networks_of(recipe: Section) -> list[Section]:
    """The recipe of each network, whose run folder is `network-1`, ... in that of the recipe; or the recipe itself.

    The first is the recipe without its `ensemble`. Where they are averaged, the others have its image processor, so
    that one serves them all.
    """
    if not recipe.ensemble.networks:
        return [recipe]
    base = json.loads(recipe.model_dump_json(exclude_unset=True, by_alias=True))
    base.pop("calibration", None)  # that of what is saved, be it their mean or one of them
    further, folder = base.pop("ensemble")["networks"], base["training"]["output_dir"]
    base.pop("rejection", None)  # of the model that is saved in the end
    base["training"] = {k: value for k, value in base["training"].items() if not k.startswith(_OF_THE_PUSH)}
    networks = []
    for number, own in enumerate([{}, *further], 1):
        content = {**base, **own, "training": {**base["training"], "output_dir": str(network_folder(folder, number))}}
        if number > 1 and recipe.ensemble.average:
            shared = {"processor_of": recipe.model.checkpoint, "image_size": recipe.model.image_size}
            content["model"] = {**{k: value for k, value in shared.items() if value is not None}, **content["model"]}
            content["model"]["processor"] = _resized_alike(recipe, content["model"].get("processor"), number)
        try:
            networks.append(load_recipe(content))
        except InputError as error:
            raise InputError(f"ensemble.networks.{number - 2}.{str(error).removeprefix('recipe: ')}") from None
    return networks


def _resized_alike(recipe: Section, own: dict | None, number: int) -> dict | None:
    """The `model.processor` of a further network, which resizes as the first does."""
    first = recipe.model.processor and recipe.model.processor.resize
    if own and own.get("resize", first) != first:
        raise InputError(
            f"ensemble.networks.{number - 2}.model.processor.resize: found {own['resize']!r}, expected "
            f"{first or 'none'}: networks that are averaged have one image processor; set model.processor.resize, that "
            "of all"
        )
    return {**(own or {}), "resize": first} if first else own


def network_folder(folder: str | Path, number: int) -> Path:
    """Run folder of a network of an ensemble, by its number from 1."""
    return Path(folder) / f"network-{number}"


@contextlib.contextmanager
def naming_network(network: Section, recipe: Section):
    """Name the network of an ensemble in front of the key of an error."""
    try:
        yield
    except InputError as error:
        number = int(Path(network.training.output_dir).name.rpartition("-")[2]) if recipe.ensemble.networks else 1
        raise InputError(f"ensemble.networks.{number - 2}.{error}" if number > 1 else str(error)) from None
