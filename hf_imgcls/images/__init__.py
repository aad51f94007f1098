"""Bytes to tensors: reading, decoding, processors, augmentation, mixing."""

from hf_imgcls.images.augmentation import build_transforms, draws_noise, own_transforms, random_transform
from hf_imgcls.images.decode import decode_reduced
from hf_imgcls.images.files import MISSING, UnusableImage, no_file
from hf_imgcls.images.limits import Limits, allow_pixels, check_left, check_size, loses_depth
from hf_imgcls.images.mixing import Mixing, fill_with_noise
from hf_imgcls.images.placing import Placer, Placing
from hf_imgcls.images.processors import channel_order, input_size, normalization, process_image
from hf_imgcls.images.read import (
    UNREADABLE,
    Listing,
    has_image_name,
    in_memory,
    is_image_file,
    list_folder,
    may_lose_all,
    open_image,
    open_usable,
    read_image,
    read_usable,
    reader_version,
    walk_folder,
    why_unreadable,
)
from hf_imgcls.images.transforms import EvalTransform, TrainTransform, shown_before
from hf_imgcls.images.views import VIEWS, Views, ViewsTransform, check_views, describe_views
