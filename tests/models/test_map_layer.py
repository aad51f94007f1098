"""In which layer a map is made: found by structure for every family, and laid out as the image is."""

import pytest
import torch
import transformers
from tiny import stock_model, timm_model
from torch import nn
from transformers.modeling_outputs import ImageClassifierOutput

from hf_imgcls.errors import InputError
from hf_imgcls.models.convnet import ConvNetConfig, ConvNetForImageClassification
from hf_imgcls.models.head import with_custom_head
from hf_imgcls.models.map_layer import Grid, find_map_layer, grid_of
from hf_imgcls.models.mini_xception import MiniXceptionConfig, MiniXceptionForImageClassification
from hf_imgcls.recipe.sections import HeadSection

SIZE = (32, 32)
_ATTENTION = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
              "image_size": 32, "patch_size": 8}  # fmt: skip
_SWIN = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4}
_STAGES = {"hidden_sizes": [8, 12], "depths": [1, 1]}
_ROUND = {"num_stages": 2, **_STAGES, "patch_size": 2}


def own_head(point: str | None):
    return with_custom_head(stock_model("vit", **_ATTENTION), HeadSection(hidden_size=8), point, SIZE)


NETWORKS = {
    "vit": (lambda: stock_model("vit", **_ATTENTION), "vit.layers.0", Grid("tokens", 4, 4)),
    "deit": (lambda: stock_model("deit", **_ATTENTION), "deit.layers.0", Grid("tokens", 4, 4)),
    "dinov2": (lambda: stock_model("dinov2", **_ATTENTION), "dinov2.layernorm", Grid("tokens", 4, 4)),
    "swin": (lambda: stock_model("swin", **_SWIN), "swin.layernorm", Grid("tokens", 8, 8)),
    "convnext": (lambda: stock_model("convnext", **_ROUND), "convnext.encoder.stages.1", Grid("channels first", 8, 8)),
    "resnet": (
        lambda: stock_model("resnet", embedding_size=8, layer_type="basic", **_STAGES),
        "resnet.encoder.stages.1", Grid("channels first", 4, 4),
    ),
    "mobilenet_v2": (
        lambda: stock_model("mobilenet_v2", depth_multiplier=0.25, min_depth=4), None,
        Grid("channels first", 4, 4),
    ),
    "timm resnet": (lambda: timm_model("test_resnet", 64), None, Grid("channels first", 4, 4)),
    "timm vit": (
        lambda: timm_model("vit_tiny_patch16_224", 32, img_size=32, patch_size=8, depth=2, embed_dim=12, num_heads=2),
        "timm_model.blocks.0", Grid("tokens", 4, 4),
    ),
    "timm vit, mean": (
        lambda: timm_model("vit_tiny_patch16_224", 32, img_size=32, patch_size=8, depth=2, embed_dim=12, num_heads=2,
                           global_pool="avg", class_token=False),
        None, Grid("tokens", 4, 4),
    ),
    "timm swin": (
        lambda: timm_model("swin_tiny_patch4_window7_224", 64, img_size=64, window_size=4, embed_dim=12, depths=(1, 1),
                           num_heads=(1, 2)),
        "timm_model.norm", Grid("channels last", 8, 8),
    ),
    "convnet": (
        lambda: ConvNetForImageClassification(ConvNetConfig(filters=[4, 6], image_size=32)), "convolutions.1",
        Grid("channels first", 13, 13),
    ),
    "mini_xception": (
        lambda: MiniXceptionForImageClassification(
            MiniXceptionConfig(stem_filters=4, filters=[6, 8], top_filters=10, image_size=32)),
        "top_norm", Grid("channels first", 4, 4),
    ),
    "custom head": (lambda: own_head(None), "backbone.vit.layers.0", Grid("tokens", 4, 4)),
    "feature point": (lambda: own_head("vit.layers.0"), None, Grid("tokens", 4, 4)),
}  # fmt: skip


def moved(model, name: str, grid: Grid, size: tuple[int, int]) -> torch.Tensor:
    """How much each place of a layer changes with the image above on the right, shape (rows, columns)."""
    pixels, kept = torch.randn(1, 3, *size).repeat(2, 1, 1, 1), []
    pixels[1, :, : size[0] // 4, -size[1] // 4 :] = 2 * torch.randn(3, size[0] // 4, size[1] // 4)
    with model.get_submodule(name).register_forward_hook(lambda _, inputs, output: kept.append(output)):
        model.eval()(pixel_values=pixels)
    before, after = grid.as_image(kept[0])
    return (after - before).norm(dim=0)


@pytest.mark.parametrize("family", NETWORKS)
@torch.no_grad()
def test_the_layer_and_its_layout(family):
    make, name, grid = NETWORKS[family]
    torch.manual_seed(0)
    model = make().train()
    size = (64, 64) if family in ("mobilenet_v2", "timm resnet", "timm swin") else SIZE
    for weights in model.parameters():  # else nothing comes through so many layers
        if weights.ndim == 4:
            nn.init.kaiming_normal_(weights)
    before = [parameter.requires_grad for parameter in model.parameters()]
    found = find_map_layer(model, size)
    assert found.grid == grid
    assert name in (None, found.name)
    assert model.training
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert all(parameter.grad is None for parameter in model.parameters())
    # Rows are rows and columns columns: what changes most lies above on the right.
    changes = moved(model, *found, size)
    row, column = divmod(int(changes.argmax()), changes.shape[1])
    assert row < grid.height / 2 <= column


def test_frozen_weights_and_images_that_are_not_square():
    model = stock_model("vit", **{**_ATTENTION, "image_size": [32, 48]}).requires_grad_(False)
    assert find_map_layer(model, (32, 48)) == ("vit.layers.0", Grid("tokens", 4, 6))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    small = stock_model("resnet", embedding_size=8, layer_type="basic", hidden_sizes=[8, 8, 8, 8], depths=[1] * 4)
    assert find_map_layer(small, SIZE).grid == Grid("channels first", 4, 4), "not the last stage, of one place"


class Blind(transformers.ViTForImageClassification):
    """A network of which no layer is laid out as the image is."""

    def __init__(self):
        super().__init__(transformers.ViTConfig(**_ATTENTION))
        self.vit = self.classifier = None
        self.dense = nn.Linear(3 * 32 * 32, 2)

    def forward(self, pixel_values):
        return ImageClassifierOutput(logits=self.dense(pixel_values.flatten(1)))


def test_a_network_without_such_a_layer_is_refused():
    with pytest.raises(InputError, match="no maps of Blind: none of its layers is laid out as the image is"):
        find_map_layer(Blind(), SIZE)


@pytest.mark.parametrize(
    ("shape", "size", "grid"),
    [
        ((1, 512, 7, 7), (224, 224), ("channels first", 7, 7)),
        ((1, 7, 7, 768), (224, 224), ("channels last", 7, 7)),
        ((1, 197, 192), (224, 224), ("tokens", 14, 14)),
        ((1, 198, 192), (224, 224), ("tokens", 14, 14)),
        ((1, 201, 384), (224, 224), ("tokens", 14, 14)),
        ((1, 49, 768), (224, 224), ("tokens", 7, 7)),
        ((1, 49, 768), (192, 256), ("tokens", 6, 8)),
        ((1, 64, 6, 8), (192, 256), ("channels first", 6, 8)),
        ((1, 768, 1), (224, 224), None),  # a mean
        ((1, 768, 1, 1), (224, 224), None),
        ((16, 49, 96), (224, 224), None),  # windows
        ((1, 3, 197, 64), (224, 224), None),  # heads of an attention
        ((1, 1000), (224, 224), None),
    ],
)
def test_how_a_tensor_is_laid_out(shape, size, grid):
    assert grid_of(torch.Size(shape), size) == grid


def test_tokens_become_an_image_row_by_row():
    tokens = torch.arange(14.0).reshape(1, 7, 2)  # one of a class, then 2 rows of 3
    image = Grid("tokens", 2, 3).as_image(tokens)
    assert image[0, 0].tolist() == [[2, 4, 6], [8, 10, 12]]
    assert Grid("channels last", 2, 3).as_image(torch.zeros(1, 2, 3, 5)).shape == (1, 5, 2, 3)
