"""Bytes to tensors: reading, decoding, processors, augmentation, mixing."""

from hf_imgcls.images.augmentation import build_transforms, own_transforms, random_transform
from hf_imgcls.images.decode import decode_reduced
from hf_imgcls.images.mixing import Mixing, fill_with_noise
from hf_imgcls.images.processors import channel_order, input_size, normalization, process_image
from hf_imgcls.images.read import (
    UNREADABLE,
    Listing,
    is_image_file,
    list_folder,
    open_image,
    read_image,
    reader_version,
    walk_folder,
    why_unreadable,
)
from hf_imgcls.images.transforms import EvalTransform, TrainTransform
