"""The feature that goes into a network's head, and the dropout before it in training."""

import torch
from torch.nn.functional import dropout
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.freeze import freeze_parameters
from hf_imgcls.models.head import network_name
from hf_imgcls.models.trace import in_evaluation, random_images


def head_dropout(model: PreTrainedModel, head: str, size: tuple[int, int]) -> float:
    """The probability with which training drops an element of the feature before it goes into the head.

    It is what the network asks of torch, in a module (transformers) or in a function (timm), in one forward pass. A
    network whose features change in training in another way is refused. Everything but the head is frozen.
    """
    frozen = freeze_parameters(model, [n for n, _ in model.named_parameters() if n.startswith(f"{head}.")], size)
    pixels, dropouts = random_images(model, 4, size), _Dropouts()
    devices = [model.device] if model.device.type == "cuda" else []
    with in_evaluation(model), torch.random.fork_rng(devices=devices):  # what is drawn here changes none of the run's
        still = input_of_head(model, head, pixels)
        model.train()
        for module in frozen:
            module.eval()
        with dropouts:
            moving = input_of_head(model, head, pixels)
    # Where dropout works on the feature itself, each element is gone or as in evaluation.
    rounding = 1e-6 * float(still.abs().max())
    remains = torch.allclose(moving, torch.where(moving == 0, 0, still), rtol=1e-4, atol=rounding)
    if not remains or dropouts.probability >= 1:
        raise InputError(
            f"cache_features: the features of {network_name(model)} change in training by more than dropout before its "
            "head; leave cache_features out"
        )
    return round(dropouts.probability, 6)


class _Dropouts(TorchFunctionMode):
    """Sets half of what dropout is asked to work on to zero, and the rest free of its scale."""

    probability = 0.0  # of all of them together

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is not dropout or not kwargs["training"] or not kwargs["p"]:
            return func(*args, **kwargs)
        self.probability = 1 - (1 - self.probability) * (1 - kwargs["p"])
        return args[0] * torch.rand_like(args[0]).round()


@torch.no_grad()
def input_of_head(model: PreTrainedModel, head: str, pixels: torch.Tensor) -> torch.Tensor:
    """What goes into the head for images, as the model is now: shape (images, width)."""
    caught: list[torch.Tensor] = []
    with model.get_submodule(head).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0])):
        model(pixel_values=pixels)
    return caught[0].flatten(1)
