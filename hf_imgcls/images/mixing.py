"""What happens to batches of training images on the device, and never in evaluation: MixUp, CutMix, erasing."""

from collections.abc import Sequence

import torch
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from hf_imgcls.recipe import Transform, check_mixes, name_and_arguments


class Mixing:
    """One of the recipe's mixes, drawn anew for each batch.

    Drawn from torch's generator of the CPU, which a checkpoint keeps: a resumed run mixes alike, and all processes
    draw the same mix and mixing fraction for their parts of a batch. MixUp: Zhang and others, 2018 (arXiv:1710.09412);
    CutMix: Yun and others, 2019 (arXiv:1905.04899).
    """

    def __init__(self, specs: Sequence[Transform], classes: int):
        check_mixes(specs)
        self.mixes = []
        for name, arguments in map(name_and_arguments, specs):
            arguments = {} if name == "Identity" else {"alpha": 1.0, **arguments, "num_classes": classes}
            kinds = _PER_IMAGE if arguments.pop("per_image", False) else vars(v2)
            self.mixes.append(kinds[name](**arguments))

    def __call__(self, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Floats (images, channels, height, width) and class ids (images,) to floats and soft labels (images, classes).

        Of several labels an image, labels of shape (images, classes), each is mixed by itself.

        Where Identity is drawn, both stay as they came.
        """
        return self.mixes[int(torch.randint(len(self.mixes), ()))](pixels, labels)


class MixUpPerImage:
    """torchvision's MixUp, but the fraction of the image before it is drawn for each image, as KerasCV does."""

    def __init__(self, alpha: float, num_classes: int):
        self.beta, self.classes = torch.distributions.Beta(torch.tensor(alpha), torch.tensor(alpha)), num_classes

    def __call__(self, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        kept = _sent(self.beta.sample((len(labels),)), pixels.device)
        each = kept[:, None, None, None].to(pixels.dtype)
        return pixels * each + pixels.roll(1, 0) * (1 - each), self._soft(labels, kept)

    def _soft(self, labels: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Labels, shape (images, classes), of images that keep these fractions of themselves."""
        own = labels if labels.dim() == 2 else one_hot(labels, self.classes)
        own, kept = own.to(kept.dtype), kept[:, None]
        return own * kept + own.roll(1, 0) * (1 - kept)


class CutMixPerImage(MixUpPerImage):
    """torchvision's CutMix with a box for each image; the label has the image before it by the box's area."""

    def __call__(self, pixels: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = pixels.shape[-2:]
        reach = 0.5 * (1 - self.beta.sample((len(labels),))).sqrt()
        sides = []
        for side in (height, width):
            middle, half = torch.randint(side, (len(labels),)), (reach * side).int()
            begin, end = (middle - half).clamp(min=0), (middle + half).clamp(max=side)
            sides.append((begin, end - begin))
        (top, rows), (left, columns) = sides
        inside = _inside(pixels, _sent(torch.stack([top, left, rows, columns], 1), pixels.device))
        kept = _sent(1 - rows * columns / (height * width), pixels.device)
        return torch.where(inside, pixels.roll(1, 0), pixels), self._soft(labels, kept)


def _sent(drawn: torch.Tensor, device: torch.device) -> torch.Tensor:
    """What was drawn on the CPU, on the device; a copy from memory that is not pinned waits for all that a GPU does."""
    if device.type == "cuda":
        drawn = drawn.pin_memory()
    return drawn.to(device, non_blocking=device.type != "mps")


_PER_IMAGE = {"MixUp": MixUpPerImage, "CutMix": CutMixPerImage}


def is_noise(transform) -> bool:
    """Whether it is `{"RandomErasing": {"value": "random"}}`: noise around zero, which bytes cannot hold."""
    return isinstance(transform, v2.RandomErasing) and transform.value is None  # torchvision's "random"


def take_noise(chain: list[v2.Transform]) -> v2.RandomErasing | None:
    """Take it off the end of a chain; what is returned draws the boxes alone, and leaves the noise to the device."""
    if not chain or not is_noise(chain[-1]):
        return None
    noise = chain.pop()
    return v2.RandomErasing(noise.p, noise.scale, noise.ratio)


def draw_box(erasing: v2.RandomErasing, image: torch.Tensor) -> torch.Tensor:
    """Top, left, height and width of what is erased of an image, drawn by torchvision; zeros where nothing is."""
    drawn = erasing.make_params([image]) if torch.rand(1) < erasing.p else {"v": None}
    if drawn["v"] is None:  # also where no box of ten tries fits
        return torch.zeros(4, dtype=torch.int64)
    return torch.tensor([drawn["i"], drawn["j"], drawn["h"], drawn["w"]])


def fill_with_noise(pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """A batch whose boxes are noise of mean 0 and deviation 1, in the floats that the model sees.

    The noise is drawn from the device's own generator, as dropout is, which a checkpoint keeps. Of what RandomErasing
    can fill with, it did best (Zhong and others, 2020, arXiv:1708.04896).

    Args:
        pixels: normalised, shape (images, channels, height, width).
        boxes: top, left, height and width of each image's, shape (images, 4).
    """
    return torch.where(_inside(pixels, boxes), torch.randn_like(pixels), pixels)


def _inside(pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
    """Which pixels lie in the box of their image, shape (images, 1, height, width)."""
    top, left, height, width = boxes[:, :, None].unbind(1)
    rows, columns = (torch.arange(side, device=pixels.device) for side in pixels.shape[-2:])
    in_rows = (rows >= top) & (rows < top + height)
    in_columns = (columns >= left) & (columns < left + width)
    return in_rows[:, None, :, None] & in_columns[:, None, None, :]
