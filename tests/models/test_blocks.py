"""What the blocks of a network are, and in which order it uses its parameters."""

import pytest
import torch
from tiny import stock_model, timm_model, tiny_model
from torch import nn
from transformers.models.levit.modeling_levit import LevitAttention

from hf_imgcls.models.head import with_custom_head
from hf_imgcls.models.trace import blocks, execution_order, first_uses, that_affect_logits
from hf_imgcls.recipe.sections import HeadSection

FIVE = {"hidden_size": 16, "num_hidden_layers": 5, "num_attention_heads": 2, "intermediate_size": 24}
VISION = {**FIVE, "image_size": 32, "patch_size": 8}
SIX = {"depths": [2, 1, 3], "hidden_sizes": [8, 16, 24], "num_stages": 3}
WINDOWS = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 3, 2], "num_heads": [1, 2, 2]}
FOUR_STAGES = {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 2, 3, 1], "num_attention_heads": [1, 1, 2, 2]}
LEVIT = {"image_size": 64, "hidden_sizes": [16] * 3, "num_attention_heads": [2] * 3, "depths": [2, 2, 2],
         "key_dim": [8] * 3}  # fmt: skip

# architecture: (settings, number of blocks, the first one, the last one)
TRANSFORMERS = {
    "vit": (VISION, 5, "vit.layers.0", "vit.layers.4"),
    "deit": (VISION, 5, "deit.layers.0", "deit.layers.4"),
    "beit": (VISION, 5, "beit.layers.0", "beit.layers.4"),
    "dinov2": ({**VISION, "mlp_ratio": 2}, 5, "dinov2.encoder.layer.0", "dinov2.encoder.layer.4"),
    "clip": ({"vision_config": VISION}, 5, "vision_model.encoder.layers.0", "vision_model.encoder.layers.4"),
    "siglip": ({"vision_config": VISION}, 5, "vision_model.encoder.layers.0", "vision_model.encoder.layers.4"),
    "convnext": (SIX, 6, "convnext.encoder.stages.0.layers.0", "convnext.encoder.stages.2.layers.2"),
    "resnet": (SIX, 6, "resnet.encoder.stages.0.layers.0", "resnet.encoder.stages.2.layers.2"),
    "regnet": ({**SIX, "groups_width": 8}, 6, "regnet.encoder.stages.0.layers.0", "regnet.encoder.stages.2.layers.2"),
    "swin": ({**WINDOWS, "window_size": 4}, 6, "swin.encoder.layers.0.blocks.0", "swin.encoder.layers.2.blocks.1"),
    "swinv2": ({**WINDOWS, "window_size": 4}, 6, "swinv2.encoder.layers.0.blocks.0",
               "swinv2.encoder.layers.2.blocks.1"),
    "focalnet": ({**WINDOWS, "hidden_sizes": [8, 16, 32], "focal_levels": [2] * 3, "focal_windows": [3] * 3}, 6,
                 "focalnet.encoder.stages.0.layers.0", "focalnet.encoder.stages.2.layers.1"),
    "mobilenet_v2": ({"depth_multiplier": 0.25}, 16, "mobilenet_v2.layer.0", "mobilenet_v2.layer.15"),
    "mobilenet_v1": ({"depth_multiplier": 0.25}, 27, "mobilenet_v1.conv_stem.convolution",
                     "mobilenet_v1.layer.25.convolution"),
    "efficientnet": ({"width_coefficient": 0.1, "depth_coefficient": 0.5, "hidden_dim": 128}, 10,
                     "efficientnet.encoder.blocks.0", "efficientnet.encoder.blocks.9"),
    "mobilevit": ({"image_size": 32, "hidden_sizes": [16, 20, 24]}, 13, "mobilevit.encoder.layer.0.layer.0",
                  "mobilevit.encoder.layer.4.transformer.layer.2"),
    "segformer": (FOUR_STAGES, 7, "segformer.stages.0.blocks.0", "segformer.stages.3.blocks.0"),
    "poolformer": ({"hidden_sizes": [8, 8, 12, 16], "depths": [1, 2, 3, 1]}, 7, "poolformer.encoder.block.0.0",
                   "poolformer.encoder.block.3.0"),
    "pvt": ({**FOUR_STAGES, "image_size": 64}, 7, "pvt.encoder.block.0.0", "pvt.encoder.block.3.0"),
    # Attention and MLP are residual layers of their own there, and so is the subsampling between stages.
    "levit": (LEVIT, 16, "levit.encoder.stages.0.layers.0.module", "levit.encoder.stages.2.layers.3.module"),
    # Of its stages, some have blocks with lists of composite layers in them and some do not.
    "hgnet_v2": ({"stem_channels": [3, 4, 8], "hidden_sizes": [8, 12, 16], "stage_in_channels": [8, 8, 12],
                  "stage_out_channels": [8, 12, 16], "stage_mid_channels": [4, 4, 4], "stage_num_blocks": [1, 3, 2],
                  "stage_numb_of_layers": [3, 3, 3], "stage_light_block": [False, True, True],
                  "stage_downsample": [False, True, True], "stage_kernel_size": [3, 3, 3], "depths": [1, 3, 2]}, 6,
                 "encoder.stages.0.blocks.0", "encoder.stages.2.blocks.1"),
}  # fmt: skip

# architecture: (side of its input, number of blocks, the first one, the last one)
TIMM = {
    "test_vit": (160, 6, "blocks.0", "blocks.5"),
    "test_convnext": (64, 9, "stages.0.blocks.0", "stages.3.blocks.1"),
    "test_efficientnet": (64, 5, "blocks.0.0", "blocks.4.0"),
    "resnet10t": (64, 4, "layer1.0", "layer4.0"),
    "regnetx_002": (64, 13, "s1.b1", "s4.b7"),
    "mobilenetv3_small_050": (64, 12, "blocks.0.0", "blocks.5.0"),
    "levit_128s": (224, 9, "stages.0.blocks.0", "stages.2.blocks.3"),
    "xcit_nano_12_p16_224": (224, 14, "blocks.0", "cls_attn_blocks.1"),
    "pit_ti_224": (224, 12, "transformers.0.blocks.0", "transformers.2.blocks.3"),  # says nothing of its blocks itself
}


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_blocks_of_a_family_of_transformers(name):
    settings, count, first, last = TRANSFORMERS[name]
    side = settings.get("image_size", 32)
    found = blocks(stock_model(name, **settings), (side, side))
    assert (len(found), in_module(found[0], first), in_module(found[-1], last)) == (count, True, True)


@pytest.mark.parametrize("name", TIMM)
def test_the_blocks_of_a_timm_model(name):
    side, count, first, last = TIMM[name]
    found = blocks(timm_model(name, side), (side, side))
    assert (len(found), in_module(found[0][:1], f"timm_model.{first}")) == (count, True)
    assert in_module(found[-1][:1], f"timm_model.{last}")  # what comes after the last block may belong to its group


def in_module(names: list[str], module: str) -> bool:
    return all(name.startswith(f"{module}.") for name in names)


def test_in_a_plain_stack_convolutions_are_blocks():
    weights = [names[0] for names in blocks(tiny_model("convnet"), (16, 16))]
    assert weights == ["convolutions.0.weight", "convolutions.1.weight"]


def test_the_dense_layers_of_vgg_are_no_blocks_although_they_are_convolutions():
    expected = [f"timm_model.features.{number}.weight" for number in (0, 3, 6, 8, 11, 13, 16, 18)]
    with torch.device("meta"):  # it is large
        model = timm_model("vgg11")
        assert [names[0] for names in blocks(model, (32, 32))] == expected
        own = with_custom_head(model, HeadSection(hidden_size=4), "timm_model.features", (32, 32))
        assert [names[0] for names in blocks(own, (32, 32))] == [f"backbone.{name}" for name in expected]


def test_the_residual_blocks_of_the_small_xception():
    found = blocks(tiny_model("mini_xception"), (16, 16))
    assert [names[0].split(".")[:2] for names in found] == [["blocks", "0"], ["blocks", "1"]]


class Backwards(nn.Module):
    """Two blocks, of which the second runs first."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)) for _ in range(2))

    def forward(self, pixel_values):
        assert self.layers[0][0].weight.dtype == pixel_values.dtype  # no use of the weight
        return {"logits": self.layers[0](self.layers[1](pixel_values)).mean(dim=(2, 3))}


def test_blocks_come_in_the_order_in_which_they_run():
    assert [names[0] for names in blocks(Backwards(), (8, 8))] == ["layers.1.0.weight", "layers.0.0.weight"]


def test_parameters_are_met_where_they_are_used_and_not_where_they_are_kept():
    place = first_uses(timm_model("cait_xxs24_224", 224), (224, 224))
    assert place["timm_model.pos_embed"] < place["timm_model.blocks.0.norm1.weight"]
    assert place["timm_model.blocks.23.mlp.fc2.bias"] < place["timm_model.cls_token"]
    # BEiT uses the weight of a layer that it never calls, SigLIP's pooling that of a layer in torch's attention.
    beit = timm_model("beit_base_patch16_224", 224, depth=1, embed_dim=8, num_heads=2)
    assert "timm_model.blocks.0.attn.qkv" not in execution_order(beit, (224, 224))
    assert "timm_model.blocks.0.attn.qkv.weight" in first_uses(beit, (224, 224))
    siglip = stock_model("siglip", vision_config=VISION)
    assert "vision_model.head.attention.out_proj.weight" in first_uses(siglip, (32, 32))


def test_parameters_that_no_image_meets_are_left_out():
    model = stock_model("dinov2", **VISION)
    missing = {name for name, _ in model.named_parameters()} - first_uses(model, (32, 32)).keys()
    assert missing == {"dinov2.embeddings.mask_token"}


def test_parameters_that_are_used_without_effect_on_the_logits():
    model = stock_model("siglip", vision_config=VISION)
    used = list(first_uses(model, (32, 32)))
    without = set(used) - that_affect_logits(model, used, (32, 32))
    assert without == {name for name in used if name.startswith("vision_model.head.")} != set()


def test_looking_at_a_model_leaves_it_as_it_was():
    model = stock_model("levit", **LEVIT)
    model.train()
    model.levit.eval()
    model.classifier.requires_grad_(False)
    modes, state = [m.training for m in model.modules()], {k: v.clone() for k, v in model.state_dict().items()}
    flags, random = [p.requires_grad for p in model.parameters()], torch.get_rng_state()
    that_affect_logits(model, list(first_uses(model, (64, 64))), (64, 64))
    assert [m.training for m in model.modules()] == modes
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_levit_keeps_nothing_of_parameters_that_change_afterwards():
    model = stock_model("levit", **LEVIT).eval()
    model(pixel_values=torch.rand(1, 3, 64, 64))
    assert "levit.encoder.stages.0.layers.0.module.attention_biases" in first_uses(model, (64, 64))
    attention = [module for module in model.modules() if isinstance(module, LevitAttention)]
    assert attention
    assert not any(module.attention_bias_cache for module in attention)
