"""The table of layers: shapes, parameters and operations that can be counted by hand."""

import pytest
import torch
from tiny import SIZE, stock_model, tiny_model
from torch import nn

from hf_imgcls.models.head import with_custom_head
from hf_imgcls.models.layers import describe_layers
from hf_imgcls.recipe.sections import HeadSection


def table(model, side=SIZE) -> dict:
    return {layer.name: layer for layer in describe_layers(model, (side, side))}


def test_a_convolution_and_a_dense_layer_counted_by_hand():
    layers = table(tiny_model("convnet"))  # 3x16x16, 4 filters of 3x3, pooling, 6 filters, dense of three
    assert layers["convolutions.0"].output == (4, 14, 14)
    assert layers["convolutions.0"].flops == 2 * 14 * 14 * 4 * 3 * 9
    assert layers["pool"].output == (4, 7, 7)
    assert layers["convolutions.1"].flops == 2 * 5 * 5 * 6 * 4 * 9
    assert layers["classifier"].flops == 2 * 6 * 5 * 5 * 3
    assert sum(layers["classifier"].parameters.values()) == 6 * 5 * 5 * 3 + 3
    both = layers["convolutions.0"].flops + layers["convolutions.1"].flops
    assert (layers["convolutions"].output, layers["convolutions"].flops) == (None, both)
    assert layers[""].flops == both + layers["classifier"].flops
    assert layers["dropout"].kind == "Dropout"


def test_attention_is_counted():
    """Queries times keys and weights times values, five tokens of 16 numbers each."""
    layers = table(tiny_model("vit"))
    inside = [layer for name, layer in layers.items() if name.startswith("vit.layers.0.") and layer.kind == "Linear"]
    products = 2 * 2 * 5 * 5 * 16
    assert layers["vit.layers.0"].flops == sum(layer.flops for layer in inside) + products


@pytest.mark.parametrize("family", ["vit", "swin", "convnext", "timm", "convnet", "mini_xception"])
def test_every_parameter_is_in_the_table_once_and_nothing_changes(family):
    model = tiny_model(family).train()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    layers = table(model)
    assert sum(layers[""].parameters.values()) == model.num_parameters()
    top = [layer for layer in layers.values() if layer.depth == 1]
    assert sum(sum(layer.parameters.values()) for layer in top) == model.num_parameters()
    assert sum(layer.flops for layer in top) == layers[""].flops > 0
    assert layers[""].output == (3,)
    assert model.training
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_feature_point_ends_the_backbone_there():
    whole = stock_model(
        "resnet", embedding_size=4, hidden_sizes=[4, 6], depths=[1, 1], layer_type="basic", num_channels=3
    )
    model = with_custom_head(whole, HeadSection(), "resnet.encoder.stages.0", (16, 16))
    layers, stock = table(model), table(whole)
    assert layers["backbone"].output is None
    point = "resnet.encoder.stages.0"
    assert layers[f"backbone.{point}"] == stock[point]._replace(
        name=f"backbone.{point}",
        depth=stock[point].depth + 1,
        parameters={f"backbone.{name}": count for name, count in stock[point].parameters.items()},
    )
    assert f"backbone.{point[:-1]}1" not in layers
    assert layers[""].flops == layers["backbone"].flops + layers["head"].flops < stock[""].flops
    assert not any(isinstance(model.get_submodule(name), nn.Identity) for name in layers)
