"""A small Xception (F. Chollet, arXiv:1610.02357), as in Keras's example "Image classification from scratch".

This file is saved beside the weights: it imports torch and transformers alone.
"""

import torch
from huggingface_hub.dataclasses import strict
from torch import nn
from torch.nn.functional import cross_entropy, max_pool2d, pad, relu
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import ImageClassifierOutput


@strict
class MiniXceptionConfig(PreTrainedConfig):
    """Settings of a MiniXceptionForImageClassification; by default those of the Keras example.

    Attributes:
        stem_filters: channels of the first convolution.
        filters: channels of each residual block.
        top_filters: channels of the last separable convolution.
        image_size: side of the square input in pixels.
        num_channels: 3, or 1 for a network that sees grey.
        dropout: fraction of the averaged features that is dropped in training.
    """

    model_type = "mini_xception"

    stem_filters: int = 128
    filters: list[int] | tuple[int, ...] = (256, 512, 728)
    top_filters: int = 1024
    image_size: int = 180
    num_channels: int = 3
    dropout: float | int = 0.25


def normalization(channels: int) -> nn.BatchNorm2d:
    """With the defaults of Keras, whose momentum of 0.99 is what torch calls 0.01."""
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def separable(before: int, after: int) -> nn.Sequential:
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution of all, which has the bias."""
    depthwise = nn.Conv2d(before, before, kernel_size=3, padding=1, groups=before, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(before, after, kernel_size=1))


def pad_same(x: torch.Tensor, value: float) -> torch.Tensor:
    """What Keras's "same" puts around an image for a 3x3 window of stride 2: behind it, before it if it is odd."""
    height, width = x.shape[-2:]
    return pad(x, (width % 2, 1, height % 2, 1), value=value)


class Block(nn.Module):
    """Two separable convolutions and max pooling, beside a strided 1x1 convolution: half the side."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.convolution1, self.norm1 = separable(before, after), normalization(after)
        self.convolution2, self.norm2 = separable(after, after), normalization(after)
        self.residual = nn.Conv2d(before, after, kernel_size=1, stride=2)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.convolution1(relu(inputs)))
        x = self.norm2(self.convolution2(relu(x)))
        return max_pool2d(pad_same(x, float("-inf")), kernel_size=3, stride=2) + self.residual(inputs)


class MiniXceptionForImageClassification(PreTrainedModel):
    """A strided convolution, residual blocks, a separable convolution, global average, dropout, a dense layer.

    Every kernel begins Glorot uniform (a depthwise one with a fan-in of 9 and a fan-out of 9 times its channels,
    whose sum is that of Keras), biases zero, batch normalisation 1 and 0. Input: red, green, blue of 0 to 1, shape
    (images, 3, height, width), also where the network has one channel.
    """

    config_class = MiniXceptionConfig
    main_input_name = "pixel_values"

    def __init__(self, config: MiniXceptionConfig):
        super().__init__(config)
        if config.num_channels not in (1, 3):
            raise ValueError(f"num_channels: {config.num_channels}, must be 1 or 3")
        inputs = [config.stem_filters, *config.filters]
        self.stem = nn.Conv2d(config.num_channels, config.stem_filters, kernel_size=3, stride=2)
        self.stem_norm = normalization(config.stem_filters)
        self.blocks = nn.ModuleList(Block(*sizes) for sizes in zip(inputs, config.filters, strict=False))
        self.top = separable(inputs[-1], config.top_filters)
        self.top_norm = normalization(config.top_filters)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.top_filters, config.num_labels)
        self.post_init()

    def _init_weights(self, module):
        if not isinstance(module, nn.Conv2d | nn.Linear):
            super()._init_weights(module)
            return
        # By transformers' functions, which leave alone what came from a checkpoint.
        init.xavier_uniform_(module.weight)
        if module.bias is not None:
            init.zeros_(module.bias)

    def forward(self, pixel_values: torch.Tensor, labels: torch.Tensor | None = None, **kwargs):
        x = pixel_values if self.config.num_channels == 3 else luminance(pixel_values)
        x = relu(self.stem_norm(self.stem(pad_same(x, 0.0))))
        for block in self.blocks:
            x = block(x)
        x = relu(self.top_norm(self.top(x))).mean(dim=(2, 3))
        logits = self.classifier(self.dropout(x))
        loss = None if labels is None else cross_entropy(logits, labels)
        return ImageClassifierOutput(loss=loss, logits=logits)


def luminance(pixels: torch.Tensor) -> torch.Tensor:
    """Shape (n, 3, h, w) to (n, 1, h, w): ITU-R 601, as PIL's convert("L"), but for its rounding."""
    red, green, blue = pixels.split(1, dim=1)
    return blue + 0.299 * (red - blue) + 0.587 * (green - blue)  # in this order grey comes out exactly
