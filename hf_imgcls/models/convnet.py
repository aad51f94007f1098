"""The textbook's stack of convolutions and pooling (F. Chollet, Deep Learning with Python), from scratch.

This file is saved beside the weights: it imports torch and transformers alone.
"""

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn.functional import cross_entropy, pad, relu
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput

POOLING = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d, None: nn.Identity}


@strict
class ConvNetConfig(PreTrainedConfig):
    """Settings of a ConvNetForImageClassification; by default the textbook's network for cats and dogs.

    Attributes:
        filters: channels of each convolution, one or more.
        image_size: side of the square input in pixels, which the dense layer depends on.
        num_channels: 3, or 1 for a network that sees grey.
        dropout: fraction of the flattened features that is dropped in training.
        padding: of the convolutions, "valid" (none) or "same" (as many outputs as inputs, divided by the stride), as
            Keras pads: on the right and below where it cannot be as much on both sides.
        strides: of the convolutions, one number for all of them, or one for each.
        pooling: between convolutions, "max", "avg", or None for no pooling.
        pool_size: side of the pooled squares, and their stride.
    """

    model_type = "convnet"

    filters: list[int] | tuple[int, ...] = (32, 64, 128, 256, 256)
    image_size: int = 180
    num_channels: int = 3
    dropout: float | int = 0.0
    padding: str = "valid"
    strides: int | list[int] | tuple[int, ...] = 1
    pooling: str | None = "max"
    pool_size: int = 2

    def each_stride(self) -> list[int]:
        """The stride of each convolution."""
        return [self.strides] * len(self.filters) if isinstance(self.strides, int) else list(self.strides)

    def sides(self) -> list[int]:
        """Side in pixels of what each convolution makes; not positive where the image is too small for it."""
        side, sides = self.image_size, []
        for number, stride in enumerate(self.each_stride()):
            side = side // self.pool_size if number and self.pooling else side
            side = -(-side // stride) if self.padding == "same" else (side - 3) // stride + 1
            sides.append(side)
        return sides

    def check(self) -> None:
        """A ValueError that names the setting which is wrong."""
        if self.num_channels not in (1, 3):
            raise ValueError(f"num_channels: {self.num_channels}, must be 1 or 3")
        if not self.filters or min(self.filters) < 1:
            raise ValueError(f"filters: {list(self.filters)}, must be one or more positive numbers")
        if self.padding not in ("valid", "same"):
            raise ValueError(f"padding: {self.padding!r}, must be valid or same")
        if self.pooling not in ("max", "avg", None):
            raise ValueError(f"pooling: {self.pooling!r}, must be max, avg or null (no pooling)")
        if self.pool_size < 1:
            raise ValueError(f"pool_size: {self.pool_size}, must be a positive number")
        strides = self.each_stride()
        if len(strides) != len(self.filters) or not 1 <= min(strides) <= max(strides) <= self.image_size:
            raise ValueError(
                f"strides: {self.strides}, must be one number for all filters or one for each, 1 to {self.image_size}"
            )
        if self.sides()[-1] < 1:
            raise ValueError(
                f"filters: {len(self.filters)} convolutions leave nothing of {self.image_size}x{self.image_size} "
                f"pixels, room is for {sum(s > 0 for s in self.sides())}; take fewer, or a larger image_size"
            )


class ConvNetForImageClassification(PreTrainedModel):
    """3x3 convolutions, each with ReLU, and pooling between them; a dense output layer.

    Every kernel begins Glorot uniform and every bias zero, as in Keras. Input: red, green, blue of 0 to 1, shape
    (images, 3, image_size, image_size), also where the network has one channel.
    """

    config_class = ConvNetConfig
    main_input_name = "pixel_values"

    def __init__(self, config: ConvNetConfig):
        super().__init__(config)
        config.check()
        sizes = zip([config.num_channels, *config.filters[:-1]], config.filters, config.each_stride(), strict=True)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, kernel_size=3, stride=stride) for before, after, stride in sizes
        )
        self.pool = POOLING[config.pooling](config.pool_size)
        side = config.sides()[-1]
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
            x = self.pool(x) if number else x
            x = pad_same(x, convolution.stride[0]) if self.config.padding == "same" else x
            x = relu(convolution(x))
        x = x.permute(0, 2, 3, 1).flatten(1)  # channels last, so that the weights are Keras's
        logits = self.classifier(self.dropout(x))
        loss = None if labels is None else cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


def pad_same(x: torch.Tensor, stride: int) -> torch.Tensor:
    """What Keras's "same" puts around an image for a 3x3 window; half of it, rounded down, on the left and above."""
    height, width = (max((-(-side // stride) - 1) * stride + 3 - side, 0) for side in x.shape[-2:])
    return pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


def luminance(pixels: torch.Tensor) -> torch.Tensor:
    """Shape (n, 3, h, w) to (n, 1, h, w): ITU-R 601, as PIL's convert("L"), but for its rounding."""
    red, green, blue = pixels.split(1, dim=1)
    return blue + 0.299 * (red - blue) + 0.587 * (green - blue)  # in this order grey comes out exactly
