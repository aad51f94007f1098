"""The output layer, the dropout before it, and a custom head in its place: saved with its code, opened elsewhere."""

import pytest
import torch
import transformers
from safetensors.torch import load_file
from tiny import SIZE, tiny_model
from torch import nn
from transformers import AutoModelForImageClassification

from hf_imgcls.errors import InputError
from hf_imgcls.models.head import output_module, with_custom_head
from hf_imgcls.models.head_input import head_dropout, input_of_head
from hf_imgcls.models.restore import restore_weights
from hf_imgcls.models.trace import random_images
from hf_imgcls.recipe.sections import HeadSection

INPUT = (SIZE, SIZE)
LABELS = {"id2label": {0: "blue", 1: "green", 2: "red"}, "label2id": {"blue": 0, "green": 1, "red": 2}}
HIDDEN = HeadSection(hidden_size=5, dropout=0.5)


def timm_model(architecture: str, side: int = 32, **arguments):
    transformers.set_seed(0)
    settings = {"input_size": [3, side, side], "mean": [0.5] * 3, "std": [0.5] * 3, "crop_pct": 1.0}
    config = transformers.TimmWrapperConfig(
        architecture=architecture, model_args=arguments, pretrained_cfg=settings, **LABELS
    )
    return AutoModelForImageClassification.from_config(config)


def stock(name: str, **settings):
    transformers.set_seed(0)
    return AutoModelForImageClassification.from_config(transformers.AutoConfig.for_model(name, **LABELS, **settings))


def with_dropout(model):
    model.timm_model.global_pool = nn.Sequential(model.timm_model.global_pool, nn.Dropout(0.5))
    return model


DROPPING = {
    "a module, 0.8": (lambda: stock("mobilenet_v2", depth_multiplier=0.25, classifier_dropout_prob=0.8), 0.8),
    "almost all": (lambda: stock("mobilenet_v1", depth_multiplier=0.25, classifier_dropout_prob=0.999), 0.999),
    "a function": (lambda: timm_model("test_efficientnet", drop_rate=0.3), 0.3),
    "a function, between pooling and 1x1": (lambda: timm_model("mobilenetv3_small_050", drop_rate=0.25), 0.25),
    "a 1x1 convolution": (lambda: timm_model("resnetv2_18d", drop_rate=0.25), 0.25),
    "a function and a module": (lambda: with_dropout(timm_model("test_efficientnet", drop_rate=0.5)), 0.75),
    "the blocks alone": (lambda: stock("vit", hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=32,
                                       intermediate_size=16, hidden_dropout_prob=0.4), 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", DROPPING)
def test_the_head_is_found_and_the_dropout_before_it(name):
    make, expected = DROPPING[name]
    model, size = make(), (32, 32)
    head = output_module(model, size)
    layer, pixels = model.get_submodule(head), random_images(model, 2, size)
    with torch.no_grad():
        feature = input_of_head(model.eval(), head, pixels)
        shaped = feature[:, :, None, None] if isinstance(layer, nn.Conv2d) else feature
        assert torch.equal(layer(shaped).flatten(1), model(pixel_values=pixels).logits)
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    assert head_dropout(model, head, size) == expected
    assert torch.equal(torch.get_rng_state(), state), "measuring changed the run's random numbers"
    assert [module.training for module in model.modules()] == modes


class Noise(nn.Module):
    def forward(self, features):
        return features + torch.randn_like(features) if self.training else features


class DropoutBeforeMore(nn.Module):
    def forward(self, features):
        return nn.functional.dropout(features, 0.3, self.training).cumsum(1)


class AllDropped(nn.Module):
    def forward(self, features):
        return nn.functional.dropout(features, 1.0, self.training)


@pytest.mark.parametrize("change", [Noise, DropoutBeforeMore, AllDropped])
def test_features_that_change_by_more_than_dropout_are_refused(change):
    model = timm_model("test_efficientnet")
    model.timm_model.global_pool = nn.Sequential(model.timm_model.global_pool, change())
    expected = "cache_features: the features of timm's test_efficientnet change in training by more than dropout"
    with pytest.raises(InputError, match=expected):
        head_dropout(model, "timm_model.classifier", (32, 32))


TWO_HEADS = {
    "DeiTForImageClassificationWithTeacher": lambda: transformers.DeiTForImageClassificationWithTeacher(
        transformers.DeiTConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                                image_size=SIZE, architectures=["DeiTForImageClassificationWithTeacher"], **LABELS)
    ),
    "SwiftFormerForImageClassification": lambda: stock("swiftformer", image_size=32, depths=[1, 1, 1, 1]),
    "timm's deit_tiny_distilled_patch16_224": lambda: timm_model(
        "deit_tiny_distilled_patch16_224", depth=1, img_size=32
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO_HEADS)
def test_networks_with_two_heads_are_refused_by_name(name):
    with pytest.raises(InputError, match=f"^model: {name} has 2 output layers .* leave out cache_features"):
        output_module(TWO_HEADS[name](), (32, 32))


def test_a_layer_that_is_not_the_last_thing_is_no_output_layer(monkeypatch):
    model = tiny_model("vit")
    forward = model.forward

    def calibrated(**inputs):
        outputs = forward(**inputs)
        outputs.logits = outputs.logits / 2
        return outputs

    monkeypatch.setattr(model, "forward", calibrated)
    with pytest.raises(
        InputError, match="the logits of ViTForImageClassification are not the output of its layer class"
    ):
        output_module(model, INPUT)


CUSTOM = {
    "vit": lambda: with_custom_head(tiny_model("vit"), HIDDEN, None, INPUT),
    "swin, no hidden layer": lambda: with_custom_head(tiny_model("swin"), HeadSection(dropout=0.1), None, INPUT),
    "timm": lambda: with_custom_head(tiny_model("timm"), HIDDEN, None, INPUT),
    "maps of timm": lambda: with_custom_head(timm_model("test_resnet"), HIDDEN, "timm_model.layer2", (32, 32)),
    "a ViT's hidden states": lambda: with_custom_head(tiny_model("vit"), HIDDEN, "vit.layers.0", INPUT),
}


@pytest.mark.parametrize("name", CUSTOM)
def test_a_custom_head_is_saved_and_opened_bit_by_bit(name, tmp_path):
    own = CUSTOM[name]().eval()
    pixels = random_images(own, 2, (32, 32) if "maps" in name else INPUT)
    with torch.no_grad():
        logits = own(pixel_values=pixels).logits
        assert torch.equal(own.head(own.features(pixels)), logits)
        own.save_pretrained(tmp_path)
        opened = AutoModelForImageClassification.from_pretrained(tmp_path).eval()
        assert torch.equal(opened(pixel_values=pixels).logits, logits)
        for parameter in own.parameters():
            parameter.add_(1)
    restore_weights(own, tmp_path)
    with torch.no_grad():
        assert torch.equal(own(pixel_values=pixels).logits, logits)


def test_the_network_keeps_its_weights_and_the_head_begins_as_torch_would():
    model = tiny_model("vit")
    own = with_custom_head(model, HeadSection(hidden_size=400, activation="gelu"), None, INPUT)
    pixels = random_images(model, 2, INPUT)
    with torch.no_grad():
        assert torch.equal(own.eval().features(pixels), input_of_head(model.eval(), "classifier", pixels))
    assert own.config.id2label == model.config.id2label
    hidden = own.head[1]
    assert isinstance(own.head[2], type(transformers.activations.ACT2FN["gelu"]))
    # Uniform up to 1 / sqrt(16), where a ViT's own layers are normal with 0.02.
    assert 0.24 < hidden.weight.abs().max() <= 0.25
    assert hidden.bias.abs().max() > 0.2


def test_what_lies_behind_the_feature_is_not_saved(tmp_path):
    own = CUSTOM["maps of timm"]()
    own.save_pretrained(tmp_path)
    names = load_file(tmp_path / "model.safetensors").keys()
    parts = {name.split(".")[2] for name in names if name.startswith("backbone")}
    assert parts == {"conv1", "bn1", "layer1", "layer2"}
    assert own.config.unused == ["timm_model.layer3", "timm_model.layer4", "timm_model.fc"]
    assert own.config.feature_size == 48 * 4 * 4


def test_dropout_between_the_backbone_and_a_custom_head_goes_with_the_head():
    own = with_custom_head(DROPPING["a module, 0.8"][0](), HIDDEN, None, (32, 32))
    assert own.config.unused == ["classifier", "dropout"]
    pixels = random_images(own, 2, (32, 32))
    for module in own.train().modules():
        module.training = not isinstance(module, nn.BatchNorm2d)
    with torch.no_grad():
        assert torch.equal(own.features(pixels), own.features(pixels))
