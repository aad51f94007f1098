"""From a row of the dataset to the model's input.

Evaluation runs the saved image processor, exactly what `pipeline` runs. Training runs the recipe's
`torchvision.transforms.v2` on uint8 tensors; the trainer normalises them on the device with the processor's own
mean and standard deviation. Augmentation is drawn from seed, epoch and row, so that a resumed run, and a run with
other workers, sees the same images.
"""

import contextlib
import copy
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

import torch
from PIL import Image
from torchvision.transforms import v2

from hf_imgcls.errors import InputError
from hf_imgcls.images.augmentation import augment, build_transforms, has_size, seed_of
from hf_imgcls.images.decode import as_tensor, can_lead, read_resized
from hf_imgcls.images.mixing import draw_box, take_noise
from hf_imgcls.images.processors import channel_order, input_size, normalization, process_image
from hf_imgcls.images.read import read_image
from hf_imgcls.recipe import Transform

_RGB = [0, 1, 2]
_shown: ContextVar[Sequence[int] | None] = ContextVar("shown_before", default=None)


@contextlib.contextmanager
def shown_before(times: Sequence[int]) -> Iterator[None]:
    """How often the epoch has shown each row before that is transformed within it: it looks different each time."""
    token = _shown.set(times)
    try:
        yield
    finally:
        _shown.reset(token)


class _Flip:
    """RandomHorizontalFlip, the same draw, without v2's looking for boxes and masks: 5 % of small JPEGs' crops."""

    def __init__(self, p: float):
        self.p = p

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return image if torch.rand(1) >= self.p else image.flip(-1)


@contextlib.contextmanager
def naming_size(processor, image: Image.Image):
    """An InputError where a processor rejects the shape of an image."""
    try:
        yield
    except ValueError as error:
        size, kind = f"{image.width}x{image.height}", type(processor).__name__
        reason = " ".join(str(error).split())[:100]
        raise InputError(
            f"data: {kind} cannot bring an image of {size} pixels to the network's input ({reason}); a lower "
            "data.max_aspect_ratio leaves it out"
        ) from None


def _process(processor, image: Image.Image) -> torch.Tensor:
    with naming_size(processor, image):
        return process_image(processor, image)


def _model_labels(labels: Sequence, label_ids: Sequence[int]) -> list:
    """The model's ids of labels; of several an image, whether it has each, as floats of shape (labels,)."""
    if not labels or not isinstance(labels[0], list):
        return [label_ids[i] for i in labels]
    sets = torch.zeros(len(labels), len(label_ids))
    for row, found in zip(sets, labels, strict=True):
        row[[label_ids[i] for i in found]] = 1
    return list(sets)


class EvalTransform:
    """A batch of rows as the saved processor delivers it: what `pipeline` does to an image."""

    def __init__(self, processor, label_ids: Sequence[int]):
        self.processor = processor
        self.label_ids = list(label_ids)

    def __call__(self, rows: dict[str, list]) -> dict[str, list]:
        """Columns image, label -> pixel_values (float, (3, h, w) each) and labels (see `_model_labels`)."""
        pixels = [self.process(read_image(image)) for image in rows["image"]]
        return {"pixel_values": pixels, "labels": _model_labels(rows["label"], self.label_ids)}

    def process(self, image: Image.Image) -> torch.Tensor:
        """An RGB image as the model takes it."""
        return _process(self.processor, image)


class TrainTransform:
    """A batch of rows as augmented uint8 images: read, transformed, in the order of the model's channels.

    Attributes:
        scale, shift: take the images to the model's floats, each of shape (3, 1, 1).
        epoch: the running epoch, set by the trainer.
        view: number of the view of each image that it draws, whatever the epoch; None where it draws one an epoch.
    """

    view: int | None = None

    def __init__(self, specs: Sequence[Transform], processor, label_ids: Sequence[int], seed: int):
        self.specs, self.size = list(specs), input_size(processor)
        self.transform = build_transforms(specs, self.size)
        self.scale, self.shift = normalization(processor)
        self.channels = channel_order(processor)
        self.processor = None if has_size(specs) else processor
        self.label_ids = list(label_ids)
        self.seed = seed
        # Shared memory, so that workers that outlive an epoch see the next one begin.
        self.epoch = torch.zeros((), dtype=torch.int64).share_memory_()
        # A first transform that makes a large image small is part of reading: three times as fast on 12 megapixels.
        chain = list(self.transform.transforms) if specs else []
        self.first = chain.pop(0) if chain and can_lead(chain[0]) else None
        self.erasing = take_noise(chain)
        self.rest = v2.Compose(chain) if chain else v2.Identity()
        if [type(transform) for transform in chain] == [v2.RandomHorizontalFlip]:
            self.rest = _Flip(chain[0].p)

    def __call__(self, rows: dict[str, list]) -> dict[str, list]:
        """Columns image, label, row -> pixel_values (uint8, (3, h, w) each) and labels (the model's ids).

        And `erased`, the box of each image that becomes noise on the device, where the recipe has such a thing.
        """
        images, boxes, epoch = [], [], int(self.epoch)
        # All of them first: between two images, whose pixels fill the caches, each would take ten times as long.
        times = _shown.get() or [0] * len(rows["row"])
        drawn = zip(rows["row"], times, strict=True)
        seeds = [seed_of(self.seed, epoch, row, *[time] * (time > 0)) for row, time in drawn]
        # Only the CPU's generator is seeded: torch.manual_seed would reset the GPU's too, and so every dropout mask.
        with torch.random.fork_rng(devices=[]):
            for image, seed in zip(rows["image"], seeds, strict=True):
                torch.default_generator.manual_seed(seed)
                image = read_resized(image, self.first) if self.first else self._read(image)
                image = augment(self.rest, image, self.size)
                images.append(image if self.channels == _RGB else image[self.channels])
                boxes += [draw_box(self.erasing, image)] if self.erasing else []
        made = {"pixel_values": images, "labels": _model_labels(rows["label"], self.label_ids)}
        return {**made, "erased": boxes} if self.erasing else made

    def as_view(self, number: int) -> "TrainTransform":
        """A copy that draws one view of each image: from seed, number and row, as others from seed, epoch and row."""
        view = copy.copy(self)
        view.view, view.epoch = number, torch.tensor(number)
        return view

    def _read(self, image: dict | Image.Image) -> torch.Tensor:
        """Red, green, blue, uint8; in the model's size where no transform says one."""
        if self.processor is None:
            return as_tensor(read_image(image))
        # The image comes to its size as in evaluation, and back to uint8.
        floats = _process(self.processor, read_image(image))
        pixels = ((floats - self.shift) / self.scale).round().clamp(0, 255).to(torch.uint8)
        return pixels if self.channels == _RGB else pixels[[self.channels.index(channel) for channel in _RGB]]
