"""The transforms and mixes that a recipe names: known names, known arguments."""

from collections.abc import Iterable, Sequence

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.recipe.installed import installed
from hf_imgcls.recipe.sections import Transform

MIXES = {"MixUp": ["alpha"], "CutMix": ["alpha"], "Identity": []}
# What people know from elsewhere, and why it is not a transform of a single training image.
_ELSEWHERE = {
    "CutMix": "it mixes the images of a batch; list it in augmentation.mix",
    "MixUp": "it mixes the images of a batch; list it in augmentation.mix",
    "Normalize": "leave it out, the trainer normalises as the image processor does",
}


def check_transforms(specs: Sequence[Transform], own: Iterable[str] = (), key: str = "augmentation.train") -> None:
    """Check names and argument names of transforms, also of those inside RandomApply and the like.

    Args:
        own: names of custom transforms, whose arguments are not known.
    """
    known = installed()["transforms"]
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
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or alpha <= 0:
            raise InputError(f"{place}.{name}.alpha: found {alpha!r}, expected a number greater than 0")


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
