"""Several runs of one recipe, which differ in their fold or their seed: the recipe of each."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hf_imgcls.errors import InputError
from hf_imgcls.recipe.load import as_run, load_recipe
from hf_imgcls.recipe.sections import Section
from hf_imgcls.words import listed

_SECTIONS = {"fold": "data", "seed": "training"}


def one_of(recipe: Section, unit: str, number: int, folder: Path) -> Section:
    """The recipe of one of several runs in a folder.

    Args:
        unit: `fold` or `seed`: the key that is set, and what stands before the number in the name of the run's folder.
    """
    content = as_run(recipe)
    content[_SECTIONS[unit]][unit] = number
    content["training"]["output_dir"] = str(folder / f"{unit}-{number}")
    return load_recipe(content)


def check_seeds(recipe: Section, seeds: Sequence[int], overrides: Iterable[str] = ()) -> None:
    """Refuse (InputError) seeds that are none, and recipes whose runs would not differ in them alone."""
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1}):
        raise InputError(f"--seeds: {listed(twice)} is there more than once; each seed is one run")
    if any(override.partition("=")[0] == "training.seed" for override in overrides):
        raise InputError("training.seed: --seeds says it already; leave one of them out")
    if recipe.data.folds and not recipe.data.fold:
        raise InputError("--seeds: data.folds trains several runs already; leave one of them out, or set data.fold")
    if recipe.training.push_to_hub:
        raise InputError(
            "training.push_to_hub: the runs of several seeds would replace each other; leave it out, and push the one "
            "you choose (hf-imgcls push RUN)"
        )
    if fixed := next(_fixed_in(as_run(recipe)), None):
        raise InputError(f"{fixed}: would be the same in the runs of all seeds; leave it out")
    for seed in seeds:
        one_of(recipe, "seed", seed, Path(recipe.training.output_dir))


def _fixed_in(content: dict, place: str = "") -> Iterator[str]:
    """Keys of seeds that training.seed does not change."""
    if content.get("training", {}).get("data_seed") is not None:
        yield f"{place}training.data_seed"
    for number, stage in enumerate(content.get("stages", ())):
        for key in ("seed", "data_seed"):
            if stage.get("training", {}).get(key) is not None:
                yield f"{place}stages.{number}.training.{key}"
    for number, network in enumerate(content.get("ensemble", {}).get("networks", ())):
        yield from _fixed_in(network, f"ensemble.networks.{number}.")
