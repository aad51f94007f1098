"""What can be known of a recipe without importing torch: what is installed, names and their arguments."""

import contextlib
from collections.abc import Iterable, Sequence

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe.ensemble import naming_network, networks_of
from hf_imgcls.recipe.installed import installed
from hf_imgcls.recipe.places import check_output_dir, check_path, check_unknown_path, resolve_checkpoint
from hf_imgcls.recipe.schema import MIXES, OWN_TRANSFORMS, stages_of
from hf_imgcls.recipe.sections import Section, Transform
from hf_imgcls.recipe.stage import Stage

BUILT_IN_ARCHITECTURES = ("convnet", "mini_xception")
# What people know from elsewhere, and why it is not a transform of a single training image.
_ELSEWHERE = {
    **dict.fromkeys(("CutMix", "MixUp"), "it mixes the images of a batch; list it in augmentation.mix"),
    "Normalize": "leave it out, the trainer normalises as the image processor does",
}


def check_settings(recipe: Section) -> None:
    """Check the paths and names of a recipe, quickly, without torch: the rest is `api.check_recipe`."""
    check_path(recipe.data)
    check_output_dir(recipe)
    check_unknown_path(recipe)
    for network in networks_of(recipe):
        with naming_network(network, recipe):
            _check_names(network)


def _check_names(recipe: Section) -> None:
    if name := recipe.model.architecture:
        known = [*BUILT_IN_ARCHITECTURES, *installed()["architectures"]]
        if name not in known and not name.startswith("timm/"):  # whose names are checked where it is imported
            raise InputError(f"model.architecture: transformers has no {name!r}{nearest(name, known)}")
    else:
        resolve_checkpoint(recipe.model)
    if recipe.model.processor_of:
        resolve_checkpoint(recipe.model, "processor_of")
    for stage in stages_of(recipe):
        with naming_stage(stage):
            check_transforms(stage.augmentation.train)
            check_mixes(stage.augmentation.mix)
            if stage.distillation.teacher:
                resolve_checkpoint(stage.distillation, "teacher", "distillation")


@contextlib.contextmanager
def naming_stage(stage: Stage):
    """Name the stage in front of the key of an error."""
    try:
        yield
    except InputError as error:
        raise InputError(f"stages.{stage.number - 1}.{error}" if stage.listed else str(error)) from None


def check_transforms(specs: Sequence[Transform], own: Iterable[str] = (), key: str = "augmentation.train") -> None:
    """Check names and argument names of transforms, also of those inside RandomApply and the like.

    Args:
        own: names of custom transforms, whose arguments are not known.
    """
    known = installed()["transforms"] | OWN_TRANSFORMS
    for number, spec in enumerate(specs):
        place = f"{key}.{number}"
        name, arguments = name_and_arguments(spec, place)
        if name in own:
            continue
        if name not in known:
            near = nearest(name, [*known, *own])
            raise InputError(f"{place}: torchvision.transforms.v2 has no transform {name!r}{near}")
        if name in _ELSEWHERE:
            raise InputError(f"{place}.{name}: {_ELSEWHERE[name]}")
        _check_arguments(arguments, known[name], f"{place}.{name}")
        inner = arguments.get("transforms", [])
        if not isinstance(inner, list):
            raise InputError(f"{place}.{name}.transforms: found {inner!r}, expected a list of transforms")
        check_transforms(inner, own, f"{place}.{name}.transforms")


def check_mixes(specs: Sequence[Transform]) -> None:
    """Check the names and arguments of `augmentation.mix`."""
    for number, spec in enumerate(specs):
        place = f"augmentation.mix.{number}"
        name, arguments = name_and_arguments(spec, place)
        if name not in MIXES:
            raise InputError(f"{place}: found {name!r}, expected one of {', '.join(MIXES)}{nearest(name, MIXES)}")
        _check_arguments(arguments, MIXES[name], f"{place}.{name}")
        alpha = arguments.get("alpha", 1.0)
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0.001 <= alpha <= 1000:
            # Below, the fractions that Beta draws are no numbers.
            raise InputError(f"{place}.{name}.alpha: found {repr(alpha)[:60]}, expected a number of 0.001 to 1000")
        if not isinstance(per_image := arguments.get("per_image", False), bool):
            raise InputError(f"{place}.{name}.per_image: found {per_image!r}, expected true or false")


def name_and_arguments(spec: Transform, key: str = "") -> tuple[str, dict]:
    """The name and the arguments of `name` or `{name: arguments}`."""
    if isinstance(spec, dict) and len(spec) != 1:
        raise InputError(f"{key}: one transform per entry, found {len(spec)}; write them as a list")
    name, arguments = next(iter(spec.items())) if isinstance(spec, dict) else (spec, {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise InputError(f"{key}: found {spec!r}, expected a transform's name or {{name: {{argument: value}}}}")
    return name, arguments


def _check_arguments(arguments: dict, known: Sequence[str], key: str) -> None:
    for argument in arguments:
        if argument not in known:
            raise InputError(f"{key}.{argument}: unknown argument{nearest(argument, known)}")
