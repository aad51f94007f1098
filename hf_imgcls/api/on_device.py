"""Opening a model that images are given to: on the device of this process, with a batch size for it."""

from collections.abc import Callable
from typing import Any

from accelerate import PartialState

from hf_imgcls.errors import InputError

# Default batch sizes. On a CPU the activations of a batch have to fit into its caches: MobileNetV2 is twice as fast
# with 4 images at a time as with 16, DeiT a tenth faster.
BATCH_SIZES = {"cpu": 4, "cuda": 64}


def open_here(opening: Callable[..., Any], model: str, options) -> Any:
    """Open a model on the device of this process by `opening` (a model's name, device, trust_remote_code, half).

    Args:
        options: with `device`, `trust_remote_code` and `half`.
    """
    state = PartialState()
    if options.half and _on_cpu(options):
        raise InputError("--half: is for a GPU, a CPU computes it more slowly; leave it out")
    with state.main_process_first():  # it copies a model's code to where all processes find it
        return opening(model, options.device or state.device, options.trust_remote_code, options.half)


def batch_size_of(options) -> int:
    return options.batch_size or BATCH_SIZES["cpu" if _on_cpu(options) else "cuda"]


def _on_cpu(options) -> bool:
    return str(options.device or PartialState().device).startswith("cpu")
