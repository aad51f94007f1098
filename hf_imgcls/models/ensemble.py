"""Networks whose probabilities are averaged, as one model.

This file is saved beside the weights, and `trust_remote_code=True` opens them with it where hf_imgcls is not
installed: it imports torch and transformers alone.
"""

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn.functional import cross_entropy, softplus
from transformers import CONFIG_MAPPING, AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import ImageClassifierOutput


@strict
class EnsembleConfig(PreTrainedConfig):
    """Settings of an EnsembleForImageClassification, each a list with an entry for every network.

    Attributes:
        networks: configurations of stock networks, as dictionaries with their `model_type`.
        scales, shifts: what turns the pixels of the image processor into those of a network's own: x * scale + shift,
            each three numbers, by channel.
        orders: for each of the ensemble's labels the number of the network's output.
        logit_temperature: by which the logits, logarithms of the mean probabilities, are divided.
    """

    model_type = "classifier_ensemble"

    networks: list[dict] | tuple[dict, ...] = ()
    scales: list[list[float]] | tuple = ()
    shifts: list[list[float]] | tuple = ()
    orders: list[list[int]] | tuple = ()
    logit_temperature: float | int = 1.0


class EnsembleForImageClassification(PreTrainedModel):
    """The mean of the networks' probabilities; the logits are such as give it."""

    config_class = EnsembleConfig
    main_input_name = "pixel_values"

    def __init__(self, config: EnsembleConfig):
        super().__init__(config)
        self.networks = nn.ModuleList(map(_construct, config.networks))
        self.post_init()

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **others
    ) -> ImageClassifierOutput:
        config, probabilities = self.config, []
        several = config.problem_type == "multi_label_classification"  # labels an image, each by itself
        for network, scale, shift, order in zip(
            self.networks, config.scales, config.shifts, config.orders, strict=True
        ):
            factor, offset = (pixel_values.new_tensor(values)[None, :, None, None] for values in (scale, shift))
            logits = network(pixel_values=pixel_values * factor + offset).logits[:, order].float()
            # Of several labels logarithms of the probabilities of yes and no: one near 1 has no digits for the other.
            probabilities.append(-softplus(torch.stack([-logits, logits])) if several else logits.softmax(1))
        found = torch.stack(probabilities)
        if several:
            yes, no = found.logsumexp(0)
            found = yes - no
        else:
            found = found.mean(0).clamp(min=torch.finfo(found.dtype).tiny).log()
        logits = (found / config.logit_temperature).to(pixel_values.dtype)
        loss = None if labels is None or several else cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: the networks initialise themselves."""


def _construct(settings: dict) -> nn.Module:
    settings = dict(settings)
    stock = CONFIG_MAPPING[settings.pop("model_type")].from_dict(settings)
    return AutoModelForImageClassification.from_config(stock)
