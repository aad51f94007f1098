"""Tiny models of several families, with dropout, for 16-pixel images; image processors of many, for 24 pixels."""

import transformers
from transformers import AutoModelForImageClassification, ViTImageProcessor

from hf_imgcls.models.convnet import ConvNetConfig
from hf_imgcls.models.mini_xception import MiniXceptionConfig

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
    "convnet": lambda: ConvNetConfig(filters=[4, 6], image_size=SIZE, dropout=0.2),
    "mini_xception": lambda: MiniXceptionConfig(
        stem_filters=4, filters=[6, 8], top_filters=10, image_size=SIZE, dropout=0.2
    ),
}

SQUARE = {"height": 24, "width": 24}
PROCESSORS = {
    "ViT": lambda: transformers.ViTImageProcessor(size=SQUARE),
    "SigLIP, not square": lambda: transformers.SiglipImageProcessor(size={"height": 24, "width": 32}),
    "ConvNeXt": lambda: transformers.ConvNextImageProcessor(size={"shortest_edge": 24}, crop_pct=0.875),
    "CLIP": lambda: transformers.CLIPImageProcessor(size={"shortest_edge": 24}, crop_size=SQUARE),
    "BiT": lambda: transformers.BitImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE),
    "MobileNetV2": lambda: transformers.MobileNetV2ImageProcessor(size={"shortest_edge": 28}, crop_size=SQUARE),
    "LeViT": lambda: transformers.LevitImageProcessor(size={"shortest_edge": 24}, crop_size=SQUARE),
    "DeiT": lambda: transformers.DeiTImageProcessor(size={"height": 28, "width": 28}, crop_size=SQUARE),
    "EfficientNet": lambda: transformers.EfficientNetImageProcessor(
        size=SQUARE, rescale_offset=True, rescale_factor=1 / 127.5
    ),
    "EfficientNet, twice": lambda: transformers.EfficientNetImageProcessor(size=SQUARE, include_top=True),
    "MobileViT, blue first": lambda: transformers.MobileViTImageProcessor(size={"shortest_edge": 28}, crop_size=SQUARE),
    "PP-LCNet, blue first": lambda: transformers.PPLCNetImageProcessor(
        size={"height": 28, "width": 28}, crop_size=SQUARE
    ),
    "padding the border": lambda: transformers.MobileViTImageProcessor(size={"shortest_edge": 20}, crop_size=SQUARE),
    "no rescaling": lambda: transformers.ViTImageProcessor(
        size=SQUARE, do_rescale=False, image_mean=[127.5] * 3, image_std=[60.0] * 3
    ),
    "Janus, letterbox": lambda: transformers.JanusImageProcessor(
        size=SQUARE, min_size=1, image_mean=[0.4, 0.5, 0.6], image_std=[0.1, 0.2, 0.3]
    ),
    "timm, letterbox": lambda: transformers.TimmWrapperImageProcessor(
        {
            **{"input_size": [3, 24, 24], "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3]},
            **{"crop_pct": 1.0, "crop_mode": "border"},
        }
    ),
    "timm": lambda: transformers.TimmWrapperImageProcessor(
        {"input_size": [3, 24, 24], "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "crop_pct": 0.9}
    ),
}  # fmt: skip


def tiny_model(family: str, labels=("blue", "green", "red")):
    """A seeded tiny model of a family with the given labels."""
    transformers.set_seed(0)
    config = CONFIGS[family]()
    config.id2label = dict(enumerate(labels))
    config.label2id = {name: i for i, name in enumerate(labels)}
    return AutoModelForImageClassification.from_config(config)


def stock_model(name: str, **settings):
    """A seeded model of three classes of any type that transformers has."""
    transformers.set_seed(0)
    config = transformers.AutoConfig.for_model(name, num_labels=3, **settings)
    config.architectures = []  # None breaks the families of two classes (DeiT, LeViT)
    return AutoModelForImageClassification.from_config(config)


def timm_model(architecture: str, side: int = 32, **arguments):
    """A seeded model of three classes of any architecture that timm has."""
    settings = {"input_size": [3, side, side]}
    return stock_model("timm_wrapper", architecture=architecture, model_args=arguments, pretrained_cfg=settings)


def tiny_processor() -> ViTImageProcessor:
    return ViTImageProcessor(size={"height": SIZE, "width": SIZE})
