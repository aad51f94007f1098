"""Trying a stranger's transforms: no tensor larger than any image's, and an end where they never come to one."""

import time

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from hf_imgcls.errors import InputError

_MOST_NUMBERS = 2**26  # in a tensor: 256 MiB as floats; an image of 4096 x 4096 pixels has 50 million
_SECONDS = 20


class Bounded(TorchDispatchMode):
    """Within it, an operation whose result would be too large, or that comes too late, is an InputError."""

    def __init__(self, key: str):
        super().__init__()
        self.key, self.end = key, time.monotonic() + _SECONDS

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if time.monotonic() > self.end:
            raise InputError(f"{self.key}: takes more than {_SECONDS} s on a few images; take smaller settings")
        options = options or {}
        try:
            planned = _planned(function, arguments, options)
        except (NotImplementedError, RuntimeError, ValueError, TypeError):  # what is wrong is said when it is run
            planned = 0
        if planned > _MOST_NUMBERS:
            raise InputError(f"{self.key}: makes a tensor of {planned:.1e} numbers of one image; take smaller sizes")
        return function(*arguments, **options)


def _planned(function, arguments, options) -> int:
    """How many numbers the largest result has, by torch's own rules of shapes, without computing any."""
    if function.namespace != "aten":  # torchvision's JPEG decoder reads memory that a tensor without data does not have
        return 0
    if torch.Tag.data_dependent_output in function.tags or torch.Tag.dynamic_output_shape in function.tags:
        return 0
    inputs = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, torch.Tensor)]
    if not inputs and "device" not in str(function._schema):
        return 0
    arguments, options = tree_map_only(torch.Tensor, lambda each: each.to("meta"), (arguments, options))
    options = {**options, "device": torch.device("meta")} if "device" in options or not inputs else options
    results = tree_leaves(function(*arguments, **options))
    return max((each.numel() for each in results if isinstance(each, torch.Tensor)), default=0)
