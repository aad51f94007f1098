"""The textbook's stack of convolutions and max pooling (F. Chollet, Deep Learning with Python), from scratch.

This file is saved beside the weights: it imports torch and transformers alone.
"""

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn.functional import cross_entropy, relu
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput


@strict
class ConvNetConfig(PreTrainedConfig):
    """Settings of a ConvNetForImageClassification; by default the textbook's network for cats and dogs.

    Attributes:
        filters: channels of each convolution, one or more.
        image_size: side of the square input in pixels, which the dense layer depends on.
        num_channels: 3, or 1 for a network that sees grey.
        dropout: fraction of the flattened features that is dropped in training.
    """

    model_type = "convnet"

    filters: list[int] | tuple[int, ...] = (32, 64, 128, 256, 256)
    image_size: int = 180
    num_channels: int = 3
    dropout: float | int = 0.0

    def sides(self) -> list[int]:
        """Side in pixels of what each convolution makes; not positive where the image is too small for it."""
        sides = [self.image_size - 2]
        for _ in self.filters[1:]:
            sides.append(sides[-1] // 2 - 2)
        return sides


class ConvNetForImageClassification(PreTrainedModel):
    """3x3 convolutions without padding, each with ReLU; 2x2 max pooling between them; a dense output layer.

    Every kernel begins Glorot uniform and every bias zero, as in Keras. Input: red, green, blue of 0 to 1, shape
    (images, 3, image_size, image_size), also where the network has one channel.
    """

    config_class = ConvNetConfig
    main_input_name = "pixel_values"

    def __init__(self, config: ConvNetConfig):
        super().__init__(config)
        if config.num_channels not in (1, 3):
            raise ValueError(f"num_channels: {config.num_channels}, must be 1 or 3")
        if not config.filters or min(config.filters) < 1:
            raise ValueError(f"filters: {list(config.filters)}, must be one or more positive numbers")
        side = config.sides()[-1]
        if side < 1:
            raise ValueError(
                f"filters: {len(config.filters)} convolutions leave nothing of {config.image_size}x{config.image_size} "
                f"pixels, room is for {sum(s > 0 for s in config.sides())}; take fewer, or a larger image_size"
            )
        inputs = [config.num_channels, *config.filters]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3) for before, after in zip(inputs, config.filters, strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.filters[-1] * side * side, config.num_labels)
        self.post_init()

    def _init_weights(self, module):
        # By transformers' functions, which leave alone what came from a checkpoint.
        if isinstance(module, nn.Conv2d | nn.Linear):
            init.xavier_uniform_(module.weight)
            init.zeros_(module.bias)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs):
        x = pixel_values if self.config.num_channels == 3 else luminance(pixel_values)
        for number, convolution in enumerate(self.convolutions):
            x = relu(convolution(self.pool(x) if number else x))
        x = x.permute(0, 2, 3, 1).flatten(1)  # channels last, so that the weights are Keras's
        logits = self.classifier(self.dropout(x))
        loss = None if labels is None else cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


def luminance(pixels: torch.Tensor) -> torch.Tensor:
    """Shape (n, 3, h, w) to (n, 1, h, w): ITU-R 601, as PIL's convert("L"), but for its rounding."""
    red, green, blue = pixels.split(1, dim=1)
    return blue + 0.299 * (red - blue) + 0.587 * (green - blue)  # in this order grey comes out exactly
