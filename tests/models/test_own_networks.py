"""The built-in architectures: what they compute, how they are initialised, and that others can open them."""

import json
import sys

import numpy as np
import pytest
import torch
from conftest import COLOURS
from torch import nn

from hf_imgcls.errors import InputError
from hf_imgcls.models.build import build_model, load_network
from hf_imgcls.models.convnet import ConvNetConfig, ConvNetForImageClassification
from hf_imgcls.models.mini_xception import MiniXceptionConfig, MiniXceptionForImageClassification
from hf_imgcls.models.restore import differing_tensors
from hf_imgcls.recipe.sections import ModelSection

LABELS = list(COLOURS)
TINY = {
    "convnet": {"filters": [4, 6, 8]},
    "mini_xception": {"stem_filters": 4, "filters": [6, 8], "top_filters": 10},
}


def own(architecture: str, image_size=30, seed=0, **config):
    section = {"architecture": architecture, "from_scratch": True, "image_size": image_size}
    return build_model(ModelSection(**section, config={**TINY[architecture], **config}), LABELS, seed)


def saved(folder, architecture: str, **settings):
    model, processor = own(architecture, **settings)
    with torch.no_grad():  # so that a network that was never trained has opinions
        model.classifier.weight.mul_(10)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model, processor


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def kernels(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def test_the_parameters_of_the_textbooks_network_for_digits():
    config = ConvNetConfig(filters=[32, 64, 128], image_size=28, num_channels=1, num_labels=10)
    model = ConvNetForImageClassification(config)
    assert [count(module) for module in kernels(model)] == [320, 18_496, 73_856, 11_530]
    assert count(model) == 104_202


def test_the_parameters_of_the_textbooks_network_for_cats_and_dogs():
    settings = {"filters": [32, 64, 128, 256, 256], "image_size": 180}
    assert count(ConvNetForImageClassification(ConvNetConfig(**settings, num_labels=1))) == 991_041
    assert count(ConvNetForImageClassification(ConvNetConfig(**settings, num_labels=2))) == 1_003_586
    assert count(ConvNetForImageClassification(ConvNetConfig())) == 1_003_586


def test_the_parameters_of_the_small_xception():
    model = MiniXceptionForImageClassification(MiniXceptionConfig(num_labels=1))
    assert count(model) == 2_722_777
    assert count(MiniXceptionForImageClassification(MiniXceptionConfig())) == 2_723_802
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(1e-3, 0.01)}
    assert len(norms) == 8
    assert model.dropout.p == 0.25


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:  # Keras reads these once, and leaves a file in its home
        patch.setenv("KERAS_BACKEND", "torch")
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        keras = pytest.importorskip("keras")
    # absl's handler holds pytest's captured stderr, and closes it when logging is configured in another test (uvicorn).
    pytest.importorskip("absl.logging").get_absl_handler().python_handler.setStream(sys.__stderr__)
    return keras


def keras_convnet(keras, filters, side, channels, classes, pool=lambda x: x, **convolution):
    layers = keras.layers
    strides = convolution.pop("strides", [1] * len(filters))
    inputs = keras.Input((side, side, channels))
    x = layers.Rescaling(1 / 255)(inputs)
    for number, size in enumerate(filters):
        x = pool(x) if number else x
        x = layers.Conv2D(size, 3, strides=strides[number], activation="relu", **convolution)(x)
    return keras.Model(inputs, layers.Dense(classes)(layers.Dropout(0.5)(layers.Flatten()(x))))


def keras_xception(keras, config, shape, classes):
    layers = keras.layers
    inputs = keras.Input(shape)
    x = layers.Conv2D(config["stem_filters"], 3, strides=2, padding="same")(layers.Rescaling(1 / 255)(inputs))
    x = before = layers.Activation("relu")(layers.BatchNormalization()(x))
    for size in config["filters"]:
        for _ in range(2):
            x = layers.SeparableConv2D(size, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = before = layers.add([x, layers.Conv2D(size, 1, strides=2, padding="same")(before)])
    x = layers.SeparableConv2D(config["top_filters"], 3, padding="same")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(classes)(x))


def disturb(original, random) -> None:
    """Biases and statistics that are not those of a network that was just made."""
    for layer in original.layers:
        weights = [np.array(weight) for weight in layer.get_weights()]
        weights = [w + random.uniform(-0.2, 0.2, w.shape) if w.ndim == 1 else w for w in weights]
        if type(layer).__name__ == "BatchNormalization":
            weights[3] = random.uniform(0.01, 0.1, weights[3].shape)
        layer.set_weights(weights)


@torch.no_grad()
def take_weights(model: nn.Module, original) -> None:
    """Keras's weights, layer by layer, into ours, module by module, in the order in which both declare them."""
    ours = iter([m for m in model.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d | nn.Linear)])
    for layer in original.layers:
        weights = [torch.from_numpy(np.array(weight)) for weight in layer.get_weights()]
        kind = type(layer).__name__
        if kind == "BatchNormalization":
            norm = next(ours)
            for mine, theirs in zip(
                [norm.weight, norm.bias, norm.running_mean, norm.running_var], weights, strict=True
            ):
                mine.copy_(theirs)
            continue
        if kind == "SeparableConv2D":
            next(ours).weight.copy_(weights.pop(0).permute(2, 3, 0, 1))
        if weights:
            module = next(ours)
            module.weight.copy_(weights[0].T if kind == "Dense" else weights[0].permute(3, 2, 0, 1))
            module.bias.copy_(weights[1])
    assert next(ours, None) is None


def compare(model, original, channels=3, height=None, width=None) -> None:
    random = np.random.default_rng(0)
    disturb(original, random)
    take_weights(model, original)
    coarse = random.integers(0, 256, (5, 4, 4, channels)).repeat(-(-height // 4), axis=1).repeat(-(-width // 4), axis=2)
    noise = random.integers(0, 40, (5, height, width, channels))
    images = np.minimum(coarse[:, :height, :width] + noise, 255).astype(np.float32)
    expected = np.array(original.predict(images, verbose=0))
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1) / 255
    with torch.no_grad():
        logits = model.eval()(pixel_values=pixels).logits.numpy()
    # Wide networks that were never trained answer nearly the same to anything: that must not pass for agreement.
    assert np.abs(logits - expected).max() < min(1e-4, expected.std(axis=0).min() / 1000)


@pytest.mark.parametrize(("side", "channels"), [(30, 3), (37, 3), (28, 1)])
def test_the_convnet_computes_what_keras_computes(side, channels, keras):
    model, _ = own("convnet", image_size=side, num_channels=channels)
    original = keras_convnet(keras, [4, 6, 8], side, channels, len(LABELS), keras.layers.MaxPooling2D(2))
    assert original.count_params() == count(model)
    compare(model, original, channels, side, side)


@pytest.mark.parametrize(
    ("side", "settings", "left"),
    [
        (29, {"padding": "same", "pooling": "avg"}, [29, 14, 7]),
        (30, {"padding": "same", "pooling": None, "strides": [2, 1, 2]}, [15, 15, 8]),
        (31, {"padding": "same", "pooling": None, "strides": 2}, [16, 8, 4]),
        (40, {"pooling": "max", "pool_size": 3, "strides": [2, 1, 1]}, [19, 4, -1]),
        (64, {"pooling": "avg", "pool_size": 3, "strides": [2, 1, 1]}, [31, 8, 0]),
        (90, {"pooling": "avg", "pool_size": 3, "strides": [2, 1, 1]}, [44, 12, 2]),
    ],
)
def test_padding_strides_and_pooling_are_those_of_keras(side, settings, left, keras, tmp_path):
    assert ConvNetConfig(filters=[4, 6, 8], image_size=side, **settings).sides() == left
    if left[-1] < 1:
        with pytest.raises(InputError, match=r"model\.config\.filters: 3 convolutions leave nothing"):
            own("convnet", image_size=side, **settings)
        return
    model, processor = own("convnet", image_size=side, **settings)
    strides = settings.get("strides", 1)
    pool = {"max": keras.layers.MaxPooling2D, "avg": keras.layers.AveragePooling2D}.get(settings["pooling"])
    convolution = {
        "padding": settings.get("padding", "valid"),
        "strides": [strides] * 3 if strides in (1, 2) else strides,
    }
    pool = pool(settings.get("pool_size", 2)) if pool else lambda x: x
    original = keras_convnet(keras, [4, 6, 8], side, 3, len(LABELS), pool, **convolution)
    assert original.count_params() == count(model)
    compare(model, original, 3, side, side)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, _ = load_network(str(tmp_path))
    pixels = torch.rand(2, 3, side, side)
    assert torch.equal(again(pixel_values=pixels).logits, model.eval()(pixel_values=pixels).logits)


def test_a_network_saved_before_these_settings_is_the_same(tmp_path):
    model, _ = saved(tmp_path, "convnet")
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    file.write_text(
        json.dumps({k: v for k, v in config.items() if k not in ("padding", "strides", "pooling", "pool_size")})
    )
    again, _ = load_network(str(tmp_path))
    assert differing_tensors(again, tmp_path) == []
    assert set(again.state_dict()) == {
        f"{layer}.{kind}"
        for layer in ("convolutions.0", "convolutions.1", "convolutions.2", "classifier")
        for kind in ("weight", "bias")
    }
    pixels = torch.rand(2, 3, 30, 30)
    x = pixels
    for number, layer in enumerate(again.convolutions):
        x = nn.functional.conv2d(nn.functional.max_pool2d(x, 2) if number else x, layer.weight, layer.bias).relu()
    logits = again.classifier(x.permute(0, 2, 3, 1).flatten(1))
    assert torch.equal(again(pixel_values=pixels).logits, logits)
    assert torch.equal(model.eval()(pixel_values=pixels).logits, logits)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 46), (31, 37), (9, 8)])
def test_the_small_xception_computes_what_keras_computes(height, width, keras):
    model, _ = own("mini_xception")
    original = keras_xception(keras, TINY["mini_xception"], (height, width, 3), len(LABELS))
    compare(model, original, 3, height, width)


def test_the_whole_xception_computes_what_keras_computes(keras):
    model = MiniXceptionForImageClassification(MiniXceptionConfig())
    settings = {"stem_filters": 128, "filters": (256, 512, 728), "top_filters": 1024}
    original = keras_xception(keras, settings, (180, 180, 3), 2)
    assert sum(np.prod(weight.shape) for weight in original.trainable_weights) == 2_723_802
    compare(model, original, 3, 180, 180)


def test_every_kernel_begins_in_the_bounds_of_keras(keras):
    model = MiniXceptionForImageClassification(MiniXceptionConfig(num_labels=2))
    settings = {"stem_filters": 128, "filters": (256, 512, 728), "top_filters": 1024}
    original = keras_xception(keras, settings, (64, 64, 3), 2)
    theirs = [np.array(w) for layer in original.layers for w in layer.get_weights() if len(w.shape) > 1]
    for module, kernel in zip(kernels(model), theirs, strict=True):
        mine = module.weight.detach().numpy()
        assert mine.size == kernel.size
        assert np.abs(mine).max() == pytest.approx(np.abs(kernel).max(), rel=0.02)
        assert mine.std() == pytest.approx(kernel.std(), rel=0.1)
