"""A temperature in the head of a network: weights and bias by which its logits are divided."""

import torch
from transformers import PreTrainedModel

from hf_imgcls.errors import InputError
from hf_imgcls.models.ensemble import EnsembleForImageClassification
from hf_imgcls.models.head import head_keys, network_name
from hf_imgcls.models.trace import in_evaluation, random_images


def divide_logits(model: PreTrainedModel, temperature: float) -> None:
    """Divide the weights of the head, or of both heads where there are two, so that the logits are divided.

    Networks that are averaged have their temperature in the config: the mean of probabilities has no head.
    """
    if isinstance(model, EnsembleForImageClassification):
        model.config.logit_temperature *= temperature
        return
    weights = model.state_dict()
    with torch.no_grad():
        for key in head_keys(model.config):
            weights[key].div_(temperature)


def check_divisible(model: PreTrainedModel, size: tuple[int, int]) -> None:
    """An InputError where the logits of a network do not follow the weights of its head."""
    images = random_images(model, 2, size)
    with in_evaluation(model), torch.no_grad():
        before = model(pixel_values=images).logits
        divide_logits(model, 0.5)  # which a float holds exactly, as its half
        after = model(pixel_values=images).logits
        divide_logits(model, 2.0)
    if not torch.allclose(after, 2 * before, rtol=1e-3, atol=1e-4 * float(before.abs().max())):
        raise InputError(
            f"calibration.temperature_scaling: the logits of {network_name(model)} do not follow the weights of its "
            "head, so no temperature can be put into them; leave it out"
        )
