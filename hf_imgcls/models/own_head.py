"""A custom head on the backbone of a checkpoint: flatten, hidden layer, dropout, output layer.

This file is saved beside the weights, and `trust_remote_code=True` opens them with it where hf_imgcls is not
installed: it imports torch and transformers alone.
"""

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import CONFIG_MAPPING, AutoModelForImageClassification, PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import ImageClassifierOutput


@strict
class OwnHeadConfig(PreTrainedConfig):
    """Settings of an OwnHeadForImageClassification.

    Attributes:
        backbone: configuration of the stock network, as a dictionary with its `model_type`.
        feature_point: the backbone's module whose output is the feature, and where the backbone stops; None: the
            feature is what would go into its output layer.
        unused: the backbone's modules that are left out: its output layer, and what else comes behind the feature.
        feature_size: numbers in a feature.
        hidden_size: units of the hidden layer; None for no hidden layer.
        activation: behind the hidden layer, a name of transformers' ACT2FN.
        dropout: before the output layer.
    """

    model_type = "classifier_with_own_head"

    backbone: dict | None = None
    feature_point: str | None = None
    unused: list[str] | tuple[str, ...] = ()
    feature_size: int = 1
    hidden_size: int | None = None
    activation: str = "relu"
    dropout: float | int = 0.0


class OwnHeadForImageClassification(PreTrainedModel):
    """`backbone`, a stock network without its head, and `head`."""

    config_class = OwnHeadConfig
    main_input_name = "pixel_values"

    def __init__(self, config: OwnHeadConfig):
        super().__init__(config)
        settings = dict(config.backbone)
        stock = CONFIG_MAPPING[settings.pop("model_type")].from_dict(settings)
        self.backbone = AutoModelForImageClassification.from_config(stock)
        if config.feature_point:
            self.backbone.get_submodule(config.feature_point).register_forward_hook(_stop)
        self.leave_out(config.unused)
        self.head = make_head(config)
        self.post_init()

    def leave_out(self, names: list[str]) -> None:
        """Replace modules of the backbone by the identity, so that their weights are neither trained nor saved."""
        for name in names:
            self.backbone.set_submodule(name, nn.Identity())

    def features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Images (n, 3, h, w) to features (n, ...).

        A backbone with a feature point is run by its own `forward`, which a hook leaves by an exception at that module.
        A truncated module would need each architecture's `forward` written again: the order of its calls, reshaping
        between them and arguments are in that code and in no list of modules.
        """
        try:
            outputs = self.backbone(pixel_values=pixel_values)
        except _Reached as reached:
            return reached.feature
        return outputs.logits  # the output layer is the identity, so these are its inputs

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **others
    ) -> ImageClassifierOutput:
        logits = self.head(self.features(pixel_values))
        loss = None if labels is None else cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """torch's own initialisation of a linear layer (He, uniform); the backbone initialises itself."""
        if isinstance(module, nn.Linear):
            module.reset_parameters()


def make_head(config: OwnHeadConfig) -> nn.Sequential:
    """Features of any shape to logits: (n, ...) to (n, num_labels)."""
    width, hidden = config.feature_size, []
    if config.hidden_size:
        hidden = [nn.Linear(width, config.hidden_size), ACT2FN[config.activation]]
        width = config.hidden_size
    return nn.Sequential(nn.Flatten(), *hidden, nn.Dropout(config.dropout), nn.Linear(width, config.num_labels))


class _Reached(Exception):
    """Carries the feature out of the backbone's forward."""

    def __init__(self, feature: torch.Tensor):
        self.feature = feature


def _stop(module: nn.Module, inputs: tuple, output) -> None:
    """A forward hook; of several outputs the first tensor is the feature."""
    outputs = output.values() if isinstance(output, dict) else output if isinstance(output, tuple | list) else [output]
    raise _Reached(next(each for each in outputs if isinstance(each, torch.Tensor)))
