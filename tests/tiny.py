"""Tiny models of several families, with dropout, for 16-pixel pictures."""

import transformers
from transformers import AutoModelForImageClassification, ViTImageProcessor

SIZE = 16
_ATTENTION = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
CONFIGS = {
    "vit": lambda: transformers.ViTConfig(**_ATTENTION, image_size=SIZE, patch_size=8, hidden_dropout_prob=0.2),
    "swin": lambda: transformers.SwinConfig(
        image_size=SIZE,
        patch_size=2,
        embed_dim=8,
        depths=[1, 1],
        num_heads=[1, 2],
        window_size=4,
        hidden_dropout_prob=0.2,
    ),
    "convnext": lambda: transformers.ConvNextConfig(
        num_stages=2, hidden_sizes=[8, 12], depths=[1, 1], patch_size=2, drop_path_rate=0.2
    ),
    "timm": lambda: transformers.TimmWrapperConfig(
        architecture="resnet10t",
        num_labels=3,
        model_args={"drop_rate": 0.2},
        pretrained_cfg={"input_size": [3, 16, 16]},
    ),
}


def tiny_model(family: str, labels=("blue", "green", "red")):
    """A seeded tiny model of a family with the given labels."""
    transformers.set_seed(0)
    config = CONFIGS[family]()
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: i for i, name in enumerate(labels)}
    return AutoModelForImageClassification.from_config(config)


def tiny_processor() -> ViTImageProcessor:
    return ViTImageProcessor(size={"height": SIZE, "width": SIZE})
