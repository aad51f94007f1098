"""Bytes to tensors: reading, decoding, processors, augmentation, mixing."""

from hf_imgcls.images.augmentation import build_transforms, random_transform
from hf_imgcls.images.decode import decode_reduced
from hf_imgcls.images.erasing import fill_with_noise
from hf_imgcls.images.files import IMAGE_SUFFIXES
from hf_imgcls.images.mixing import Mixing
from hf_imgcls.images.processors import channel_order, input_size, normalization, process_image
from hf_imgcls.images.read import open_image, read_image, why_unreadable
from hf_imgcls.images.transforms import EvalTransform, TrainTransform

__all__ = [
    "IMAGE_SUFFIXES",
    "EvalTransform",
    "Mixing",
    "TrainTransform",
    "build_transforms",
    "channel_order",
    "decode_reduced",
    "fill_with_noise",
    "input_size",
    "normalization",
    "open_image",
    "process_image",
    "random_transform",
    "read_image",
    "why_unreadable",
]
