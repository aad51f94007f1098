"""What happens to a picture between the data set and the model.

Evaluation runs the saved image processor, exactly what `pipeline` runs. Training runs the recipe's
`torchvision.transforms.v2` on uint8 tensors; the trainer normalises them on the device with the processor's own
mean and standard deviation. What is random about a training picture is drawn from seed, epoch and row, so that a
resumed run, and a run with other workers, sees the same pictures.
"""

import inspect
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import AutoAugmentPolicy, InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from hf_imgcls.pictures import read_picture
from hf_imgcls.recipe import InputError, Transform, nearest, transform_names

_ENUMS = {"interpolation": InterpolationMode, "policy": AutoAugmentPolicy}


def process(processor, picture: Image.Image) -> torch.Tensor:
    """One RGB picture through an image processor: float, shape (3, height, width)."""
    return processor(picture, return_tensors="pt")["pixel_values"][0]


def input_size(processor) -> tuple[int, int]:
    """Height and width that a processor delivers, measured on a wide and a tall picture.

    Every family says its size in other words (height/width, shortest_edge, crop_size, data_config); what comes out
    is what counts.

    Raises:
        InputError: the size depends on the picture, so that no batch could be made.
    """
    wide, tall = (process(processor, Image.new("RGB", size)).shape[-2:] for size in ((640, 480), (480, 640)))
    if wide != tall:
        raise InputError(
            f"model: its image processor does not bring pictures to one size (a wide one became {tuple(wide)}, "
            f"a tall one {tuple(tall)}); say model.image_size"
        )
    return tuple(wide)


def normalization(processor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale and shift that take a uint8 picture to the processor's floats, each of shape (3, 1, 1).

    Measured on a black and a white picture, which holds for any rescale factor, mean and standard deviation.
    """
    height, width = input_size(processor)
    black = process(processor, Image.new("RGB", (width, height), "black"))[:, :1, :1]
    white = process(processor, Image.new("RGB", (width, height), "white"))[:, :1, :1]
    return (white - black) / 255, black


def build_transforms(specs: Sequence[Transform], size: tuple[int, int]) -> v2.Transform:
    """The recipe's transforms, in its order; a size that is left out is the model's.

    Args:
        specs: names, or `{name: arguments}`, of `torchvision.transforms.v2`.
        size: height and width of the model's input.

    Raises:
        InputError: an unknown transform or argument, a value it refuses, or a result that is not a uint8 picture of
            the given size.
    """
    chain = [_build(spec, size, f"augmentation.train.{i}") for i, spec in enumerate(specs)]
    composed = v2.Compose(chain) if chain else v2.Identity()
    _try_out(composed, size, fixed=not has_size(specs))
    return composed


def has_size(specs: Sequence[Transform]) -> bool:
    """Whether the recipe says itself how a picture comes to the model's size."""
    for spec in specs:
        name, arguments = _parts(spec)
        if name in transform_names() and "size" in inspect.signature(getattr(v2, name)).parameters:
            return True
        if has_size(arguments.get("transforms", [])):
            return True
    return False


def _parts(spec: Transform) -> tuple[str, dict]:
    return (spec, {}) if isinstance(spec, str) else next(iter(spec.items()), ("", {}))


def _build(spec: Transform, size: tuple[int, int], key: str) -> v2.Transform:
    name, arguments = _parts(spec)
    if not isinstance(spec, str) and len(spec) != 1:
        raise InputError(f"{key}: one transform a section, found {len(spec)}; write them as a list")
    if name not in transform_names():
        near = nearest(name, transform_names())
        raise InputError(f"{key}: torchvision.transforms.v2 has no transform {name!r}{near}")
    known = inspect.signature(getattr(v2, name)).parameters
    for argument in arguments:
        if argument not in known:
            raise InputError(f"{key}.{name}.{argument}: unknown argument{nearest(argument, known)}")
    values = {k: _value(k, v, size, f"{key}.{name}") for k, v in arguments.items()}
    if "size" in known and known["size"].default is inspect.Parameter.empty:
        values.setdefault("size", list(size))
    try:
        return getattr(v2, name)(**values)
    except (TypeError, ValueError) as error:
        raise InputError(f"{key}.{name}: {error}") from None


def _value(argument: str, value, size: tuple[int, int], key: str):
    if argument == "transforms":
        return [_build(inner, size, f"{key}.transforms.{i}") for i, inner in enumerate(value)]
    if argument in _ENUMS and isinstance(value, str):
        names = [member.value for member in _ENUMS[argument]]
        if value not in names:
            raise InputError(f"{key}.{argument}: found {value!r}, expected one of {', '.join(names)}")
        return _ENUMS[argument](value)
    return value


def _try_out(transform: v2.Transform, size: tuple[int, int], fixed: bool) -> None:
    """Run the transforms on grey pictures: a wrong size or type shows here, not in the middle of an epoch."""
    shapes = [size] if fixed else [(2 * size[0] + 31, 3 * size[1] + 57), (3 * size[0] + 57, 2 * size[1] + 31)]
    for shape in shapes:
        try:
            out = _seeded(transform, torch.full((3, *shape), 128, dtype=torch.uint8), [0])
        except Exception as error:
            raise InputError(f"augmentation.train: fails on a {shape[1]}x{shape[0]} picture: {error}") from None
        if out.dtype != torch.uint8 or tuple(out.shape) != (3, *size):
            raise InputError(
                f"augmentation.train: makes {str(out.dtype).removeprefix('torch.')} of shape {tuple(out.shape)}, "
                f"needed is uint8 of shape {(3, *size)}; a Resize or RandomResizedCrop without a size brings it there"
            )


def _seeded(transform, picture: torch.Tensor, entropy: Sequence[int]) -> torch.Tensor:
    """Apply a transform with random numbers of its own, and leave the process's generator as it was.

    Only the CPU generator is touched: `torch.manual_seed` would reset the one on the GPU as well, and with it every
    dropout mask.
    """
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1))
        return transform(picture)
    finally:
        torch.set_rng_state(state)


class EvalPictures:
    """A batch of rows as the saved processor delivers it: what `pipeline` does to a picture."""

    def __init__(self, processor, label_ids: Sequence[int]):
        self.processor = processor
        self.label_ids = list(label_ids)

    def __call__(self, rows: dict[str, list]) -> dict[str, list]:
        """Columns image, label -> pixel_values (float, (3, h, w) each) and labels (the model's ids)."""
        pixels = [process(self.processor, read_picture(image)) for image in rows["image"]]
        return {"pixel_values": pixels, "labels": [self.label_ids[i] for i in rows["label"]]}


class TrainPictures:
    """A batch of rows as augmented uint8 pictures."""

    def __init__(self, specs: Sequence[Transform], processor, label_ids: Sequence[int], seed: int):
        size = input_size(processor)
        self.transform = build_transforms(specs, size)
        self.scale, self.shift = normalization(processor)
        self.processor = None if has_size(specs) else processor
        self.label_ids = list(label_ids)
        self.seed = seed
        # Shared memory, so that workers that outlive an epoch see the next one begin.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __call__(self, rows: dict[str, list]) -> dict[str, list]:
        """Columns image, label, row -> pixel_values (uint8, (3, h, w) each) and labels (the model's ids)."""
        pictures = []
        for image, row in zip(rows["image"], rows["row"], strict=True):
            picture = self._to_tensor(read_picture(image))
            pictures.append(_seeded(self.transform, picture, [self.seed, int(self.epoch), row]))
        return {"pixel_values": pictures, "labels": [self.label_ids[i] for i in rows["label"]]}

    def _to_tensor(self, picture: Image.Image) -> torch.Tensor:
        if self.processor is None:
            return F.pil_to_tensor(picture)
        # No transform says a size: the picture comes to it as in evaluation, and back to uint8.
        floats = process(self.processor, picture)
        return ((floats - self.shift) / self.scale).round().clamp(0, 255).to(torch.uint8)
