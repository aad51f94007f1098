"""What goes into a network's head: the feature, and the dropout that it meets in training."""

import torch
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.freeze import freeze_parameters
from hf_imgcls.models.head import in_evaluation, network_name, random_images

_DRAWS = 200


def head_dropout(model: PreTrainedModel, head: str, size: tuple[int, int]) -> float:
    """The share of a feature that is dropped in training before it goes into the head.

    Measured, since many networks do it in a function and not in a module: what gets through is scaled by
    1 / (1 - share).

    Args:
        head: the head's name; everything else is frozen.
        size: height and width of the network's input.

    Raises:
        InputError: the features change in training in another way.
    """
    frozen = freeze_parameters(
        model, [f"{head}.{name}" for name, _ in model.get_submodule(head).named_parameters()], size
    )
    pixels = random_images(model, 4, size)
    with in_evaluation(model), _own_random_numbers(model.device):
        still = input_of_head(model, head, pixels)
        model.train()
        for module in frozen:
            module.eval()
        for _ in range(_DRAWS):  # until a part of it gets through, which with MobileNetV1's 0.999 takes a few
            moving = input_of_head(model, head, pixels)
            through = (moving != 0) & (still != 0)
            if through.any() or torch.equal(moving, still):
                break
    if torch.equal(moving, still):
        return 0.0
    share = 1 - float((still / moving)[through].median()) if through.any() else 1.0
    if share >= 1 or not torch.allclose(moving, torch.where(moving == 0, 0, still / (1 - share)), rtol=1e-4, atol=1e-7):
        raise InputError(
            f"cache_features: what {network_name(model)} makes of an image changes in training by more than dropout "
            "before its head; leave cache_features out"
        )
    return round(max(share, 0.0), 6)


def _own_random_numbers(device: torch.device):
    """Random numbers drawn here change none of the run's."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@torch.no_grad()
def input_of_head(model: PreTrainedModel, head: str, pixels: torch.Tensor) -> torch.Tensor:
    """What goes into the head for images, as the model is now: shape (images, width)."""
    caught: list[torch.Tensor] = []
    hook = model.get_submodule(head).register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    try:
        model(pixel_values=pixels)
    finally:
        hook.remove()
    return caught[0].flatten(1)
