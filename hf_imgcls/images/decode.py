"""The part of an image that was drawn, decoded no larger than it is needed.

A JPEG can be decoded at a half, a quarter or an eighth of its size for less, where it is known what will be cut out of
it. So the part is drawn first, from the size in the header. What counts as broken, how colours become RGB and which way
is up is decided in `images.read`.
"""

import warnings
from collections.abc import Sequence

import simplejpeg
import torch
from PIL import Image
from PIL.ExifTags import Base
from PIL.JpegImagePlugin import JpegImageFile
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from hf_imgcls.images.read import in_memory, open_image, read_image

# Those that weigh every pixel they shrink; the others pick pixels, and of a reduced image they would pick others.
_RESAMPLING = {
    InterpolationMode.BILINEAR: Image.Resampling.BILINEAR,
    InterpolationMode.BICUBIC: Image.Resampling.BICUBIC,
    InterpolationMode.LANCZOS: Image.Resampling.LANCZOS,
}
# EXIF orientations: those that swap width and height, and those that bring the stored right or bottom edge to the left
# or to the top.
_TURNED, _FROM_LEFT, _FROM_TOP = (5, 6, 7, 8), (2, 3, 6, 7), (3, 4, 7, 8)
_AT_ONCE = 1 << 26  # bytes

CropPart = tuple[int, int, int, int]  # left, top, right, bottom, in the upright image


def can_lead(transform: v2.Transform) -> bool:
    """Whether `read_resized` can take a chain's first transform over: it cuts out a part and brings it to a size."""
    if type(transform) is v2.Resize:
        return transform.size is not None and len(transform.size) == 2
    return type(transform) is v2.RandomResizedCrop


def read_resized(value: dict | Image.Image, transform: v2.RandomResizedCrop | v2.Resize) -> torch.Tensor:
    """A transform that `can_lead`, with the same random draws, without decoding the image in full.

    At full size it is the same to the bit. Of a reduced JPEG it differs by about one of 256 levels: the decoder
    averages squares of pixels where the resize would have weighed them. Takes and raises what `read_image` does;
    returns uint8, shape (3, *transform.size).
    """
    image = value
    if isinstance(value, dict):
        value = in_memory(value)
        data = value["bytes"]
        image = open_image(value)
    if image is value or not isinstance(image, JpegImageFile):
        image = read_image(image)
        return _resize(as_tensor(image.crop(_draw_part(transform, image.size))), transform)
    orientation = _orientation(image)
    width, height = image.size[::-1] if orientation in _TURNED else image.size
    part = _draw_part(transform, (width, height))
    scale = _reduce(image, part, transform)
    plain = image.mode == "RGB" and orientation == 1
    if scale > 1:
        # The reading rule, without the two copies that it makes of an image that is upright and RGB already.
        image = image if plain else read_image(image)
        # A last column or row of less than `scale` pixels counts as one, and may have been turned to the front.
        left = image.width - width / scale if orientation in _FROM_LEFT else 0
        top = image.height - height / scale if orientation in _FROM_TOP else 0
        box = [edge / scale + shift for edge, shift in zip(part, (left, top, left, top), strict=True)]
        return _resize_between_pixels(image, box, transform)
    pixels = _decode_plain(data) if plain else None
    if pixels is None:
        return _resize(as_tensor(read_image(image).crop(part)), transform)
    return _resize(pixels[:, part[1] : part[3], part[0] : part[2]], transform)


def as_tensor(image: Image.Image) -> torch.Tensor:
    """An RGB image as uint8, shape (3, height, width); `pil_to_tensor` copies it once more, a third of the time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # bytes are not to be written to: these nobody else sees
        flat = torch.frombuffer(image.tobytes(), dtype=torch.uint8)
    return flat.view(image.height, image.width, 3).permute(2, 0, 1)


def decode_reduced(image: JpegImageFile, times: int) -> int:
    """Have an opened JPEG decoded at 1/2, 1/4 or 1/8, the next that is not below 1 / times; returns its divisor."""
    image.decodermaxblock = _AT_ONCE  # at the end of each 64 KB the decoder begins a row anew: 6 % of 12 megapixels
    width, height = image.size
    drafted = image.draft(None, (max(1, width // times), max(1, height // times))) if times > 1 else None
    return round(width / drafted[1][2]) if drafted else 1


def _orientation(image: JpegImageFile) -> int:
    if not ("exif" in image.info or "xmp" in image.info):
        return 1  # as Pillow would say in ten times the time
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # corrupt EXIF is none
        return image.getexif().get(Base.Orientation, 1)


def _draw_part(transform: v2.RandomResizedCrop | v2.Resize, size: tuple[int, int]) -> CropPart:
    """What the transform takes of an image of this width and height, drawn by torchvision."""
    width, height = size
    if isinstance(transform, v2.Resize):
        return 0, 0, width, height
    drawn = transform.make_params([torch.empty(()).expand(3, height, width)])  # an image of that size, without pixels
    return drawn["left"], drawn["top"], drawn["left"] + drawn["width"], drawn["top"] + drawn["height"]


def _reduce(image: JpegImageFile, part: CropPart, transform: v2.RandomResizedCrop | v2.Resize) -> int:
    """Decode at the smallest scale that leaves the part at least as large as it will be."""
    times = min((part[2] - part[0]) // transform.size[1], (part[3] - part[1]) // transform.size[0])
    weighs = transform.antialias and InterpolationMode(transform.interpolation) in _RESAMPLING
    return decode_reduced(image, times if weighs else 1)


def _decode_plain(data: bytes) -> torch.Tensor | None:
    """An upright RGB JPEG at full size: uint8, shape (3, height, width); None where Pillow shall say what it is.

    A fifth more crops a second of 512x384 than by way of Pillow, which has four bytes a pixel and hands out copies.
    Both decode with libjpeg-turbo, to the same pixels.
    """
    try:
        return torch.from_numpy(simplejpeg.decode_jpeg(data)).permute(2, 0, 1)
    except ValueError:  # also of what libjpeg only warns about: a file that is cut off is one of them
        return None


def _resize(pixels: torch.Tensor, transform: v2.RandomResizedCrop | v2.Resize) -> torch.Tensor:
    return functional.resize_image(pixels, transform.size, transform.interpolation, antialias=transform.antialias)


def _resize_between_pixels(image: Image.Image, box: Sequence[float], transform) -> torch.Tensor:
    """The edges of a part lie between the pixels of a reduced image; rounded, they would triple the difference."""
    box = (box[0], box[1], min(box[2], image.width), min(box[3], image.height))
    kind = _RESAMPLING[InterpolationMode(transform.interpolation)]
    return as_tensor(image.resize(tuple(transform.size[::-1]), kind, box))
