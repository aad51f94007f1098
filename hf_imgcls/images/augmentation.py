"""The recipe's augmentation: names and arguments of `torchvision.transforms.v2`, tried out before a run begins."""

import contextlib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from types import MappingProxyType

import numpy as np
import torch
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2

from hf_imgcls.errors import InputError, nearest
from hf_imgcls.images.bounded import Bounded
from hf_imgcls.images.mixing import is_noise
from hf_imgcls.images.reflection import RandomAffineReflect
from hf_imgcls.recipe import Transform, check_transforms, name_and_arguments

_ENUMS = {"interpolation": InterpolationMode, "policy": AutoAugmentPolicy}
# What torchvision raises on values, and on images, that a transform does not take.
_REFUSALS = (
    TypeError, ValueError, RuntimeError, KeyError, IndexError, AssertionError, ZeroDivisionError, AttributeError,
    OverflowError,
)  # fmt: skip
_NOISE_IS_LAST = '"random" is noise, which images get on the device, after everything else; make it the last of train'

# Transforms that do the same to an image every time, as their classes say it.
DETERMINISTIC = {
    v2.CenterCrop, v2.ClampBoundingBoxes, v2.ClampKeyPoints, v2.ConvertBoundingBoxFormat, v2.ConvertImageDtype,
    v2.FiveCrop, v2.Grayscale, v2.Identity, v2.LinearTransformation, v2.Normalize, v2.PILToTensor, v2.Pad, v2.RGB,
    v2.Resize, v2.SanitizeBoundingBoxes, v2.SanitizeKeyPoints, v2.SetClampingMode, v2.TenCrop, v2.ToDtype, v2.ToImage,
    v2.ToPILImage, v2.ToPureTensor, v2.ToTensor, v2.UniformTemporalSubsample,
}  # fmt: skip
# Random only in whether they are applied at all.
ON_OR_OFF = {
    v2.RandomAdjustSharpness, v2.RandomAutocontrast, v2.RandomEqualize, v2.RandomGrayscale, v2.RandomHorizontalFlip,
    v2.RandomInvert, v2.RandomPosterize, v2.RandomSolarize, v2.RandomVerticalFlip,
}  # fmt: skip
# Random in a setting, unless its range is a single value.
RANGES = {v2.GaussianBlur: "sigma", v2.JPEG: "quality"}

_ADDED = {kind.__name__: kind for kind in (RandomAffineReflect,)}  # to torchvision's
_own: ContextVar[Mapping[str, type]] = ContextVar("own_transforms", default=MappingProxyType({}))


def build_transforms(specs: Sequence[Transform], size: tuple[int, int]) -> v2.Transform:
    """The recipe's transforms, in its order; a size that is left out is the model's.

    Args:
        specs: names, or `{name: arguments}`, of `torchvision.transforms.v2`.
        size: height and width of the model's input.
    """
    check_transforms(specs, _own.get())
    with warnings.catch_warnings(action="ignore"):  # on settings that the trial refuses
        chain = [_build(spec, size, f"augmentation.train.{i}") for i, spec in enumerate(specs)]
    for i, transform in enumerate(chain[:-1]):
        if is_noise(transform):
            raise InputError(f"augmentation.train.{i}.RandomErasing.value: {_NOISE_IS_LAST}")
    composed = v2.Compose(chain) if chain else v2.Identity()
    with Bounded("augmentation.train"), warnings.catch_warnings(action="ignore"):
        _try_out(composed, size, fixed=not has_size(specs))
    return composed


@contextlib.contextmanager
def own_transforms(classes: Mapping[str, type]):
    """Let recipes name a Python user's own transforms, for as long as the context lasts.

    Args:
        classes: by name; an instance takes and returns a uint8 image of shape (3, height, width). Those with a
            parameter `size` say themselves how an image comes to the model's size.
    """
    for name in classes:
        if hasattr(v2, name) or name in _ADDED:
            raise InputError(f"transforms: there is a {name} already; name your own otherwise")
    token = _own.set(classes)
    try:
        yield
    finally:
        _own.reset(token)


def _class_named(name: str) -> type:
    return _own.get().get(name) or _ADDED.get(name) or getattr(v2, name)


def has_size(specs: Sequence[Transform]) -> bool:
    """Whether the recipe's own transforms resize the image."""
    for spec in specs:
        name, arguments = name_and_arguments(spec)
        if "size" in inspect.signature(_class_named(name)).parameters or has_size(arguments.get("transforms", [])):
            return True
    return False


def _build(spec: Transform, size: tuple[int, int], key: str) -> v2.Transform:
    name, arguments = name_and_arguments(spec)
    known = inspect.signature(_class_named(name)).parameters
    values = {k: _value(k, v, size, f"{key}.{name}") for k, v in arguments.items()}
    if "size" in known and known["size"].default is inspect.Parameter.empty:
        values.setdefault("size", list(size))
    try:
        return _class_named(name)(**values)
    except _REFUSALS as error:
        raise InputError(f"{key}.{name}: {_line(error)}") from None


def _value(argument: str, value, size: tuple[int, int], key: str):
    if argument == "transforms":
        return [_build(inner, size, f"{key}.transforms.{i}") for i, inner in enumerate(value)]
    if argument in _ENUMS:
        names = [member.value for member in _ENUMS[argument]]
        if value not in names:
            near = nearest(value, names) if isinstance(value, str) else ""
            raise InputError(f"{key}.{argument}: found {value!r}, expected one of {', '.join(names)}{near}")
        return _ENUMS[argument](value)
    if key.endswith(".RandomErasing") and value == "random" and ".transforms." in key:
        raise InputError(f"{key}.value: {_NOISE_IS_LAST}")
    return value


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _try_out(transform: v2.Transform, size: tuple[int, int], fixed: bool) -> None:
    """Run the transforms on grey images: a wrong size or type shows here, not in the middle of an epoch."""
    height, width = (min(side, 512) for side in size)  # larger ones cost time and show nothing more
    shapes = [size] if fixed else [(2 * height + 31, 3 * width + 57), (3 * height + 57, 2 * width + 31)]
    for shape in shapes:
        for draw in range(4):  # what happens only now and then, such as one of a RandomChoice
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed_of(draw))
                augment(transform, torch.full((3, *shape), 128, dtype=torch.uint8), size)


def augment(transform, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Apply the transforms: a training image, uint8 of shape (3, *size)."""
    height, width = image.shape[-2:]
    try:
        out = transform(image)
    except InputError:
        raise
    except _REFUSALS as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise
        raise InputError(f"augmentation.train: fails on a {width}x{height} image: {_line(error)}") from None
    if not isinstance(out, torch.Tensor) or out.dtype != torch.uint8 or tuple(out.shape) != (3, *size):
        made = type(out).__name__
        if isinstance(out, torch.Tensor):
            made = f"{str(out.dtype).removeprefix('torch.')} of shape {tuple(out.shape)}"
        raise InputError(
            f"augmentation.train: turns a {width}x{height} image into {made}, needed is uint8 of shape {(3, *size)}; "
            "a Resize or RandomResizedCrop without a size brings it there"
        )
    return out


def seed_of(*entropy: int) -> int:
    """A seed for torch's generator from several numbers, each of which makes it another one."""
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


def random_transform(specs: Sequence[Transform], size: tuple[int, int]) -> str | None:
    """Name of the first transform that may not do the same to an image each time; None where all do."""
    chain = getattr(build_transforms(specs, size), "transforms", ())
    return next((type(transform).__name__ for transform in chain if is_random(transform)), None)


def draws_noise(specs: Sequence[Transform], size: tuple[int, int]) -> bool:
    """Whether the last of them fills a box with noise, which the trainer draws on the device."""
    chain = getattr(build_transforms(specs, size), "transforms", ())
    return bool(chain) and is_noise(chain[-1])


def is_random(transform) -> bool:
    """Whether a transform may do something else to an image the next time; what is not known here may."""
    kind = type(transform)
    if kind in DETERMINISTIC or getattr(transform, "p", None) == 0:
        return False
    if kind in RANGES:
        low, *_, high = getattr(transform, RANGES[kind])
        return low != high
    if kind in ON_OR_OFF:
        return transform.p != 1
    one = kind in (v2.RandomChoice, v2.RandomOrder) and len(transform.transforms) == 1
    if kind is v2.Compose or one or (kind is v2.RandomApply and transform.p == 1):
        return any(map(is_random, transform.transforms))
    return True
