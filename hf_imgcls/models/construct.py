"""Whether a network can be built from its settings, and fits this machine: found out without memory for its weights."""

import contextlib
import warnings
from collections.abc import Iterator

import psutil
import torch
from torch.nn.modules import module as hooks
from transformers import AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.input_errors import as_input_error
from hf_imgcls.models.saved import OF_ANOTHER_FORM

_MOST_MODULES = 10_000  # the deepest networks of timm have some 3,000


def check_construction(config: PreTrainedConfig, key: str = "model.config") -> PreTrainedModel:
    """A network on the meta device; an InputError says why its settings do not make one."""
    random = torch.random.fork_rng(devices=[])
    what, quiet = f"{key}: no network can be built from these settings", warnings.catch_warnings(action="ignore")
    with as_input_error(what, *OF_ANOTHER_FORM), random, torch.device("meta"), _limits(key), quiet:
        return AutoModelForImageClassification.from_config(config)


@contextlib.contextmanager
def _limits(key: str) -> Iterator[None]:
    """Stop the building of a network that is deeper than any, or whose weights do not fit the machine's memory."""
    memory = psutil.virtual_memory().total
    modules = size = 0

    def count_module(*_) -> None:
        nonlocal modules
        modules += 1
        if modules > _MOST_MODULES:
            raise InputError(f"{key}: makes a network of more than {_MOST_MODULES:,} layers; take fewer")

    def count_tensor(_, name: str, tensor: torch.Tensor | None) -> None:
        nonlocal size
        size += 4 * tensor.numel() if tensor is not None else 0
        if size > memory:
            raise InputError(
                f"{key}: the network's weights need more than {size / 2**30:,.0f} GiB ({name}: {list(tensor.shape)}), "
                f"this machine has {memory / 2**30:,.0f} GiB of memory; take a smaller one"
            )

    with contextlib.ExitStack() as stack:
        stack.callback(hooks.register_module_module_registration_hook(count_module).remove)
        stack.callback(hooks.register_module_parameter_registration_hook(count_tensor).remove)
        stack.callback(hooks.register_module_buffer_registration_hook(count_tensor).remove)
        yield
