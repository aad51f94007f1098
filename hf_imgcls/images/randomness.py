"""Which transforms do the same to an image every time, as their classes say it."""

from collections.abc import Sequence

from torchvision.transforms import v2

from hf_imgcls.images.augmentation import build_transforms
from hf_imgcls.recipe import Transform

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


def random_transform(specs: Sequence[Transform], size: tuple[int, int]) -> str | None:
    """Name of the first transform that may not do the same to an image each time; None where all do.

    Args:
        specs: `augmentation.train`.
        size: height and width of the model's input.
    """
    chain = getattr(build_transforms(specs, size), "transforms", ())
    return next((type(transform).__name__ for transform in chain if is_random(transform)), None)


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
